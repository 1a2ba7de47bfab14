/** Admin tokens: never more rights than their maker, gone everywhere when revoked, noted in use. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { apiAt, startWorld, until, type World } from '#test/support/bursar.ts'
import { startPostgres } from '#test/support/postgres.ts'

const config = `business_units:
  customers: { teams: { support: { agents: { resolver: {} } }, success: {} } }
budgets: [{ name: all, budget_yearly_usd: 1000 }]
`

interface Made {
  readonly id: string
  readonly token: string
  readonly expires_at: string | null
}

async function make(world: World, by: string, body: object): Promise<Made> {
  return (await apiAt(world.url, by)('/tokens', body)) as Made
}

const statusOf = async ({ url }: World, token: string, path = '/me'): Promise<number> => {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${url}/api/v1${path}`, { headers })).status
}

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString()

test('a token never makes one with more than its own rights', async () => {
  await using world = await startWorld({ config })
  const admin = 'adm_test'
  const finops = (await make(world, admin, { name: 'f', role: 'finops' })).token
  const unit = { name: 'u', role: 'lead', subtree: 'business_unit=customers' }
  const lead = (await make(world, finops, unit)).token
  const team = { role: 'lead', subtree: 'team=support' }
  const below = (await make(world, lead, { name: 't', ...team })).token
  const viewer = (await make(world, finops, { name: 'v', role: 'viewer' })).token
  const refused: readonly (readonly [token: string, body: object])[] = [
    [finops, { role: 'admin' }],
    [lead, { role: 'finops' }],
    [lead, { role: 'viewer' }],
    [lead, { role: 'admin' }],
    [below, { role: 'lead', subtree: 'business_unit=customers' }],
    [below, { role: 'lead', subtree: 'team=success' }],
    [viewer, { role: 'viewer' }],
  ]
  for (const [token, body] of refused) {
    const asked = make(world, token, { name: 'x', ...body })
    await expect(asked, JSON.stringify(body)).rejects.toThrow(/403/)
  }
  // What makes no sense is said to make none.
  for (const body of [
    { name: 'x', role: 'lead' },
    { name: 'x', role: 'viewer', subtree: 'team=support' },
    { name: 'x', role: 'lead', subtree: 'team=nowhere' },
    { name: 'x', role: 'lead', subtree: 'environment=prod' },
    { name: 'x', role: 'root' },
    { name: '', role: 'viewer' },
    { name: 'a\u202eb', role: 'viewer' },
    { name: 'x', role: 'viewer', hash: 'y' },
    { name: 'x', role: 'viewer', expires_at: '2020-01-01T00:00:00Z' },
  ]) {
    await expect(make(world, admin, body), JSON.stringify(body)).rejects.toThrow(/400/)
  }
  for (const name of ['f', 'admin', 'Bursar']) {
    const asked = make(world, admin, { name, role: 'viewer' })
    await expect(asked, name).rejects.toThrow(/409.*name_taken/)
  }
})

test('a token ends in time, and makes none that outlives it', async () => {
  await using world = await startWorld({ config })
  const at = soon(3_600_000)
  const parent = await make(world, 'adm_test', { name: 'a', role: 'finops', expires_at: at })
  const child = await make(world, parent.token, { name: 'b', role: 'viewer' })
  expect(child.expires_at).toBe(parent.expires_at)
  const later = { name: 'c', role: 'viewer', expires_at: soon(7_200_000) }
  await expect(make(world, parent.token, later)).rejects.toThrow(/403.*more_than_yours/)
  const brief = { name: 'd', role: 'viewer', expires_at: soon(300) }
  const { token } = await make(world, 'adm_test', brief)
  expect(await statusOf(world, token)).toBe(200)
  await until('it has ended', async () => (await statusOf(world, token)) === 401)
})

test('its secret is kept nowhere, and a virtual key is no token', async () => {
  const world = await startWorld({ config })
  const made = await make(world, 'adm_test', { name: 'a', role: 'admin' })
  const key = await world.key({ team: 'support' })
  expect(await statusOf(world, key)).toBe(401)
  for (const page of ['/tokens', '/audit']) {
    expect(JSON.stringify(await world.api(page))).not.toContain(made.token)
  }
  expect(JSON.stringify(await world.api('/audit'))).not.toMatch(/hash/)
  const [first] = (await world.api('/tokens')) as { last_used_at: string | null }[]
  expect(first?.last_used_at).toBeNull()
  expect(await statusOf(world, made.token)).toBe(200)
  const used = async (): Promise<string | null | undefined> =>
    ((await world.api('/tokens')) as { last_used_at: string | null }[])[0]?.last_used_at
  await until('its use is noted', async () => (await used()) !== null)
  expect(await used()).toMatch(/:00:00(\.000)?Z$/)
  const file = join(world.dataFolder, 'bursar.db')
  const bytes = readFileSync(file, 'latin1') + readFileSync(`${file}-wal`, 'latin1')
  await world[Symbol.asyncDispose]()
  expect(bytes).toContain(made.id)
  expect(bytes).not.toContain(made.token.slice(10))
})

test('it survives a restart, and so does its end', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  const databaseUrl = await postgres.database()
  const before = await startWorld({ config, databaseUrl })
  const kept = await make(before, 'adm_test', { name: 'a', role: 'viewer' })
  const gone = await make(before, 'adm_test', { name: 'b', role: 'viewer' })
  await before.api(`/tokens/${gone.id}/revoke`, { reason: 'it leaked' })
  await before[Symbol.asyncDispose]()
  await using after = await startWorld({ config, databaseUrl })
  expect(await statusOf(after, kept.token)).toBe(200)
  expect(await statusOf(after, gone.token)).toBe(401)
  expect(await after.api('/audit?limit=1')).toMatchObject([
    { action: 'token.revoked', actor: 'admin', identity: 'admin', reason: 'it leaked' },
  ])
})

test('made on one replica it opens all, revoked it opens none, each within a second', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  const databaseUrl = await postgres.database()
  await using a = await startWorld({ config, databaseUrl })
  await using b = await startWorld({ config, databaseUrl })
  const { id, token } = await make(a, 'adm_test', { name: 'a', role: 'finops' })
  await until('it opens', async () => (await statusOf(b, token)) === 200, 1000)
  // It was in use a moment ago, and its use noted: the end holds all the same.
  await a.api(`/tokens/${id}/revoke`, {})
  expect(await statusOf(a, token)).toBe(401)
  await until('it opens no more', async () => (await statusOf(b, token)) === 401, 1000)
  const verified = (await b.api('/audit/verify')) as { ok: boolean; rows: number }
  expect(verified).toMatchObject({ ok: true, rows: 2 })
})

test('a key takes no name of another part, whose limits per key it would use up', async () => {
  await using world = await startWorld({ config })
  const of = (subtree: string) => make(world, 'adm_test', { name: subtree, role: 'lead', subtree })
  const success = apiAt(world.url, (await of('team=success')).token)
  const support = apiAt(world.url, (await of('team=support')).token)
  const made = async (api: typeof success, body: object): Promise<string> =>
    ((await api('/keys', body)) as { name: string }).name
  expect(await made(support, { agent: 'resolver' })).toBe('resolver')
  expect(await made(support, { agent: 'resolver' })).toBe('resolver-2')
  expect(await made(support, { agent: 'resolver', name: 'night shift' })).toBe('night shift')
  for (const name of ['resolver', 'resolver-2', 'night shift']) {
    await expect(made(success, { team: 'success', name })).rejects.toThrow('Another part has a key')
  }
  // Those who may make both may have them spend together.
  expect(await made(support, { agent: 'resolver', name: 'night shift' })).toBe('night shift')
  expect(await made(success, { team: 'success' })).toBe('success')
})
