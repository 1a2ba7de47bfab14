/** OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=vk_demo node examples/openai-stream.ts */
import OpenAI from 'openai'

const stream = await new OpenAI().responses.create({
  model: 'gpt-5-mini',
  input: 'Tell me a story.',
  stream: true,
})
for await (const event of stream) {
  if (event.type === 'response.output_text.delta') process.stdout.write(event.delta)
}
process.stdout.write('\n')
