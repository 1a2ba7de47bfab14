import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { printTable } from '#cli/output.ts'
import { call, chatBody, startWorld, type World } from '#test/support/bursar.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bursar-cli-'))
let world: World

beforeAll(async () => {
  world = await startWorld({
    config: `organization: acme
budgets: [{ agent: resolver, environment: prod, budget_monthly_usd: 10 }]
environments: [dev, prod]
quotas: [{ per: user, max_calls_per_day: 100 }]
`,
  })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

function bursar(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', main, ...args],
      { env: { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test', ...env } },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

const json = async (...args: readonly string[]): Promise<unknown> => {
  const { code, out, err } = await bursar([...args, '--json'])
  expect(err).toBe('')
  expect(code).toBe(0)
  return JSON.parse(out)
}

test('keys: made, listed without their secret, rotated, revoked', async () => {
  const made = (await json('key', 'create', '--agent', 'resolver', '--environment', 'prod')) as {
    id: string
    key: string
  }
  expect(made).toMatchObject({
    id: expect.stringMatching(/^key_/),
    key: expect.stringMatching(/^vk_[0-9A-Za-z]{49}$/),
    agent: 'resolver',
    environment: 'prod',
  })
  const { out } = await bursar(['key', 'list', '--json'])
  expect(out).toContain(made.id)
  expect(out).not.toContain(made.key)
  const rotated = (await json('key', 'rotate', made.id)) as { id: string; key: string }
  expect(rotated.id).toBe(made.id)
  expect(rotated.key).not.toBe(made.key)
  const ask = (key: string): Promise<{ status: number }> =>
    call(world, key, '/v1/chat/completions', chatBody('hi'))
  expect((await ask(made.key)).status).toBe(401)
  expect((await ask(rotated.key)).status).toBe(200)
  expect(await json('key', 'revoke', made.id)).toMatchObject({ revoked_at: expect.any(String) })
  expect((await ask(rotated.key)).status).toBe(401)
})

test('budgets, a call, an override: the shapes that scripts rely on', async () => {
  const { key } = (await json('key', 'create', '--agent', 'resolver')) as { key: string }
  const answer = await call(world, key, '/v1/chat/completions', chatBody('hi'))
  const id = answer.headers.get('bursar-call-id') ?? ''
  expect(await json('call', id)).toMatchObject({
    id,
    agent: 'resolver',
    model: 'gpt-5-mini',
    state: 'settled',
    cost_usd: answer.headers.get('bursar-cost-usd'),
    usage: { output: expect.any(Number) },
    attempts: [{ state: 'settled', basis: 'actual' }],
  })
  const [budget] = (await json('budget', 'list')) as [{ id: string }]
  expect(budget).toMatchObject({
    id: expect.stringMatching(/^bud_/),
    selector: { agent: 'resolver', environment: 'prod' },
    period_start: expect.any(String),
    period_end: expect.any(String),
    limit_usd: '10.000000000',
    posted_usd: expect.stringMatching(/^0\.000\d{6}$/),
    pending_usd: '0.000000000',
    state: 'ok',
  })
  const request = ['override', 'request', '--budget', budget.id, '--extra-usd', '5']
  const asked = await json(...request, '--reason', 'launch', '--by', 'ann')
  expect(asked).toMatchObject({ state: 'requested', requested_by: 'ann', extra_usd: '5.000000000' })
  const { id: override } = asked as { id: string }
  const own = await bursar(['override', 'approve', override, '--by', 'ann'])
  expect([own.code, own.err]).toEqual([1, expect.stringContaining('Somebody else must approve')])
  // Another name is not another person: that takes a token of one's own.
  const other = await bursar(['override', 'approve', override, '--by', 'bob'])
  expect([other.code, other.err]).toEqual([1, expect.stringContaining('Somebody else')])
  const bob = (await json('token', 'create', '--name', 'bob', '--role', 'finops')) as {
    token: string
  }
  const approved = await bursar(['override', 'approve', override, '--json'], {
    BURSAR_ADMIN_TOKEN: bob.token,
  })
  expect(JSON.parse(approved.out)).toMatchObject({
    state: 'approved',
    requested_by: 'ann',
    requested_through: 'admin',
    approved_by: 'bob',
    self: false,
  })
  expect(await json(...request, '--reason', 'more', '--self')).toMatchObject({
    state: 'approved',
    self: true,
  })
  expect(((await json('quota', 'list')) as unknown[]).length).toBe(1)
})

test('admin tokens: made, listed without their secret, revoked; who one is', async () => {
  const made = (await json('token', 'create', '--name', 'ci', '--role', 'viewer')) as {
    id: string
    token: string
  }
  expect(made).toMatchObject({ id: expect.stringMatching(/^tok_[0-9a-f]{24}$/), role: 'viewer' })
  expect(made.token).toMatch(/^bat_[0-9A-Za-z]{43}$/)
  const as = { BURSAR_ADMIN_TOKEN: made.token }
  expect((await bursar(['whoami'], as)).out).toMatch(/ci +viewer/)
  const denied = await bursar(['key', 'create', '--agent', 'resolver'], as)
  expect([denied.code, denied.err]).toEqual([4, expect.stringContaining('ci has the role viewer')])
  const { out } = await bursar(['token', 'list', '--json'])
  expect(out).toContain(made.id)
  expect(out).not.toContain(made.token)
  expect((await bursar(['token', 'create', '--name', 'x', '--role', 'lead'])).code).toBe(2)
  await json('token', 'revoke', made.id, '--reason', 'done')
  expect((await bursar(['whoami'], as)).code).toBe(4)
})

test('the audit log is verified, and what was done to it behind our back is named', async () => {
  const first = (await json('audit', 'verify')) as { ok: boolean; rows: number; head: string }
  expect(first).toMatchObject({ ok: true, findings: [] })
  expect(first.rows).toBeGreaterThan(5)
  await json('key', 'create', '--agent', 'resolver')
  const kept = await bursar(['audit', 'verify', '--head', first.head])
  expect([kept.code, kept.out]).toEqual([0, expect.stringContaining(`${first.rows + 1} rows`)])
  expect((await bursar(['audit', 'verify', '--head', 'f00'])).code).toBe(2)
  const db = new DatabaseSync(join(world.dataFolder, 'bursar.db'))
  db.exec('drop trigger audit_is_a_fact')
  db.exec(`update audit set json = replace(json, '"actor":"admin"', '"actor":"nadim"')
           where seq = 3`)
  db.close()
  const found = await bursar(['audit', 'verify'])
  expect([found.code, found.out]).toEqual([3, ''])
  expect(found.err).toMatch(/^row 3, aud_\w+: it was changed after it was written/)
})

test('tables for people, without control characters', async () => {
  const refused = await bursar(['key', 'create', '--agent', 'resolver', '--name', 'a\u202eb'])
  expect(refused).toMatchObject({ code: 2, out: '' })
  const { out } = await bursar(['key', 'list'])
  expect(out).toMatch(/^ID +NAME/)
  // What got in all the same is shown, not obeyed.
  let shown = ''
  const show = (text: string): void => {
    shown += text
  }
  printTable({ out: show, err: () => {} }, [{ name: 'a\u202eb' }], ['name'])
  expect(shown).toContain('a\\u{202e}b')
})

test('check: a good file, and a bad one with file, line and column', async () => {
  const good = join(folder, 'good.yaml')
  const bad = join(folder, 'bad.yaml')
  writeFileSync(good, 'agent: a\nbudget_daily_usd: 5\n')
  writeFileSync(bad, 'agent: a\nbudget_dayly_usd: 5\n')
  expect(await bursar(['check', good])).toMatchObject({ code: 0, out: `${good}: ok\n` })
  const found = await bursar(['check', bad])
  expect(found.code).toBe(3)
  expect(found.err).toContain(`${bad}:2:1: unknown key "budget_dayly_usd"`)
  expect((await bursar(['check', join(folder, 'none.yaml')])).code).toBe(1)
})

test('what needs no server needs none', async () => {
  const nobody = { BURSAR_URL: 'http://127.0.0.1:9' }
  expect((await bursar(['version'], nobody)).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  const { out } = await bursar(['schema'], nobody)
  expect((JSON.parse(out) as { title: string }).title).toBe('Bursar config')
  const prices = JSON.parse((await bursar(['price', 'list', '--json'], nobody)).out) as unknown[]
  expect(prices.length).toBeGreaterThan(50)
  expect((await bursar(['price', 'show', 'gpt-99'], nobody)).code).toBe(1)
})

test('exit codes', async () => {
  expect((await bursar(['budget', 'list'], { BURSAR_URL: 'http://127.0.0.1:9' })).code).toBe(5)
  expect((await bursar(['budget', 'list'], { BURSAR_ADMIN_TOKEN: 'wrong' })).code).toBe(4)
  expect((await bursar(['budgets'])).code).toBe(2)
  expect((await bursar(['key', 'create'])).code).toBe(2)
  expect((await bursar(['override', 'request', '--budget', 'bud_x'])).code).toBe(2)
  expect((await bursar(['up', '--listen', 'nonsense'])).code).toBe(2)
  expect((await bursar(['up', '--config', join(folder, 'none.yaml')])).code).toBe(1)
  expect((await bursar(['--help'])).code).toBe(0)
})
