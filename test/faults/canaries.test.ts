/**
 * A thousand secrets, each used once in every place where secrets go, through every way a call or a
 * command can fail, in the real program with its log at its loudest. None may be found in what it
 * wrote, said or kept. The only place for a key is the answer that made it.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { until } from '#test/support/bursar.ts'
import {
  chatAnswer,
  goodAnswer,
  httpAnswer,
  type Script,
  startRawProvider,
} from '#test/support/provider.ts'
import { raw } from '#test/support/raw.ts'
import { type Env, type Program, runProgram, startProgram } from '#test/support/program.ts'

const made: string[] = []
/** 24 characters that mean nothing, and stand nowhere else. */
const canary = (): string => {
  const text = `cn${randomBytes(11).toString('hex')}`
  made.push(text)
  return text
}
const several = (count: number): readonly string[] => Array.from({ length: count }, canary)

const json = 'content-type: application/json'

/** Ways in which a provider answers, and repeats the key it was sent wherever it can. */
const echoes: readonly ((key: string) => string | Uint8Array | null)[] = [
  (key) => error('401 Unauthorized', `{"error":{"message":"Incorrect API key: ${key}"}}`),
  (key) => error('403 Forbidden', `<html>${key}</html>`),
  (key) => error('500 Oops', `Authorization: Bearer ${key}`, [`x-request-id: ${key}`]),
  (key) => error('429 Slow', key, [`retry-after: ${key}`, `x-ratelimit-key: ${key}`]),
  (key) => `HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:9/${key}\r\ncontent-length: 0\r\n\r\n`,
  (key) => {
    const body = gzipSync(`{"error":"${key}"}`)
    const head = `HTTP/1.1 400 No\r\n${json}\r\ncontent-encoding: gzip\r\n`
    return Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body])
  },
  (key) => `HTTP/1.1 200 OK\r\nx-bad header: ${key}\r\n\r\n`,
  (key) => `${key}\r\n\r\n`,
  (key) => httpAnswer([json, 'transfer-encoding: chunked'], `${key}\r\n`),
  (key) => httpAnswer([json, `content-encoding: ${key}`, 'content-length: 2'], '{}'),
  () => null,
  () => goodAnswer('fine'),
  () => httpAnswer([json, 'content-length: 3'], '{"x'),
  () => httpAnswer([json, `content-length: ${chatAnswer('x').length + 9}`], chatAnswer('x')),
]

function error(line: string, body: string, lines: readonly string[] = []): string {
  return httpAnswer([json, ...lines, `content-length: ${body.length}`], body, `HTTP/1.1 ${line}`)
}

const script: Script = (socket, _no, request) => {
  const key = /authorization: Bearer (\S+)/i.exec(request)?.[1] ?? ''
  const no = Number(/"model":"m(\d+)"/.exec(request)?.[1] ?? 0)
  const said = echoes[no % echoes.length]?.(key) ?? null
  if (said === null) socket.destroy()
  else socket.end(said)
}

const providerKeys = several(150)
const hookTokens = several(20)
const hookSecrets = several(20)
const prompts = several(420)
const guesses = several(60)
const adminToken = canary()
const pepper = canary()
const inline = several(40)

function configText(providerUrl: string): string {
  const providers = providerKeys.map((_, i) => {
    // One cannot be reached at all, and one not by the protocol it is called by.
    const url =
      i === 29
        ? 'http://127.0.0.1:9'
        : i % 30 === 28
          ? providerUrl.replace('http', 'https')
          : providerUrl
    const rest = `api_key: "\${PK_${i}}", models: [m${i}], free: true`
    return `  p${i}: { kind: openai_compatible, base_url: "${url}", ${rest} }`
  })
  const hooks = hookTokens.map(
    (_, i) => `    h${i}: { url: "${providerUrl}/\${HOOK_${i}}", secret: "\${HOOK_SECRET_${i}}" }`,
  )
  const steps = hookTokens.map((_, i) => `notify_webhook:h${i}`).join(', ')
  return `organization: acme
providers:
${providers.join('\n')}
budgets:
  - { name: all, budget_yearly_usd: 1000 }
  - { name: none, user: poor, budget_yearly_usd: 0 }
quotas:
  - { name: few, user: few, max_calls_per_day: 1 }
  - name: some
    agent: a0
    max_calls_per_day: 1000000
alerts: { default_ladder: [{ threshold: 0.000001, actions: [${steps}] }] }
notify:
  webhooks:
${hooks.join('\n')}
`
}

const envOf = (): Env => ({
  BURSAR_ADMIN_TOKEN: adminToken,
  BURSAR_SECRET_KEY: pepper,
  BURSAR_LOG: 'debug',
  ...Object.fromEntries(providerKeys.map((key, i) => [`PK_${i}`, key])),
  ...Object.fromEntries(hookTokens.map((token, i) => [`HOOK_${i}`, token])),
  ...Object.fromEntries(hookSecrets.map((secret, i) => [`HOOK_SECRET_${i}`, secret])),
})

