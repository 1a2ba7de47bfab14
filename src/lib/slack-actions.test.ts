import { expect, test } from 'vitest'
import { approveAction, denyAction, slackDecision, verifySlackSignature } from './slack-actions.ts'

/** Slack's own example. */
const secret = '8f742231b10e8888abcd99yyyzzz85a5'
const timestamp = '1531420618'
const body =
  'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow' +
  '&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner' +
  '&command=%2Fwebhook-collect&text=' +
  '&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554' +
  '%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c'
const signature = 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503'
const at = 1_531_420_618_000

test('what Slack signed is believed, for five minutes', () => {
  const verify = (now: number): boolean =>
    verifySlackSignature(secret, timestamp, body, signature, now)
  expect(verify(at)).toBe(true)
  expect(verify(at + 300_000)).toBe(true)
  expect(verify(at - 300_000)).toBe(true)
  expect(verify(at + 300_001)).toBe(false)
  expect(verify(at - 300_001)).toBe(false)
})

test.each([
  ['another body', secret, timestamp, `${body}&x=1`, signature],
  ['another secret', `${secret}x`, timestamp, body, signature],
  ['no secret', '', timestamp, body, signature],
  ['another time', secret, '1531420619', body, signature],
  ['no time', secret, '', body, signature],
  ['a time that is no number', secret, '1531420618.0', body, signature],
  ['no signature', secret, timestamp, body, ''],
  ['half a signature', secret, timestamp, body, signature.slice(0, 40)],
  ['another version', secret, timestamp, body, signature.replace('v0', 'v1')],
])('%s is not believed', (_what, key, when, text, signed) => {
  expect(verifySlackSignature(key, when, text, signed, at)).toBe(false)
})

test('buttons carry the override', () => {
  expect(slackDecision(approveAction('ovr_1a'))).toEqual({
    decision: 'approved',
    override: 'ovr_1a',
  })
  expect(slackDecision(denyAction('ovr_1a'))).toEqual({ decision: 'denied', override: 'ovr_1a' })
  for (const other of [
    '',
    'open_budget',
    'override_approve:',
    'override_approve:key_1',
    'xoverride_deny:ovr_1',
  ]) {
    expect(slackDecision(other)).toBeNull()
  }
})
