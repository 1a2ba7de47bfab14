/** Outcomes through the running server: told by API and CLI, their cost made by a maker's SDK. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiAt, auditBooks, startWorld, until, type World } from '#test/support/bursar.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname
const execute = promisify(execFile)
const config = `business_units:
  support:
    teams:
      care: { agents: { resolver: {}, triage: {} } }
      lab: { agents: { other: {} } }
budgets: [{ name: all, budget_yearly_usd: 1000 }]
outcomes:
  resolved_case: { one_per: conversation, compare_usd: 0.99, human_minute_usd: 0.75 }
  slow_case: { quiet_period: 72h }
  checked_case: { attested_by: [human] }
policy: { platform_fee_percent: 5 }
`
let world: World
const folder = mkdtempSync(join(tmpdir(), 'bursar-csv-'))
beforeAll(async () => {
  world = await startWorld({ config })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function bursar(...args: readonly string[]): Promise<{ code: number; text: string }> {
  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  const flags = ['--disable-warning=ExperimentalWarning', main]
  try {
    const { stdout } = await execute(process.execPath, [...flags, ...args], { env })
    return { code: 0, text: stdout }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, text: stdout + stderr }
  }
}

/** A conversation of so many calls, by the maker's SDK. */
async function talk(
  agent: string,
  conversation: string,
  calls = 1,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const client = new OpenAI({ apiKey: await world.key({ agent }), baseURL: `${world.url}/v1` })
  for (let n = 0; n < calls; n += 1) {
    await client.chat.completions.create(
      { model: 'gpt-5-mini', messages: [{ role: 'user', content: `${conversation} ${n}` }] },
      { headers: { 'bursar-conversation': conversation, 'bursar-sim': 'tokens=100', ...headers } },
    )
  }
}

const settled = (): Promise<void> =>
  until('all have ended', async () => (await world.bursar.store.openHolds()) === 0)
const nanosOf = (usd: string): bigint => BigInt(usd.replace('.', ''))

interface Row {
  readonly group: string | null
  readonly outcomes: number
  readonly calls: number
  readonly metered_usd: string
  readonly cost_usd: string
  readonly cost_per_outcome_usd: string | null
  readonly low_usd: string | null
  readonly high_usd: string | null
  readonly layers: Readonly<Record<string, string>>
}
interface Report extends Row {
  readonly few: boolean
  readonly provisional: number
  readonly reversed: number
  readonly fates: Readonly<Record<string, string>>
  readonly compare_usd: string
  readonly as_reported: { readonly outcomes: number; readonly removed_since: number }
  readonly rows: readonly Row[]
}
const report = async (query: string): Promise<Report> =>
  (await world.api(`/reports/unit-cost?${query}`)) as Report

test('from calls and outcomes to what one cost, and the sums are the ledger’s', async () => {
  for (const name of ['won', 'lost', 'open']) await talk('resolver', name, 2)
  await talk('triage', 'won')
  await talk('other', 'elsewhere')
  await settled()
  const added = await bursar(
    'outcome',
    'add',
    '--id',
    't1',
    '--type',
    'resolved_case',
    '--conversation',
    'won',
    '--human-minutes',
    '2',
  )
  expect(added).toEqual({ code: 0, text: 't1 claimed\n' })
  const again = await bursar(
    'outcome',
    'add',
    '--id',
    't1',
    '--type',
    'resolved_case',
    '--conversation',
    'won',
    '--human-minutes',
    '2',
  )
  expect(again.text).toBe('t1 claimed before: nothing changed\n')
  await world.api('/outcomes', { id: 't2', type: 'resolved_case', conversation: 'lost' })
  await world.api('/outcomes', { reverses: 't2', cause: 'reopened' })

  const found = await report('type=resolved_case&by=agent')
  const spend = (await world.api('/reports/spend?by=agent')) as {
    agent: string
    cost_usd: string
  }[]
  const ofAgents = spend.filter(({ agent }) => agent !== 'other')
  const ledger = ofAgents.reduce((sum, { cost_usd }) => sum + nanosOf(cost_usd), 0n)
  expect(nanosOf(found.metered_usd)).toBe(ledger)
  expect(Object.values(found.fates).reduce((sum, usd) => sum + nanosOf(usd), 0n)).toBe(ledger)
  expect(found).toMatchObject({
    outcomes: 1,
    reversed: 1,
    calls: 7,
    few: true,
    compare_usd: '0.990000000',
  })
  const fee = (ledger * 5n + 99n) / 100n
  expect(nanosOf(found.layers.platform_fee_usd ?? '')).toBe(fee)
  expect(found.layers.human_usd).toBe('1.500000000')
  expect(nanosOf(found.cost_usd)).toBe(ledger + fee + 1_500_000_000n)
  expect(found.cost_per_outcome_usd).toBe(found.cost_usd)
  expect(Number(found.low_usd)).toBeLessThan(Number(found.cost_usd))
  expect(Number(found.high_usd)).toBeGreaterThan(Number(found.cost_usd))
  // Triage spoke last: the outcome is counted as its own, the cost stays with who had it.
  expect(found.rows.map(({ group, outcomes }) => [group, outcomes]).sort()).toEqual([
    ['resolver', 0],
    ['triage', 1],
  ])
  const parts = found.rows.reduce((sum, { cost_usd }) => sum + nanosOf(cost_usd), 0n)
  expect(parts).toBe(nanosOf(found.cost_usd))
  expect(await auditBooks(world)).toBe(0)

  const told = await bursar('report', 'unit-cost', '--type', 'resolved_case', '--by', 'agent')
  expect(told.text).toContain(`${found.cost_per_outcome_usd} USD each`)
  expect(told.text).toContain('fewer than 30 outcomes')
})

