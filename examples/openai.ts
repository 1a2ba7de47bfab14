/** OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=vk_demo node examples/openai.ts */
import OpenAI from 'openai'

const client = new OpenAI({ defaultHeaders: { 'bursar-user': 'ann' } })
const { data, response } = await client.chat.completions
  .create({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Say hello.' }] })
  .withResponse()
console.log(data.choices[0]?.message.content)
console.log('cost', response.headers.get('bursar-cost-usd'), 'USD')