/** Config files that are wrong where their secrets stand. */
const badConfigs = (secret: () => string): readonly string[] => [
  `providers: { p: { kind: openai_compatible, api_key: [${secret()}] } }`,
  `providers: { p: { kind: openai_compatible, api_kye: ${secret()} } }`,
  `providers: { p: { kind: openai_compatible, base_url: ${secret()}, api_key: ${secret()} } }`,
  `providers: { p: { kind: ${secret()}, api_key: ${secret()} } }`,
  `providers: { openai: { api_key: "${secret()} } }`,
  `providers:\n  openai: { api_key: ${secret()}\n  x: [`,
  `providers:\n  openai:\n    api_key: ${secret()}\n   base_url: ${secret()}`,
  `providers: { openai: ${secret()} }`,
  `providers: { openai: { api_key: !!x ${secret()} } }`,
  `providers: { openai: { api_key: &a ${secret()}, base_url: *a } }`,
  `providers: { openai: { api_key: ${secret()}, api_key: ${secret()} } }`,
  `providers: { openai: { api_key: "${'${'}${secret()}" } }`,
  `notify: { webhooks: { x: { url: [${secret()}], secret: { a: ${secret()} } } } }`,
  `notify: { webhooks: { x: { url: ${secret()}, secret: ${secret()} } }, slack: ${secret()} }`,
  `notify: { slack: { webhook_url: { x: ${secret()} } }, email: { smtp: ${secret()} } }`,
  `? { api_key: ${secret()} }\n: x`,
  `providers:\n  ? [${secret()}, ${secret()}]\n  : { api_key: ${secret()} }`,
  `notify: { pagerduty: { routing_key: ${secret()}, more: ${secret()} } }`,
]

interface Heard {
  /** What callers and commands were told. */
  readonly answers: string[]
}