test('the same id with other content is refused, and changes nothing', async () => {
  await world.api('/outcomes', { id: 'same', type: 'resolved_case', conversation: 'same' })
  const other = { id: 'same', type: 'resolved_case', conversation: 'another' }
  await expect(world.api('/outcomes', other)).rejects.toThrow('409')
  await expect(world.api('/outcomes', other)).rejects.toThrow('is never edited')
  const rows = (await world.api('/outcomes?limit=1000')) as { id: string; conversation: string }[]
  expect(rows.filter(({ id }) => id === 'same').map((one) => one.conversation)).toEqual(['same'])
  const audit = (await world.api('/audit?limit=100')) as { action: string; subject: string }[]
  const own = audit.filter(({ subject }) => subject === 'same')
  expect(own.map(({ action }) => action)).toEqual(['outcome.claimed'])
})

test('a hundred at once, each told five times, are a hundred', async () => {
  const tell = (n: number): Promise<unknown> =>
    world.api('/outcomes', {
      id: `many${n}`,
      type: 'checked_case',
      agent: 'other',
      tenant: 't',
      at: '2020-01-05',
    })
  const numbers = Array.from({ length: 500 }, (_, i) => i % 100)
  await Promise.all(numbers.map(tell))
  const found = await report('type=checked_case&from=2020-01-01&to=2020-02-01')
  expect(found).toMatchObject({ outcomes: 0, provisional: 100 })
  await world.api('/outcomes', { confirms: 'many7', attested_by: 'agent' })
  await world.api('/outcomes', { confirms: 'many8', attested_by: 'human' })
  const after = await report('type=checked_case&from=2020-01-01&to=2020-02-01')
  expect(after).toMatchObject({ outcomes: 1, provisional: 99 })
})

test('told five times at once without saying when, it is booked once', async () => {
  const numbers = Array.from({ length: 200 }, (_, i) => i % 40)
  const tell = (n: number): Promise<unknown> =>
    world.api('/outcomes', { id: `race${n}`, type: 'checked_case', agent: 'other', tenant: 'r' })
  const told = (await Promise.all(numbers.map(tell))) as { repeated?: boolean }[]
  expect(told.filter(({ repeated }) => repeated === true)).toHaveLength(160)
})

test('a reversal after the close: as reported and as known differ by exactly it', async () => {
  for (const id of ['a', 'b', 'c']) {
    await world.api('/outcomes', {
      id: `m${id}`,
      type: 'slow_case',
      agent: 'other',
      tenant: id,
      at: '2026-10-30T12:00:00Z',
    })
  }
  const october = 'type=slow_case&from=2026-10-01&to=2026-11-01'
  const closed = new Date(Date.now() + 1).toISOString()
  await until('the books are closed', () => Date.now() > Date.parse(closed))
  expect(await report(october)).toMatchObject({ outcomes: 3 })
  await world.api('/outcomes', { reverses: 'mb', cause: 'reopened' })
  const now = await report(`${october}&closed_at=${closed}`)
  expect(now).toMatchObject({ outcomes: 2, reversed: 1 })
  expect(now.as_reported).toMatchObject({ outcomes: 3, removed_since: 1, added_since: 0 })
})

