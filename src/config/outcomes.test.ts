import { expect, test } from 'vitest'
import { loadPriceBook } from '#system/price-files.ts'
import { formatProblem, loadSnapshot } from './load.ts'

function load(text: string) {
  return loadSnapshot({
    files: [{ name: 'b.yaml', text }],
    env: () => undefined,
    readFile: () => null,
    priceBook: loadPriceBook(),
  })
}

function good(text: string) {
  const loaded = load(text)
  if (!loaded.ok) throw new Error(loaded.problem.map(formatProblem).join('\n'))
  return loaded.value.snapshot
}

test('a definition says what it says, and no more', () => {
  const { outcomes, notices } = good(`outcomes:
  resolved_case: { quiet_period: 72h, one_per: conversation, compare_usd: 0.99 }
  qualified_lead: { attested_by: [human, system], value_usd: 120, credit: equal }
  completed_task: {}
  deal_won:
`)
  expect(outcomes.map(({ type }) => type)).toEqual([
    'resolved_case',
    'qualified_lead',
    'completed_task',
    'deal_won',
  ])
  expect(outcomes[0]).toMatchObject({
    quietMs: 72 * 3_600_000,
    onePer: 'conversation',
    attestedBy: null,
    compare: 990_000_000n,
    credit: 'last_touch',
    match: {},
  })
  expect(outcomes[1]).toMatchObject({ attestedBy: ['human', 'system'], credit: 'equal' })
  expect(outcomes[2]).toMatchObject({ quietMs: 0, onePer: null, value: null })
  expect(notices.filter((notice) => notice.includes('outcomes'))).toEqual([])
})

test('a version is of what decides whether one holds', () => {
  const versionOf = (text: string): string => {
    return good(`outcomes: { won: { ${text} } }`).outcomes[0]?.version ?? ''
  }
  const first = versionOf('quiet_period: 72h')
  expect(versionOf('quiet_period: 3d')).toBe(first)
  expect(versionOf('quiet_period: 72h, compare_usd: 1.5, value_usd: 3')).toBe(first)
  expect(versionOf('quiet_period: 71h')).not.toBe(first)
  expect(versionOf('quiet_period: 72h, one_per: run')).not.toBe(first)
  expect(versionOf('quiet_period: 72h, attested_by: [human]')).not.toBe(first)
})

test('a hook has what its maker sends, unless it is told otherwise; its secret does not print', () => {
  const { outcomeHooks } = good(`outcomes: { won: {} }
outcome_hooks:
  desk: { kind: zendesk, secret: s3cret, type: won }
  own:
    kind: json
    secret: s3cret
    type: won
    run: task
    when: { done: "yes" }
    reversed_when: never
`)
  expect(outcomeHooks[0]).toMatchObject({
    when: { 'event.current': ['SOLVED', 'CLOSED'] },
    paths: { id: 'detail.id', conversation: 'detail.external_id', run: null },
  })
  expect(outcomeHooks[1]).toMatchObject({
    when: { done: ['yes'] },
    reversedWhen: null,
    paths: { id: 'id', conversation: null, run: 'task' },
  })
  expect(JSON.stringify(outcomeHooks)).not.toContain('s3cret')
})

test('a hook whose secret is not there is not there, and that is said', () => {
  const { outcomeHooks, notices } = good(`outcomes: { won: {} }
outcome_hooks: { desk: { kind: zendesk, secret: "\${NOT_SET}", type: won } }
`)
  expect(outcomeHooks).toEqual([])
  expect(notices).toContain('outcome_hooks.desk: it has no secret, so it is not there')
})

test('a limit stands in a budget, or alone', () => {
  const { budgets, outcomeLimits } = good(`outcomes: { won: {} }
budgets:
  - agent: a
    budget_daily_usd: 5
    max_usd_per_outcome: { type: won, usd: 0.80, at_least: 200, throttle_to: 50 }
  - agent: b
    mode: observe
    max_usd_per_outcome: { type: won, usd: 1, at_least: 1 }
`)
  expect(budgets).toHaveLength(1)
  expect(outcomeLimits[0]).toMatchObject({
    budget: budgets[0]?.id,
    selector: { agent: 'a' },
    max: 800_000_000n,
    atLeast: 200,
    throttlePercent: 50,
    period: 'day',
    observes: false,
  })
  expect(outcomeLimits[1]).toMatchObject({
    budget: null,
    throttlePercent: null,
    period: 'month',
    observes: true,
  })
  const alone = 'agent: c\nmax_usd_per_outcome: { type: won, usd: 1, at_least: 1 }\n'
  expect(good(`outcomes: { won: {} }\n---\n${alone}`).outcomeLimits).toHaveLength(1)
})

test.each([
  ['outcomes: { won: { quiet_period: soon } }', 'a length of time: 30m, 72h or 3d'],
  ['outcomes: { won: { quiet_period: 400d } }', '400d is too long (at most 366d)'],
  ['outcomes: { won: { one_per: user } }', 'one of: conversation, run, call'],
  ['outcomes: { won: { attested_by: [] } }', 'name whose word counts'],
  ['outcomes: { won: { attested_by: [robot] } }', 'one of: agent, system, human, silence'],
  ['outcomes: { won: { credit: luck } }', 'one of: last_touch, first_touch, equal, cost_share'],
  ['outcomes: { won: { value_usd: much } }', 'an amount such as 0.99'],
  ['outcomes: { Won Deal: {} }', '"Won Deal" is not a name that can stand here'],
  [
    'outcomes: { won: {} }\noutcome_hooks: { d: { kind: zendesk, secret: s, type: wone } }',
    'no outcome type "wone" (did you mean "won"?)',
  ],
  [
    'outcomes: { won: {} }\noutcome_hooks: { d: { kind: hubspot, secret: s, type: won } }',
    'HubSpot signs the address it calls: write it',
  ],
  [
    'budgets: [{ agent: a, max_usd_per_outcome: { type: won, usd: 1, at_least: 5 } }]',
    'no outcome type "won" (define it under outcomes:)',
  ],
  [
    'outcomes: { won: {} }\nbudgets: [{ max_usd_per_outcome: { type: won, usd: 1, at_least: 0 } }]',
    'a whole number such as 200',
  ],
  [
    'outcomes: { won: {} }\nbudgets: [{ per: user, max_usd_per_outcome: { type: won, usd: 1, at_least: 1 } }]',
    'cannot be per something',
  ],
])('%s: says what to do', (text, words) => {
  const loaded = load(text)
  const said = loaded.ok ? [] : loaded.problem.map(formatProblem)
  expect(said.join('\n')).toContain(words)
})