async function send(
  program: Program,
  heard: Heard,
  key: string,
  body: string,
  more: Env = {},
): Promise<void> {
  const { 'x-path': path = '/v1/chat/completions', ...headers } = more
  const answer = await fetch(program.url + path, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${key}`, ...headers },
  }).catch(() => null)
  if (answer === null) return
  const text = await answer.text().catch(() => '')
  heard.answers.push(`${answer.status} ${JSON.stringify([...answer.headers])} ${text}`)
}

/** A call with `prompt` in it that fails in the `no`th way. */
function failing(no: number, prompt: string): readonly [body: string, more: Env] {
  const messages = `"messages":[{"role":"user","content":"${prompt}"}]`
  const well = `{"model":"m${no % 140}",${messages}}`
  const ways: readonly (readonly [string, Env])[] = [
    [well, {}],
    [well.replace('{', '{"stream":true,'), {}],
    [`${well}x`, {}],
    [well.replace('"content":', '"content" '), {}],
    [well.replace(prompt, `${prompt}\n`), {}],
    [well.slice(0, -4), {}],
    [`{"model":"m1","messages":"${prompt}"}`, {}],
    [`{"model":"m1","messages":[{"${prompt}":1,"${prompt}":2}]}`, {}],
    [`{"model":"gpt-99",${messages}}`, {}],
    [`{"model":"m1",${messages},"max_tokens":"${prompt}"}`, {}],
    [well, { 'bursar-user': 'poor' }],
    [well, { 'bursar-user': 'few' }],
    [`{"model":"m2","input":"${prompt}","background":true}`, { 'x-path': '/v1/responses' }],
    [`{"model":"m2","input":{"x":"${prompt}"}}`, { 'x-path': '/v1/responses' }],
    [
      `{"model":"claude-haiku-4-5","max_tokens":9,"system":"${prompt}",${messages}}`,
      { 'x-path': '/v1/messages' },
    ],
    [
      `{"contents":[{"parts":[{"text":"${prompt}"}]}]}`,
      { 'x-path': '/v1beta/models/m3:generateContent' },
    ],
    [well, { 'content-encoding': 'gzip' }],
    [well, { 'idempotency-key': 'one' }],
    [`{"model":"gpt-5-mini",${messages},"tools":[{"type":"web_search","x":"${prompt}"}]}`, {}],
    [`"${prompt}"`, {}],
    [`{"model":"m1",${messages},"n":"${prompt}"}`, {}],
  ]
  return ways[no % ways.length] ?? [well, {}]
}

/** Everything under `folder` but the two files whose purpose is to keep a secret. */
function bytesIn(folder: string): string {
  return readdirSync(folder)
    .filter((name) => !['admin-token', 'secret-key'].includes(name))
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('\n')
}

const found = (text: string, canaries: readonly string[]): readonly string[] =>
  canaries
    .filter((one) => text.includes(one))
    .map((one) => around(text, one))
    .slice(0, 5)

function around(text: string, one: string): string {
  const at = text.indexOf(one)
  return text.slice(Math.max(0, at - 120), at + 60)
}

const pages = `keys budgets overrides alerts deliveries audit calls config providers prices doctor
  budgets?limit=5 calls?limit=1000`.split(/\s+/)

test('C1, C2, C12, E4, E5: of a thousand secrets none is found where it does not belong', async () => {
  await using provider = await startRawProvider(script)
  const folder = mkdtempSync(join(tmpdir(), 'bursar-canaries-'))
  const file = join(folder, 'bursar.yaml')
  const data = join(folder, 'data')
  writeFileSync(file, configText(provider.url))
  const env = envOf()
  const program = await startProgram(['--config', file, '--data', data], env)
  const heard: Heard = { answers: [] }
  const admin = { authorization: `Bearer ${adminToken}` }
  try {
    const keys: string[] = []
    for (let i = 0; i < 300; i += 1) {
      const answer = await fetch(`${program.url}/api/v1/keys`, {
        method: 'POST',
        headers: admin,
        body: JSON.stringify({ name: `k${i}` }),
      })
      keys.push(((await answer.json()) as { key: string }).key)
    }
    // Every provider, every way to fail, every prompt.
    for (let i = 0; i < providerKeys.length; i += 1) {
      const body = `{"model":"m${i}","messages":[{"role":"user","content":"hi"}]}`
      await send(program, heard, keys[i] ?? '', body)
    }
    for (const [i, prompt] of prompts.entries()) {
      await send(program, heard, keys[i % keys.length] ?? '', ...failing(i, prompt))
    }
    // Keys that are wrong, in the wrong place, or sent twice.
    for (const [i, guess] of guesses.entries()) {
      const key = keys[i] ?? ''
      const well = '{"model":"m11","messages":[{"role":"user","content":"hi"}]}'
      await send(program, heard, i % 2 === 0 ? guess : `vk_${guess}`, well)
      await send(program, heard, key, well, { 'x-api-key': guess })
      await send(program, heard, key, well, { 'x-path': `/v1/${key}/vk_${guess}` })
      await send(program, heard, key, well, {
        'x-path': `/v1/chat/completions?key=${guess}&api_key=${key}`,
      })
      await fetch(`${program.url}/api/v1/keys`, { headers: { authorization: `Bearer ${guess}` } })
      const line = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key : ${guess}\r\n\r\n`
      heard.answers.push((await raw(program.url, line)).text)
    }
    // Admin requests that are wrong around a secret.
    for (const body of ['{"agent":', '{"key":"x"}', '[]', `{"expires_at":"x","agent":"a"}`]) {
      const answer = await fetch(`${program.url}/api/v1/keys`, {
        method: 'POST',
        headers: admin,
        body,
      })
      heard.answers.push(await answer.text())
    }
    // Configs that are wrong, loaded by the program and checked by the command.
    let used = 0
    const bad = badConfigs(() => inline[used++] ?? canary())
    for (const text of bad) {
      writeFileSync(file, text)
      program.child.kill('SIGHUP')
      heard.answers.push(await runProgram(['check', file], env))
      const refusals = (program.err().match(/"config_(refused|loaded)"/g) ?? []).length
      expect(refusals).toBeGreaterThan(0)
    }
    for (const page of pages) {
      const answer = await fetch(`${program.url}/api/v1/${page}`, { headers: admin })
      heard.answers.push(await answer.text())
    }
    heard.answers.push(await (await fetch(`${program.url}/metrics`, { headers: admin })).text())
    const cli = { ...env, BURSAR_URL: program.url }
    for (const command of [
      'key list',
      'budget list',
      'override list',
      'price list',
      'audit',
      'alert list',
    ]) {
      heard.answers.push(await runProgram([...command.split(' ')], cli))
      heard.answers.push(await runProgram([...command.split(' '), '--json'], cli))
    }
    heard.answers.push(await runProgram(['key', 'list'], { ...cli, BURSAR_ADMIN_TOKEN: canary() }))
    await until('hooks were tried', () => program.err().includes('notification_failed'), 10_000)
    await program.stop()

    expect(made.length + keys.length).toBeGreaterThanOrEqual(1000)
    const logs = program.out() + program.err()
    const kept = bytesIn(data)
    const said = heard.answers.join('\n')
    const secrets = [...made.filter((one) => !prompts.includes(one)), ...keys]
    // The log said much, or nothing would be proved by it.
    for (const kind of ['call_refused', 'call_ended', 'attempt_failed', 'config_refused']) {
      expect(logs, kind).toContain(kind)
    }
    expect(found(logs, [...secrets, ...prompts])).toEqual([])
    expect(found(kept, [...secrets, ...prompts])).toEqual([])
    expect(found(said, secrets)).toEqual([])
    // E5: one observation, one line, whatever the caller put into it.
    const lines = program
      .err()
      .split('\n')
      .filter((line) => line !== '')
    expect(lines.length).toBeGreaterThan(500)
    for (const line of lines) expect(JSON.parse(line), line).toHaveProperty('level')
  } finally {
    program.child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
