/** `bursar unit-cost` as a process: files in, a number out, no server anywhere. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'

const samples = new URL('../golden/bills/', import.meta.url).pathname
const anthropic = `${samples}anthropic/console_cost_export.synthetic.csv`
const focus = `${samples}focus/focus_1.2_ai.synthetic.csv`
const folder = mkdtempSync(join(tmpdir(), 'bursar-unit-cost-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const columns = join(folder, 'columns.json')
const root = new URL('../../', import.meta.url).pathname
const main = `${root}src/main.ts`

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const run = (...args: readonly string[]): Promise<Ran> => runWith({}, ...args)

function runWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', main, 'unit-cost', ...args],
      { cwd: root, env: { ...process.env, BURSAR_COLUMNS: columns, ...env } },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

const money = z.string().regex(/^-?\d+(\.\d+)?$/)
const row = z.looseObject({
  cost_usd: money,
  outcomes: z.number(),
  each_usd: money.nullable(),
  low_usd: money.nullable(),
  high_usd: money.nullable(),
})
const answer = row.extend({
  from: z.string(),
  to: z.string(),
  groups: z.array(row),
  unmatched: z.array(row),
  compare: z.array(z.looseObject({ vendor: z.string(), price_usd: money, verdict: z.string() })),
  not_counted: z.array(z.looseObject({ what: z.string(), count: z.number() })),
  findings: z.array(z.string()),
})

async function json(...args: readonly string[]) {
  const { code, out, err } = await run(...args, '--json')
  expect([code, err]).toEqual([0, ''])
  return answer.parse(JSON.parse(out))
}

const tickets = file(
  'tickets.csv',
  `Ticket ID,Status,Closed at,Agent,Queue
1,Solved,2026-10-05T10:00:00Z,support-bot,a
2,solved,2026-10-06T10:00:00Z,Support Bot,a
2,solved,2026-10-06T10:00:00Z,Support Bot,a
3,open,,support-bot,b
4,Solved,2026-10-06T10:00:00Z,support-bot,a
4,Reopened,2026-10-07T10:00:00Z,support-bot,a
5,Solved,2026-11-01T10:00:00Z,support-bot,b
6,Closed,2026-10-08T09:00:00Z,billing-bot,b
7,Solved,2026-10-08T23:59:59Z,support_bot,b
`,
)

test('one command: a bill of Anthropic and a CSV of tickets', async () => {
  const found = await json('--bill', anthropic, '--outcomes', tickets)
  expect(found).toMatchObject({
    cost_usd: '6.4432046',
    outcomes: 4,
    each_usd: '1.610801',
    from: '2026-10-05',
    to: '2026-10-08',
  })
  // The exact interval of four is 1.0899 .. 10.2416.
  expect(Number(found.low_usd)).toBeCloseTo(6.4432046 / 10.2416, 4)
  expect(Number(found.high_usd)).toBeCloseTo(6.4432046 / 1.0899, 3)
  expect(found.not_counted).toEqual([
    expect.objectContaining({ what: 'outcomes with status "open"', count: 1 }),
    expect.objectContaining({ what: 'outcomes with status "Reopened"', count: 1 }),
    expect.objectContaining({ what: 'further rows of outcomes already counted', count: 2 }),
    expect.objectContaining({ what: 'outcomes on days that the bill does not have', count: 1 }),
  ])
  expect(found.compare[0]).toMatchObject({ vendor: 'HubSpot Customer Agent', price_usd: '0.5' })
  const { code, out, err } = await run('--bill', anthropic, '--outcomes', tickets)
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain('$6.44 / 4 outcomes = $1.61 each')
  expect(out).toContain('95 % interval $0.63 to $5.91')
})

test('the README: its command, and what it prints', async () => {
  const page = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const [, command = ''] = /npx bursar unit-cost (.*)\n/.exec(page) ?? []
  const { code, out } = await run(...command.split(' '))
  expect(code).toBe(0)
  const printed = out.split('\n').slice(1, 3)
  expect(printed).toHaveLength(2)
  for (const line of printed) expect(page).toContain(line.trim())
})

test('without DuckDB text is read all the same, and Parquet says what to install', async () => {
  const hide =
    'import{registerHooks}from"node:module";' +
    'registerHooks({resolve(s,c,n){if(s.startsWith("@duckdb"))throw Error("none");return n(s,c)}})'
  // Encoded, since Node takes quotes in its options for its own.
  const without = {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hide)}`,
  }
  const large = file('large.csv', largeBill(40_000_000))
  const asked = ['--bill', large, '--outcomes', tickets]
  const { code, out, err } = await runWith(without, ...asked, '--json')
  expect([code, err]).toEqual([0, ''])
  const alone = answer.parse(JSON.parse(out))
  expect(alone).toEqual(await json(...asked))
  const parquet = file('a.parquet', 'PAR1 and so on')
  const refused = await runWith(without, '--bill', parquet, '--outcomes', tickets)
  expect([refused.code, refused.err]).toEqual([
    1,
    expect.stringContaining('npm install @duckdb/node-api'),
  ])
})

/** The sample over and over, with line ends and a byte order mark as Windows writes them. */
function largeBill(bytes: number): string {
  const [header = '', ...rows] = readFileSync(anthropic, 'utf8').trim().split(/\r?\n/)
  const block = `${rows.join('\r\n')}\r\n`
  return `\ufeff${header}\r\n${block.repeat(Math.ceil(bytes / block.length))}`
}

