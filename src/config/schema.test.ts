import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { jsonSchema } from '#config/schema.ts'

/** As an editor with a YAML language server reads it. */
const validate = new Ajv2020({ strict: false, allErrors: true }).compile(jsonSchema())
const isGood = (text: string): boolean => validate(parse(text))

test('what the program takes, the schema takes: the example, and a budget that stands alone', () => {
  const example = readFileSync(new URL('../../bursar.example.yaml', import.meta.url), 'utf8')
  expect([isGood(example), validate.errors]).toEqual([true, null])
  expect(
    isGood(`agent: customer-resolver
budget_monthly_usd: 25000
alerts:
- threshold: 0.5
  action: notify_slack
- threshold: 1.2
  action: hard_stop
`),
  ).toBe(true)
  expect(isGood('- { agent: a, budget_daily_usd: 5 }\n- { agent: b, budget_daily_usd: 6 }\n')).toBe(
    true,
  )
})

test.each([
  ['an unknown key', 'budgets: [{ agnt: a, budget_daily_usd: 5 }]\n'],
  ['an amount in words', 'budgets: [{ agent: a, budget_daily_usd: much }]\n'],
  [
    'an action that is none',
    'agent: a\nbudget_daily_usd: 5\nalerts: [{ threshold: 1, action: stop }]\n',
  ],
  ['a list where a map belongs', 'providers: [openai]\n'],
])('%s is marked', (_what, text) => {
  expect(isGood(text)).toBe(false)
})

test('completion says what a key is for', () => {
  const [file] = jsonSchema().anyOf as { properties: Record<string, { description?: string }> }[]
  const without = Object.entries(file?.properties ?? {}).filter(([, one]) => !one.description)
  expect(without).toEqual([])
})
