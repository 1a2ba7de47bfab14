/** GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:4000 GEMINI_API_KEY=vk_demo node examples/gemini.ts */
import { GoogleGenAI } from '@google/genai'

const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY ?? '' })
const answer = await client.models.generateContent({
  model: 'gemini-2.5-flash',
  contents: 'Say hello.',
})
console.log(answer.text)
console.log('cost', answer.sdkHttpResponse?.headers?.['bursar-cost-usd'], 'USD')
