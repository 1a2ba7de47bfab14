import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hardLimit } from '#core/budget.ts'
import { formatUsd, nanos } from '#core/money.ts'
import { loadPriceBook } from '#system/price-files.ts'
import { demoConfig } from './demo.ts'
import { formatProblem, loadSnapshot } from './load.ts'
import { jsonSchema } from './schema.ts'

const at = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

function load(text: string, env: Readonly<Record<string, string>> = {}) {
  return loadSnapshot({
    files: [{ name: 'b.yaml', text }],
    env: (name) => env[name],
    readFile: (path) => (path === '/run/key' ? 'sk-file' : null),
    priceBook: loadPriceBook(),
  })
}

function good(text: string, env: Readonly<Record<string, string>> = {}) {
  const loaded = load(text, env)
  if (!loaded.ok) throw new Error(loaded.problem.map(formatProblem).join('\n'))
  return loaded.value
}

const problems = (text: string): readonly string[] => {
  const loaded = load(text)
  return loaded.ok ? [] : loaded.problem.map(formatProblem)
}

test('the seed file loads unchanged and says what it says', () => {
  const { snapshot, simulate } = good(at('test/golden/config/seed.yaml'))
  expect(simulate).toBe(true)
  const [rule] = snapshot.budgets
  if (rule === undefined) throw new Error('no rule')
  expect(formatUsd(nanos(rule.amount))).toBe('25000.000000000')
  expect(rule).toMatchObject({ period: 'month', selector: { agent: 'customer-resolver' } })
  expect(rule.ladder.map(({ label, actions }) => [label, actions[0]?.kind])).toEqual([
    ['0.5', 'notify'],
    ['0.8', 'notify'],
    ['1.0', 'throttle'],
    ['1.2', 'hard_stop'],
  ])
  expect(formatUsd(nanos(hardLimit(rule) ?? 0n))).toBe('30000.000000000')
})

test('the example and the demo load; what is not acted on is said', () => {
  const { snapshot } = good(at('bursar.example.yaml'))
  expect(snapshot.budgets.map(({ name }) => name)).toEqual([
    'customer-resolver prod a month',
    'support a month',
    'dev a day',
    'per user a day',
    'per user calls a day',
    'customer-resolver conversations an hour',
    'per tenant calls a day',
  ])
  for (const part of ['routes', 'caching']) {
    expect(
      snapshot.notices.some((notice) => notice.includes(part)),
      part,
    ).toBe(true)
  }
  expect(good(demoConfig).snapshot.budgets).toHaveLength(2)
})

test('variables: unquoted, with defaults, from files; a value never becomes structure', () => {
  const text =
    'providers: { openai: { api_key: ${K} }, two: { kind: openai, api_key: ${file:/run/key} } }\n' +
    'organization: ${ORG:-acme}\n'
  const { snapshot, simulate } = good(text, { K: 'sk-1, free: true }' })
  expect(simulate).toBe(false)
  expect(snapshot.organization).toBe('acme')
  expect(snapshot.providers.map(({ credential }) => credential?.reveal())).toEqual([
    'sk-1, free: true }',
    'sk-file',
  ])
  expect(JSON.stringify(snapshot.providers)).not.toContain('sk-')
})