test('CSV: each good row once, each bad one with its line', async () => {
  const file = join(folder, 'tickets.csv')
  writeFileSync(
    file,
    '\ufeffTicket;Solved;Session\n' +
      'z1;2026-09-01T10:00:00Z;s1\n' +
      '"z2";2026-09-02;"s;2"\n' +
      'z3;yesterday;s3\n' +
      'z1;2026-09-01T10:00:00Z;s1\n' +
      'z4;2026-09-02;\n',
  )
  const args = [
    'outcome',
    'import',
    file,
    '--type',
    'resolved_case',
    '--map',
    'id=Ticket',
    'at=Solved',
    'conversation=Session',
  ]
  const done = await bursar(...args)
  expect(done.code).toBe(3)
  expect(done.text).toContain('2 added, 1 known before')
  expect(done.text).toContain('tickets.csv:4: at: "yesterday" is no time')
  expect(done.text).toMatch(/tickets.csv:6: .*say what it is an outcome of/)
  expect((await bursar(...args)).text).toContain('0 added, 3 known before')
  const list = await bursar('outcome', 'list', '--from', '2026-09-01', '--to', '2026-10-01')
  expect(list.text).toMatch(/z1 +resolved_case +confirmed/)
  expect(list.text).toContain('s;2')
  const months = await report('type=resolved_case&from=2026-09-01&to=2026-10-01')
  expect(months).toMatchObject({ outcomes: 2, calls: 0, cost_per_outcome_usd: '0.000000000' })
})

test.each([
  [{ type: 'resolved_case', conversation: 'x' }, 'give it an id of yours'],
  [{ id: 'e', type: 'won_deal', conversation: 'x' }, 'defined are: resolved_case, slow_case'],
  [{ id: 'e', type: 'resolved_case', run: 'x' }, 'is one per conversation'],
  [{ id: 'e', type: 'slow_case' }, 'say what it is an outcome of'],
  [{ id: 'e', type: 'slow_case', run: 'x', call: 'y' }, 'not both'],
  [{ id: 'e', type: 'slow_case', call: 'call_none' }, 'the ledger has no call'],
  [{ id: 'e', type: 'slow_case', run: 'x', at: '2099-01-01' }, 'it has not happened yet'],
  [{ id: 'e', type: 'slow_case', run: 'x', value_usd: '-1' }, 'write an amount'],
  [{ reverses: 'nothing' }, 'there is no outcome \\"nothing\\"'],
  [{ id: 'a\nb', type: 'slow_case', run: 'x' }, 'without line breaks'],
])('%j is refused in words', async (body, words) => {
  await expect(world.api('/outcomes', body)).rejects.toThrow(words)
})

test('a lead sees and tells of his own, and nothing else', async () => {
  const token = (await world.api('/tokens', {
    name: 'lee',
    role: 'lead',
    subtree: 'team=care',
  })) as { token: string }
  const lead = apiAt(world.url, token.token)
  await lead('/outcomes', { id: 'l1', type: 'slow_case', agent: 'triage', tenant: 't' })
  const foreign = { id: 'l2', type: 'slow_case', agent: 'other', tenant: 't' }
  await expect(lead('/outcomes', foreign)).rejects.toThrow('is not in team=care')
  const nobodys = { id: 'l3', type: 'slow_case', conversation: 'c' }
  await expect(lead('/outcomes', nobodys)).rejects.toThrow('Say which agent of yours')
  const claimed = { ...nobodys, agent: 'triage' }
  await expect(lead('/outcomes', claimed)).rejects.toThrow('Name a call of the conversation')
  await expect(lead('/outcomes', { reverses: 'mc' })).rejects.toThrow('403')
  const rows = (await lead('/outcomes')) as { id: string }[]
  expect(rows.map(({ id }) => id)).toEqual(['l1'])
  const own = (await lead('/reports/unit-cost?type=resolved_case&by=agent')) as Report
  expect(own.rows.map(({ group }) => group).sort()).toEqual(['resolver', 'triage'])
  expect(own.outcomes).toBe(1)
  const others = (await lead('/reports/unit-cost?type=checked_case&from=2020-01-01')) as Report
  expect(others).toMatchObject({ outcomes: 0, provisional: 0 })
})

