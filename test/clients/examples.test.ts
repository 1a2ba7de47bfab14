/** Every example runs as its first line says, and prints an answer. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '#test/support/bursar.ts'

const run = promisify(execFile)
const folder = new URL('../../examples/', import.meta.url).pathname
let world: World
let env: NodeJS.ProcessEnv = {}

beforeAll(async () => {
  world = await startWorld({ config: 'budgets: [{ budget_daily_usd: 5 }]\n' })
  const key = await world.key()
  env = {
    ...process.env,
    OPENAI_BASE_URL: `${world.url}/v1`,
    OPENAI_API_KEY: key,
    ANTHROPIC_BASE_URL: world.url,
    ANTHROPIC_API_KEY: key,
    GOOGLE_GEMINI_BASE_URL: world.url,
    GEMINI_API_KEY: key,
  }
})
afterAll(() => world[Symbol.asyncDispose]())

test.each(readdirSync(folder).filter((name) => name.endsWith('.ts')))('%s', async (name) => {
  const { stdout } = await run(process.execPath, [folder + name], { env })
  expect(stdout).toMatch(/\w+ \w+/)
  if (!name.includes('stream')) expect(stdout).toMatch(/cost 0\.000\d+ USD/)
  const [hold] = await world.bursar.store.recentHolds(1)
  expect(hold).toMatchObject({ state: 'settled', basis: 'actual' })
})
