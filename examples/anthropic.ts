/** ANTHROPIC_BASE_URL=http://127.0.0.1:4000 ANTHROPIC_API_KEY=vk_demo node examples/anthropic.ts */
import Anthropic from '@anthropic-ai/sdk'

const { data, response } = await new Anthropic().messages
  .create({
    model: 'claude-haiku-4-5',
    max_tokens: 200,
    messages: [{ role: 'user', content: 'Say hello.' }],
  })
  .withResponse()
console.log(data.content[0]?.type === 'text' ? data.content[0].text : '')
console.log('cost', response.headers.get('bursar-cost-usd'), 'USD')