test('an agent tells of an outcome with the call that brought it', async () => {
  const key = await world.key({ agent: 'resolver', tenant: 'acme' })
  const client = new OpenAI({ apiKey: key, baseURL: `${world.url}/v1` })
  const say = async (outcome: string, conversation: string): Promise<Response> => {
    const headers = { 'bursar-conversation': conversation, 'bursar-outcome': outcome }
    const body = { model: 'gpt-5-mini', messages: [{ role: 'user' as const, content: 'hi' }] }
    return client.chat.completions.create(body, { headers }).asResponse()
  }
  const first = await say('resolved_case', 'h1')
  expect(first.headers.get('bursar-warning')).toBeNull()
  await say('resolved_case', 'h1')
  await say('resolved_case/T-9', 'h2')
  await say('resolved_case/T-9', 'h2')
  const odd = await say('won_war', 'h3')
  expect(odd.headers.get('bursar-warning')).toContain('no outcome type "won_war"; there are: res')
  interface Listed {
    readonly id: string
    readonly source: string
    readonly conversation: string
    readonly repeats: string | null
  }
  const own = async (): Promise<readonly Listed[]> =>
    ((await world.api('/outcomes?limit=1000')) as Listed[]).filter((one) => one.source === 'header')
  await until('all are booked', async () => (await own()).length === 3)
  const told = await own()
  expect(told.map(({ conversation, repeats }) => [conversation, repeats])).toEqual([
    ['h1', null],
    ['h1', told[0]?.id],
    ['h2', null],
  ])
  expect(told[2]).toMatchObject({ id: 'T-9', attested_by: 'agent', tenant: 'acme' })
  const audit = (await world.api('/audit?limit=5')) as { subject: string; identity: string }[]
  expect(audit.find(({ subject }) => subject === 'T-9')?.identity).toMatch(/^key_/)
})

test('a page after the other, and by type, time and state', async () => {
  const rows = Array.from({ length: 25 }, (_, i) => `p${i},slow_case,r${i},2019-03-0${1 + (i % 5)}`)
  const csv = `id,type,run,at\n${rows.join('\n')}`
  expect(await world.api('/outcomes/import', { csv })).toMatchObject({ added: 25, errors: [] })
  await world.api('/outcomes', { reverses: 'p3', cause: 'reopened' })
  const query = 'type=slow_case&from=2019-03-01&to=2019-04-01'
  const ids: string[] = []
  for (let after = 0; ; ) {
    const page = (await world.api(`/outcomes?${query}&limit=10&after=${after}`)) as {
      id: string
      seq: number
    }[]
    ids.push(...page.map(({ id }) => id))
    after = page.at(-1)?.seq ?? 0
    if (page.length < 10) break
  }
  expect(ids).toEqual(rows.map((row) => row.split(',')[0]))
  const some = async (more: string): Promise<number> =>
    ((await world.api(`/outcomes?${query}${more}&limit=4`)) as unknown[]).length
  expect(await some('&state=reversed')).toBe(1)
  expect(await some('&state=provisional')).toBe(0)
  expect(await some('&state=confirmed')).toBe(4)
  expect(await world.api('/outcomes?type=slow_case&from=2019-03-05&to=2019-03-06')).toHaveLength(5)
})

test('a CSV sent as it is', async () => {
  const answer = await fetch(`${world.url}/api/v1/outcomes/import?type=slow_case`, {
    method: 'POST',
    headers: { authorization: 'Bearer adm_test', 'content-type': 'text/csv; charset=utf-8' },
    body: 'id,run,value\nraw1,r,12.50\nraw2,r,much\n',
  })
  expect(await answer.json()).toEqual({
    added: 1,
    repeated: 0,
    errors: [{ line: 3, message: expect.stringContaining('write an amount such as 12.50') }],
  })
  const told = { id: 'raw1', type: 'slow_case', run: 'r', value: '12.50' }
  // It happened when it was told, where nobody says when.
  expect(await world.api('/outcomes', told)).toMatchObject({ repeated: true })
  const both = { ...told, id: 'raw3', value_usd: '1' }
  await expect(world.api('/outcomes', both)).rejects.toThrow('say one of them')
})
