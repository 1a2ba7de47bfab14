import { expect, test } from 'vitest'
import { isCodex, readHeaderClaims } from './claims.ts'

function claims(headers: Readonly<Record<string, string | readonly string[]>>) {
  const listed = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? [value] : value,
    ]),
  )
  const read = readHeaderClaims(listed)
  return read.ok ? read.value : read.problem
}

test('our headers are explicit, and other names of the same are hints', () => {
  const codex = JSON.stringify({ agent_name: 'review', root_turn_id: 't1', nested: { a: 1 } })
  expect(
    claims({
      'bursar-agent': 'resolver',
      'bursar-run-id': 'r1',
      'x-claude-code-session-id': 's1',
      'x-codex-turn-metadata': codex,
      'helicone-user-id': 'ann',
    }),
  ).toEqual({
    explicit: { agent: 'resolver', run: 'r1' },
    hints: { agent: 'review', run: 't1', conversation: 's1', user: 'ann' },
    tags: {},
  })
  expect(claims({ baggage: 'gen_ai.agent.name=a%20b;p=1, agent=c' })).toMatchObject({
    hints: { agent: 'a b' },
  })
})

test.each([
  [{ 'bursar-agent': ['a', 'b'] }, 'bursar-agent'],
  [{ 'bursar-user': 'x'.repeat(129) }, 'bursar-user'],
  [{ 'bursar-user': 'a\u0000' }, 'bursar-user'],
  [{ 'bursar-run': 'a', 'bursar-run-id': 'b' }, 'bursar-run-id'],
  [{ 'bursar-tags': 'a=1,a=2' }, 'bursar-tags'],
  [{ 'bursar-tags': 'a' }, 'bursar-tags'],
])('%j is refused', (headers, param) => {
  expect(claims(headers)).toMatchObject({ code: 'invalid_request', param })
})

test('hints that are no values are passed over', () => {
  expect(claims({ 'helicone-user-id': 'x'.repeat(500), baggage: '%%%,=,a', agent: 'x' })).toEqual({
    explicit: {},
    hints: {},
    tags: {},
  })
})

test('tags come from other gateways too, and ours win', () => {
  expect(
    claims({
      'bursar-tags': 'feature=chat, team = ops',
      'helicone-property-feature': 'old',
      'helicone-property-region': 'eu',
      'x-litellm-tags': 'beta, tier:gold',
      'x-portkey-metadata': '{"_user":"ann","count":3}',
      'cf-aig-metadata': 'not json',
    }),
  ).toMatchObject({
    tags: {
      feature: 'chat',
      team: 'ops',
      region: 'eu',
      beta: 'true',
      tier: 'gold',
      _user: 'ann',
    },
  })
})

test('Codex is told by its originator or its user agent', () => {
  expect(isCodex({ originator: ['codex_exec'] })).toBe(true)
  expect(isCodex({ 'user-agent': ['codex_cli_rs/0.169.0'] })).toBe(true)
  expect(isCodex({ 'user-agent': ['OpenAI/JS 7.57.0'] })).toBe(false)
})