test('groups by agent add up to the bill; what does not match is named with its amount', async () => {
  const found = await json('--bill', focus, '--outcomes', tickets, '--by', 'agent')
  const groups = found.groups.map(({ agent, cost_usd, outcomes }) => [agent, cost_usd, outcomes])
  expect(groups).toEqual(
    [
      ['sales-bot', '2.4', 0],
      ['support-bot', '2.2972873', 2],
      ['billing-bot', '0', 0],
    ].slice(0, groups.length),
  )
  expect(found.cost_usd).toBe('4.6972873')
  expect(found.unmatched[0]).toMatchObject({ agent: 'sales-bot', cost_usd: '2.4', outcomes: 0 })
})

test('a bill by the month has all of its days; tax for the month makes none', async () => {
  const monthly = readFileSync(focus, 'utf8').replaceAll(
    /2026-10-0[67]T00:00:00Z,2026-10-0[56]T00:00:00Z/g,
    '2026-11-01,2026-10-01',
  )
  const found = await json('--bill', file('monthly.csv', monthly), '--outcomes', tickets)
  expect(found).toMatchObject({ from: '2026-10-01', to: '2026-10-31', outcomes: 4 })
  const cur = `${samples}aws/cur2_bedrock.synthetic.csv`
  expect(await json('--bill', cur, '--outcomes', tickets)).toMatchObject({
    cost_usd: '12.809983425',
    from: '2026-10-05',
    to: '2026-10-05',
    outcomes: 1,
  })
})

test('names that every object has are only names', async () => {
  const odd = readFileSync(focus, 'utf8')
    .replaceAll('support-bot', '__proto__')
    .replaceAll(',Usage,', ',constructor,')
  const rows = 'id,status,closed_at,agent\n1,done,2026-10-05,__proto__\n'
  const asked = ['--bill', file('odd-names.csv', odd), '--outcomes', file('odd-rows.csv', rows)]
  const { groups, cost_usd } = await json(...asked, '--by', 'agent')
  expect(cost_usd).toBe('4.6972873')
  expect(groups.map(({ agent, outcomes }) => [agent, outcomes])).toContainEqual(['__proto__', 1])
  expect((await run(...asked, '--by', 'constructor')).code).toBe(2)
})

test('names of the bill are mapped once, and kept; names of agents are made one', async () => {
  const asked = ['--bill', anthropic, '--outcomes', tickets, '--by', 'agent']
  const refused = await run(...asked)
  expect(refused.code).toBe(2)
  expect(refused.err).toContain('--map api_key=agent')
  const mapped = await json(...asked, '--map', 'bill:api_key=agent')
  expect(mapped.groups[0]).toMatchObject({ agent: 'support-bot-key', outcomes: 0 })
  const same = await json(...asked, '--same', 'support-bot-key=support-bot')
  expect(same.groups[0]).toMatchObject({ cost_usd: '6.4432046', outcomes: 3 })
  expect(readFileSync(columns, 'utf8')).toContain('"apikey": "agent"')
})

test('a bill that nobody knows is shown with what its columns could be', async () => {
  const odd = file('odd.csv', 'When,What it cost,Which bot\n2026-10-05,1.25,support-bot\n')
  const asked = ['--bill', odd, '--outcomes', tickets]
  const refused = await run(...asked)
  expect(refused.code).toBe(1)
  expect(refused.err).toContain('What it cost  ->  cost')
  const flags = ['--map', 'When=day', 'What it cost=cost', 'Which bot=agent']
  const found = await json(...asked, '--by', 'agent', ...flags)
  expect(found.groups[0]).toMatchObject({ agent: 'support-bot', cost_usd: '1.25' })
  expect((await json(...asked)).cost_usd).toBe('1.25')
})

test('patterns, gzip, and files of several providers in one bill', async () => {
  file('a.part', gzipSync(readFileSync(anthropic)))
  file('b.part', readFileSync(`${samples}openai/costs.synthetic.json`))
  file('c.part', readFileSync(`${samples}gcp/billing_export_detailed.synthetic.jsonl`))
  const bills = ['--bill', join(folder, '*.part')]
  // The outcomes have no provider: what one side lacks cannot group both.
  const refused = await run(...bills, '--outcomes', tickets, '--by', 'provider,day')
  expect(refused.code).toBe(2)
  expect(refused.err).toContain('the outcomes have no column for provider')
  const whole = await json(...bills, '--outcomes', tickets, '--by', 'day')
  expect(whole.cost_usd).toBe('8.882284875')
  expect(whole.groups.map(({ day }) => day)).toEqual(['2026-10-05', '2026-10-06', '2026-10-08'])
})