test.each([
  [
    'budgets:\n  - agnt: x\n    budget_daily_usd: 1',
    'b.yaml:2:5: unknown key "agnt" (did you mean "agent"?)',
  ],
  ['organisation: x', 'b.yaml:1:1: unknown key "organisation" (did you mean "organization"?)'],
  [
    'budgets:\n  - budget_daily_usd: -1',
    'b.yaml:2:5: budget_daily_usd: write an amount such as 25000 or 0.50',
  ],
  [
    'budgets:\n  - budget_daily_usd: 1e3',
    'b.yaml:2:5: budget_daily_usd: write an amount such as 25000 or 0.50',
  ],
  [
    'budgets:\n  - budget_daily_usd: .inf',
    'b.yaml:2:5: budget_daily_usd: write an amount such as 25000 or 0.50',
  ],
  [
    'budgets:\n  - budget_daily_usd: 0.0000000001',
    'b.yaml:2:5: budget_daily_usd: write an amount such as 25000 or 0.50',
  ],
  [
    'budgets:\n  - agent: a',
    'b.yaml:2:5: a budget needs an amount, such as budget_monthly_usd: 25000',
  ],
  ['quotas:\n  - per: user', 'b.yaml:2:5: a quota needs a limit, such as max_calls_per_day: 200'],
  [
    'timezone: Mars/Olympus',
    'b.yaml:1:1: "Mars/Olympus" is not an IANA time zone (such as Europe/Berlin)',
  ],
  ['organization: ${NOPE}', 'b.yaml:1:1: ${NOPE} is not set (or give it a default: ${NAME:-x})'],
  ['a: 1\na: 2', 'b.yaml:2:1: Map keys must be unique'],
  ['a: &x 1\nb: *x', 'b.yaml:2:4: aliases are not allowed'],
  ['a: !!js/function x', /is not allowed/],
  [
    'budgets:\n  - { team: x, budget_daily_usd: 1 }\n  - { team: x, budget_daily_usd: 2 }',
    'b.yaml:3:5: the same limit is defined at b.yaml:2:5',
  ],
  [
    'environments: [dev]\nbudgets:\n  - { environment: prod, budget_daily_usd: 1 }',
    'b.yaml:3:7: there is no environment "prod", so this can never match',
  ],
  [
    'business_units: { u: { teams: { t: { agents: { solver: {} } } } } }\nbudgets:\n  - agent: sovler\n    budget_daily_usd: 1',
    'b.yaml:3:5: there is no agent "sovler", so this can never match (did you mean "solver"?)',
  ],
  [
    'budgets:\n  - model: gpt-5-minni\n    budget_daily_usd: 1',
    'b.yaml:2:5: there is no model "gpt-5-minni", so this can never match (did you mean "gpt-5-mini"?)',
  ],
  [
    'budgets:\n  - budget_daily_usd: 1\n    alerts:\n      - { threshold: 1.0, action: notify }\n      - { threshold: 0.5, action: notify }',
    /threshold 0.5 must be above 1.0/,
  ],
  [
    'budgets:\n  - budget_daily_usd: 1\n    alerts: [{ threshold: 1, action: explode }]',
    /an action: notify/,
  ],
  ['providers: { mine: { api_key: x } }', /provider "mine" needs a kind/],
  [
    'providers: { openai: { api_key: x, base_url: ftp://x } }',
    /needs a base_url that starts with http/,
  ],
  [
    'environments: [dev]\nproviders: { openai: { api_key: x, environments: [prdo] } }',
    /environment "prdo" is not declared/,
  ],
])('%s', (text, wanted) => {
  const [first = 'no problem'] = problems(text)
  if (typeof wanted === 'string') expect(first).toBe(wanted)
  else expect(first).toMatch(wanted)
})

test('the order of budgets changes nothing but their order', () => {
  const lines = [
    '{ agent: a, budget_daily_usd: 1 }',
    '{ team: b, budget_weekly_usd: 2 }',
    '{ per: user, budget_hourly_usd: 0.5 }',
    '{ tenant: t, budget_yearly_usd: 9, mode: observe }',
  ]
  const ids = (order: readonly string[]): readonly string[] =>
    good(`budgets:\n${order.map((line) => `  - ${line}`).join('\n')}`)
      .snapshot.budgets.map(({ id, amount }) => `${id} ${amount}`)
      .sort()
  const wanted = ids(lines)
  fc.assert(
    fc.property(fc.shuffledSubarray(lines, { minLength: 4 }), (order) => {
      expect(ids(order)).toEqual(wanted)
    }),
  )
})

test('an edited amount keeps the account; another period, unit or value is another', () => {
  const id = (text: string): string => good(`budgets: [${text}]`).snapshot.budgets[0]?.id ?? ''
  const base = id('{ agent: a, budget_daily_usd: 1 }')
  expect(id('{ agent: a, budget_daily_usd: 2, owner: x }')).toBe(base)
  for (const other of [
    '{ agent: a, budget_weekly_usd: 1 }',
    '{ agent: b, budget_daily_usd: 1 }',
    '{ agent: a, per: user, budget_daily_usd: 1 }',
    '{ team: a, budget_daily_usd: 1 }',
  ]) {
    expect(id(other), other).not.toBe(base)
  }
})

test('several files merge; one thing in two of them is a problem', () => {
  const files = [
    { name: '1.yaml', text: 'organization: acme\nbudgets: [{ budget_daily_usd: 5 }]' },
    { name: '2.yaml', text: 'agent: x\nbudget_monthly_usd: 7' },
    { name: '3.yaml', text: 'organization: other' },
  ]
  const input = {
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  }
  const two = loadSnapshot({ ...input, files: files.slice(0, 2) })
  expect(two.ok && two.value.snapshot.budgets.length).toBe(2)
  const three = loadSnapshot({ ...input, files })
  expect(three.ok ? [] : three.problem.map(formatProblem)).toEqual([
    '3.yaml:1:1: "organization" is defined twice',
  ])
})

