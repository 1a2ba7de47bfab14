/** As a stranger would: the files alone, an empty HOME, the README's two commands, a real SDK. */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { until } from '#test/support/bursar.ts'

const root = new URL('../../', import.meta.url).pathname

/** The files a clone has, and no more. */
function copyTo(folder: string): void {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  for (const name of listed.split('\0').filter((one) => one !== '')) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    cpSync(join(root, name), join(folder, name))
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      )
    })
  })
}

test('from an empty folder to a governed answer in under two minutes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-new-'))
  const home = mkdtempSync(join(tmpdir(), 'bursar-home-'))
  copyTo(folder)
  const port = await freePort()
  // The machine's own Node, whatever it is: not the one that runs these tests.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((part) => !part.includes('node_modules') && !part.startsWith(root))
  const started = Date.now()
  const child = spawn('npm', ['start'], {
    cwd: folder,
    detached: true,
    env: { PATH: path.join(delimiter), HOME: home, BURSAR_LISTEN: `127.0.0.1:${port}` },
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  try {
    await until(`it is up: ${said}`, () => said.includes('ready in'), 120_000)
    expect(said).toContain('vk_demo')
    const client = new OpenAI({ apiKey: 'vk_demo', baseURL: `http://127.0.0.1:${port}/v1` })
    const { data, response } = await client.chat.completions
      .create({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'hi' }] })
      .withResponse()
    expect(data.choices[0]?.message.content).toMatch(/\w/)
    expect(response.headers.get('bursar-budget-remaining-usd')).toMatch(/^19\.\d{9}$/)
    expect(Date.now() - started).toBeLessThan(120_000)
  } finally {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
    await new Promise((resolve) => child.on('close', resolve))
    rmSync(folder, { recursive: true, force: true })
    rmSync(home, { recursive: true, force: true })
  }
}, 180_000)