test('two kinds of bill of the same days, and bad rows, end with findings', async () => {
  const both = [anthropic, `${samples}anthropic/cost_report.synthetic.json`]
  const twice = await run('--bill', ...both, '--outcomes', tickets)
  expect(twice.code).toBe(3)
  expect(twice.err).toContain('anthropic: anthropic-cost-csv and anthropic-cost both bill 3 days')
  const bad = file('bad.csv', `${readFileSync(anthropic, 'utf8')}2026-10-09,broken\n`)
  const broken = await run('--bill', bad, '--outcomes', tickets, '--json')
  expect(broken.code).toBe(3)
  expect(answer.parse(JSON.parse(broken.out)).findings).toEqual([
    `${bad}, row 19: 2 cells, where the header has 14`,
  ])
  const cad = file('cad.csv', readFileSync(focus, 'utf8').replaceAll(',USD,', ',CAD,'))
  const foreign = await run('--bill', cad, focus, '--outcomes', tickets)
  expect(foreign.code).toBe(3)
  expect(foreign.err).toContain('4.6972873 CAD')
  const rated = await json('--bill', cad, '--outcomes', tickets, '--rate', 'CAD=0.5')
  expect(rated.cost_usd).toBe('2.34864365')
})

test('usage without money, other services, missing files: told in a line that says what to do', async () => {
  const usage = await run(
    '--bill',
    `${samples}anthropic/console_usage_export.synthetic.csv`,
    '--outcomes',
    tickets,
  )
  expect([usage.code, usage.err]).toEqual([1, expect.stringContaining('give the cost report')])
  const none = await run('--bill', join(folder, 'none.csv'), '--outcomes', tickets)
  expect([none.code, none.err]).toEqual([1, expect.stringContaining('there is no file')])
  expect((await run('--bill', anthropic)).code).toBe(2)
  const later = await run('--bill', anthropic, '--outcomes', tickets, '--from', '2027-01-01')
  expect(later.code).toBe(1)
})

test('a table and a workbook: numbers are numbers, and no name is run as a formula', async () => {
  const evil = readFileSync(focus, 'utf8').replaceAll('support-bot', '=HYPERLINK(1)')
  const bill = file('evil.csv', evil)
  const [csv, xlsx] = [join(folder, 'out.csv'), join(folder, 'out.xlsx')]
  const args = [
    '--bill',
    bill,
    '--outcomes',
    tickets,
    '--by',
    'agent',
    '--csv',
    csv,
    '--xlsx',
    xlsx,
  ]
  expect((await run(...args)).code).toBe(0)
  expect(readFileSync(csv, 'utf8')).toContain("'=HYPERLINK(1),2.2972873,")
  expect(readFileSync(xlsx).subarray(0, 2).toString()).toBe('PK')
  const { out } = await run(...args.slice(0, 6), '--csv', '-')
  expect(out).toMatch(/^agent,cost_usd,tokens,outcomes,each_usd,low_usd,high_usd\r\n/)
})

test('the prices of vendors are a file that one can change', async () => {
  const own = file(
    'own.yaml',
    '- { vendor: Us, outcome: case, usd: 5, checked: 2026-11-01, source: contract }\n',
  )
  const found = await json('--bill', anthropic, '--outcomes', tickets, '--compare', own)
  expect(found.compare).toEqual([
    expect.objectContaining({ vendor: 'Us', price_usd: '5', total_usd: '20', own_percent: '32.2' }),
  ])
  const broken = file('broken.yaml', '- { vendor: Us, usd: 5 }\n')
  const { code, err } = await run('--bill', anthropic, '--outcomes', tickets, '--compare', broken)
  expect([code, err]).toEqual([1, expect.stringContaining('lacks "outcome"')])
})

test('exports that overlap are told, whatever else is in them', async () => {
  const header = 'start_time,amount_value,amount_currency,line_item,project_id,quantity\n'
  const day = (no: number): string =>
    `${Date.UTC(2026, 9, no) / 1000},1.25,usd,"gpt-5-mini, output",proj_a,100\n`
  const first = file('part1.csv', header + day(5) + day(6))
  const second = file('part2.csv', header + day(6) + day(7))
  const { code, err } = await run('--bill', first, second, '--outcomes', tickets)
  expect(code).toBe(3)
  expect(err).toContain('both have 1 of the same lines')
})

test('a ticket that was opened again is not resolved, however its times are written', async () => {
  const times = [
    ['10/5/2026 9:00', '10/5/2026 10:00'],
    ['2026-10-06T09:00:00+09:00', '2026-10-06T02:00:00Z'],
    ['2026-10-05T10:00:00Z', '2026-10-05'],
    ['2026-10-05T10:00:00Z', ''],
  ]
  const rows = times.map(
    ([solved, reopened], no) => `T${no},Solved,${solved}\nT${no},Reopened,${reopened}\n`,
  )
  const name = file('reopened.csv', `id,status,closed at\n${rows.join('')}S1,Solved,2026-10-05\n`)
  const found = await json('--bill', anthropic, '--outcomes', name)
  expect(found.outcomes).toBe(1)
})
