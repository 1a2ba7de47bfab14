import { expect, test } from 'vitest'
import { type Refusal, type RefusalCode, refusalCodes } from '#core/refusal.ts'
import { instant } from '#core/time.ts'
import { refusalAnswer } from './refusals.ts'

const refusal = (code: RefusalCode, more: Partial<Refusal> = {}): Refusal => ({
  code,
  message: 'Budget "Support" is used up \u2013 ask.',
  callId: 'call_1',
  param: null,
  retryAfterMs: null,
  budget: {
    id: 'bud_1',
    name: 'Support',
    state: 'stopped',
    used: null,
    limit: null,
    usedPercent: '120.3',
    resetsAt: instant(1_796_083_200_000),
  },
  codex: false,
  ...more,
})

test('every code has its status, its ids and one word on trying again, in each dialect', () => {
  for (const [code, { status, retry }] of Object.entries(refusalCodes)) {
    for (const dialect of ['openai', 'anthropic', 'google'] as const) {
      const answer = refusalAnswer(
        dialect,
        refusal(code as RefusalCode, { retryAfterMs: retry ? 1900 : null }),
      )
      expect(answer.status, code).toBe(status)
      expect(answer.headers['content-type']).toBe('application/json')
      expect(answer.headers['x-request-id']).toBe('call_1')
      expect(answer.headers['request-id']).toBe('call_1')
      expect(answer.headers['x-should-retry']).toBe(retry ? undefined : 'false')
      expect(answer.headers['retry-after']).toBe(retry ? '2' : undefined)
      expect(answer.headers['retry-after-ms']).toBe(retry ? '1900' : undefined)
      expect(JSON.parse(answer.body)).toBeTypeOf('object')
    }
  }
})

test('no client is told to wait less than a second or more than thirty', () => {
  const wait = (retryAfterMs: number) =>
    refusalAnswer('google', refusal('budget_throttled', { retryAfterMs }))
  expect(wait(10).headers['retry-after']).toBe('1')
  expect(wait(3_600_000).headers['retry-after']).toBe('30')
  expect(wait(3_600_000).headers['retry-after-ms']).toBe('30000')
  expect(wait(3_600_000).body).toContain('"retryDelay":"30s"')
})

test('a stop in the three shapes that clients read', () => {
  const body = (dialect: 'openai' | 'anthropic' | 'google'): unknown =>
    JSON.parse(refusalAnswer(dialect, refusal('budget_exceeded')).body)
  expect(body('openai')).toMatchObject({
    error: {
      type: 'insufficient_quota',
      code: 'budget_exceeded',
      param: null,
      details: { budget: 'bud_1', used_percent: 120.3, resets_at: '2026-12-01T00:00:00Z' },
    },
  })
  expect(body('anthropic')).toMatchObject({
    type: 'error',
    error: { type: 'billing_error', details: { error_code: 'budget_exceeded' } },
    request_id: 'call_1',
  })
  expect(body('google')).toMatchObject({
    error: {
      code: 402,
      status: 'FAILED_PRECONDITION',
      details: [{ reason: 'BUDGET_EXCEEDED', domain: 'bursar' }],
    },
  })
})

test('Codex gets the one answer it stops for, in a header that a socket can carry', () => {
  const stop = refusalAnswer('openai', refusal('budget_exceeded', { codex: true }))
  expect(stop.status).toBe(429)
  expect(stop.headers['retry-after']).toBeUndefined()
  expect(stop.headers['x-codex-promo-message']).toBe('Budget "Support" is used up ? ask.')
  expect(JSON.parse(stop.body)).toEqual({
    error: {
      type: 'usage_limit_reached',
      message: 'Budget "Support" is used up \u2013 ask.',
      resets_at: 1_796_083_200,
    },
  })
})