test('a ladder that notifies where nobody is configured is told of', () => {
  const text = `budgets:
  - { agent: a, budget_daily_usd: 1, alerts: [ {0.5, notify_slack}, {0.8, "notify_webhook:ops"}, {1.2, hard_stop} ] }
  - { agent: b, budget_daily_usd: 1, alerts: [ {0.5, notify}, {0.8, "notify_webhook:pager"}, {1.2, hard_stop} ] }
notify: { webhooks: { ops: { url: "https://ops.test" } } }
`
  expect(good(text).snapshot.notices).toEqual([
    'a ladder notifies slack, and notify.slack is not configured: nobody hears there',
    'a ladder notifies webhooks.pager, and notify.webhooks.pager is not configured: nobody hears there',
  ])
})

test('channels become targets with wrapped secrets; empty ones are not configured', () => {
  const text = `notify:
  slack: { bot_token: "\${BOT}", channel: C1, signing_secret: "\${SIGN}" }
  pagerduty: { routing_key: "\${PD:-}" }
  teams: { workflow_url: "\${TEAMS}" }
  email: { smtp: "smtp://u:\${PW}@mail.test:25", to: [finops@acme.test] }
`
  const env = {
    BOT: 'xoxb-secret',
    SIGN: 'shh-secret',
    TEAMS: 'https://t.test/secret',
    PW: 'secret',
  }
  const { notify, notices } = good(text, env).snapshot
  expect(notices).toEqual([])
  expect(notify).toMatchObject({
    slack: { kind: 'bot', channel: 'C1', apiUrl: 'https://slack.com/api', buttons: true },
    pagerduty: null,
    email: { to: ['finops@acme.test'], from: 'bursar@acme.test' },
  })
  expect(JSON.stringify(notify)).not.toContain('secret')
  expect(notify.email?.smtp.reveal()).toBe('smtp://u:secret@mail.test:25')
})

test.each([
  ['slack: { bot_token: secret }', 'bot_token needs a channel, such as C0123456789'],
  ['slack: { webhook_url: secret }', 'webhook_url must start with https://'],
  ['teams: { workflow_url: "ftp://secret" }', 'workflow_url must start with https://'],
  [
    'email: { smtp: "http://secret", to: [a@b.test] }',
    'smtp must be smtp://user:password@host:port, or smtps://',
  ],
  [
    'email: { smtp: "smtp://x", to: ["a@b.test, secret@d.test"] }',
    'to and from must be plain addresses, such as finops@acme.test',
  ],
])('notify: { %s } is refused without a word of it', (channel, message) => {
  const [first = ''] = problems(`notify:\n  ${channel}\n`)
  expect(first).toBe(`b.yaml:2:3: ${message}`)
})

test('the JSON Schema describes the file', () => {
  const schema = JSON.stringify(jsonSchema())
  for (const key of ['budget_monthly_usd', 'max_concurrent', 'unpriced_model', 'webhooks']) {
    expect(schema).toContain(key)
  }
})

test('runs of several files are one list', () => {
  const files = ['a', 'b'].map((name) => ({
    name: `${name}.yaml`,
    text: `runs: [{ agent: ${name}, max_usd: 1 }]\n`,
  }))
  const around = { env: () => undefined, readFile: () => null, priceBook: loadPriceBook() }
  const loaded = loadSnapshot({ files, ...around })
  expect(loaded.ok && loaded.value.snapshot.runs.map(({ selector }) => selector.agent)).toEqual([
    'a',
    'b',
  ])
})

test('budgets whose names share no letter that an id may have are told apart', () => {
  const text = (agents: string): string => `organization: acme
timezone: UTC
business_units: { ops: { teams: { core: { agents: { касса: {}, склад: {}, 日本: {} } } } } }
budgets: [${agents}]`
  const budget = (agent: string): string => `{ agent: ${agent}, budget_daily_usd: 1 }`
  const names = ['касса', 'склад', '日本']
  const ids = (list: readonly string[]): readonly string[] =>
    good(text(list.map(budget).join(', '))).snapshot.budgets.map(({ id }) => id)
  const found = ids(names)
  expect(new Set(found).size).toBe(3)
  expect(found.every((id) => /^bud_day-[0-9a-f]{16}$/.test(id))).toBe(true)
  // The account of a budget is found by its id: its place in the file is nothing to it.
  expect(ids(names.toReversed())).toEqual(found.toReversed())
})
