/** OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=vk_demo node examples/ai-sdk.ts */
import { openai } from '@ai-sdk/openai'
import { generateText } from 'ai'

const { text, response } = await generateText({
  model: openai('gpt-5-mini'),
  prompt: 'Say hello.',
})
console.log(text)
console.log('cost', response.headers?.['bursar-cost-usd'], 'USD')
