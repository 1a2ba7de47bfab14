/** Each sender against a receiver on a real socket, which checks what it gets. */
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { afterEach, expect, test } from 'vitest'
import type { Alert } from '#core/alert.ts'
import type { BudgetRule } from '#core/budget.ts'
import { digestOf, type Message, messageOf, wordsOf } from '#core/message.ts'
import type { Notifier } from '#ports/notifier.ts'
import { crossing, setClock, snapshotOf, start } from '#test/support/alerts.ts'
import { pagerDutyEvent, slackMessage, slackWebhook, teamsCard } from '#test/support/payloads.ts'
import { type Receiver, startReceiver, startSlack } from '#test/support/receivers.ts'
import { startSmtp } from '#test/support/smtp.ts'
import { notifiersOf } from './notifiers.ts'
import { sign } from './webhook.ts'

const clock = setClock()
const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
})
function opened<One extends AsyncDisposable>(one: One): One {
  open.push(one)
  return one
}

const budgets = 'organization: acme\nbudgets: [{ name: support, budget_monthly_usd: 25000 }]\n'
const snapshot = snapshotOf(budgets)
const words = wordsOf(snapshot)
const [rule] = snapshot.budgets as readonly [BudgetRule]
const at80 = messageOf([crossing({ rule })], words)
const stopped = messageOf([crossing({ rule, label: '1.2', percent: 119n })], words)
const over = messageOf([crossing({ rule, kind: 'resumed', details: { because: 'x' } })], words)
const asked = messageOf(
  [crossing({ rule, kind: 'override', details: { override: 'ovr_1a', state: 'requested' } })],
  words,
)
const storm = digestOf(
  Array.from({ length: 500 }, (_, i) => crossing({ rule, value: `u${i}` })) as [Alert, ...Alert[]],
  words,
)
const odd = fc.string({ unit: 'binary', maxLength: 400 })
const oddMessages = fc
  .tuple(odd, odd, fc.dictionary(odd, odd, { maxKeys: 12 }))
  .map(
    ([value, label, details]): Message =>
      messageOf([crossing({ rule, value, label, details })], words),
  )

function channel(config: string, name: string): Notifier {
  const notifier = notifiersOf(snapshotOf(budgets + config), clock).of(name)
  if (notifier === null) throw new Error(`no channel ${name}`)
  return notifier
}

const ok = (): { status: number; text: string } => ({ status: 200, text: 'ok' })
const bodies = ({ received }: Receiver) => received.map(({ body }) => body)

test('Slack by webhook: blocks inside the limits; words alone where it does not like them', async () => {
  const receiver = opened(await startReceiver(ok))
  const url = `${receiver.url}/services/T0/B0/verysecretpart`
  const slack = channel(
    `notify: { slack: { webhook_url: "${url}", signing_secret: abc } }`,
    'slack',
  )
  for (const message of [at80, stopped, over, asked, storm]) {
    expect(await slack.send(message, null)).toMatchObject({ kind: 'delivered', answer: '200 ok' })
  }
  for (const body of bodies(receiver)) slackWebhook.parse(body)
  const text = receiver.received[3]?.text ?? ''
  expect(text).toContain('"action_id":"override_approve:ovr_1a"')
  expect(text).toContain('"action_id":"override_deny:ovr_1a"')
  expect(JSON.stringify(storm.lines)).not.toBe('[]')
  receiver.behave(({ body }) =>
    'blocks' in body ? { status: 400, text: 'invalid_blocks' } : { status: 200, text: 'ok' },
  )
  expect((await slack.send(at80, null)).kind).toBe('delivered')
  expect(slackWebhook.parse(bodies(receiver).at(-1)).blocks).toBeUndefined()
  receiver.behave(() => ({ status: 404, text: `no_service at ${url}` }))
  const gone = await slack.send(at80, null)
  expect(gone).toMatchObject({ kind: 'failed', lasting: 'channel' })
  expect(JSON.stringify(gone)).not.toContain('verysecretpart')
  expect(JSON.stringify(gone)).toContain('no_service')
})

test('Slack without a signing secret: no buttons that nobody would believe', async () => {
  const receiver = opened(await startReceiver(ok))
  const slack = channel(`notify: { slack: { webhook_url: "${receiver.url}/x" } }`, 'slack')
  await slack.send(asked, null)
  expect(receiver.received[0]?.text).not.toContain('button')
})

test('Slack as a bot: one message, updated as it climbs, anew where it was removed', async () => {
  const workspace = opened(await startSlack())
  const slack = channel(
    `notify: { slack: { bot_token: xoxb-1, channel: C0123456789, api_url: "${workspace.url}/api" } }`,
    'slack',
  )
  const first = await slack.send(at80, null)
  if (first.kind !== 'delivered') throw new Error(first.reason)
  const second = await slack.send(stopped, first.thread)
  expect(workspace.received.map(({ path }) => path)).toEqual([
    '/api/chat.postMessage',
    '/api/chat.update',
  ])
  expect(workspace.received[0]?.headers.authorization).toBe('Bearer xoxb-1')
  for (const body of bodies(workspace)) slackMessage.parse(body)
  expect(workspace.messages.size).toBe(1)
  const [now] = workspace.messages.values()
  expect(JSON.stringify(now)).toContain('Stopped: support')
  // What led there is still to be read.
  expect(JSON.stringify(now)).toContain('12:00 UTC: support a month at 80.0 %')
  const ended = await slack.send(over, second.kind === 'delivered' ? second.thread : null)
  expect(ended).toMatchObject({ kind: 'delivered', thread: null })
  expect(workspace.messages.size).toBe(1)
  const lost = { ts: '1.2', channel: 'C0123456789', lines: [] }
  expect(await slack.send(at80, lost)).toMatchObject({ kind: 'delivered' })
  expect(workspace.messages.size).toBe(2)
})

test.each([
  ['ratelimited', null],
  ['internal_error', null],
  ['invalid_auth', 'channel'],
  ['not_in_channel', 'channel'],
  ['invalid_blocks', 'message'],
  ['xoxb', null],
])('Slack says %s in a 200', async (error, lasting) => {
  const workspace = opened(await startSlack())
  workspace.fail(error)
  const slack = channel(
    `notify: { slack: { bot_token: xoxb, channel: C1, api_url: "${workspace.url}" } }`,
    'slack',
  )
  const sent = await slack.send(at80, null)
  expect(sent).toMatchObject({ kind: 'failed', lasting })
  expect(JSON.stringify(sent)).not.toContain('xoxb')
  // Blocks that are refused are tried once more as words.
  expect(workspace.received).toHaveLength(error === 'invalid_blocks' ? 2 : 1)
})

const key = 'a'.repeat(32)
test('PagerDuty: opened, made worse and resolved under one key', async () => {
  const receiver = opened(
    await startReceiver(() => ({ status: 202, text: '{"status":"success"}' })),
  )
  const pager = channel(
    `notify: { pagerduty: { routing_key: ${key}, events_url: "${receiver.url}/v2/enqueue" } }`,
    'pagerduty',
  )
  const nothing = await pager.send(over, null)
  expect(nothing).toMatchObject({ kind: 'delivered', answer: 'no incident is open' })
  expect(receiver.received).toHaveLength(0)
  const first = await pager.send(at80, null)
  const thread = first.kind === 'delivered' ? first.thread : null
  await pager.send(stopped, thread)
  expect(await pager.send(over, thread)).toMatchObject({ kind: 'delivered', thread: null })
  await pager.send(storm, null)
  const events = bodies(receiver).map((body) => pagerDutyEvent.parse(body))
  expect(events.map((event) => event.event_action)).toEqual([
    'trigger',
    'trigger',
    'resolve',
    'trigger',
  ])
  const account = crossing({ rule }).account.replaceAll('|', '/')
  expect(events.slice(0, 3).map((event) => event.dedup_key)).toEqual(
    Array.from({ length: 3 }, () => `bursar/acme/${account}`),
  )
  expect(
    events.map((event) => (event.event_action === 'trigger' ? event.payload.severity : '')),
  ).toEqual(['warning', 'critical', '', 'warning'])
  const ids = storm.alerts.map(({ id }) => id)
  expect(events[3]).toMatchObject({ payload: { custom_details: { alerts: ids } } })
})

test('Teams: a card inside its limit; its first words where the flow does not like it', async () => {
  const receiver = opened(await startReceiver(() => ({ status: 202 })))
  const teams = channel(
    `notify: { teams: { workflow_url: "${receiver.url}/w?sig=topsecret1" } }`,
    'teams',
  )
  for (const message of [at80, stopped, over, asked, storm]) {
    expect((await teams.send(message, null)).kind).toBe('delivered')
  }
  for (const body of bodies(receiver)) teamsCard.parse(body)
  receiver.behave(({ text }) => ({ status: text.includes('FactSet') ? 400 : 202 }))
  expect((await teams.send(at80, null)).kind).toBe('delivered')
  const link = messageOf([crossing({ rule, value: '[x](http://evil.test)' })], words)
  await teams.send(link, null)
  expect(receiver.received.at(-1)?.text).toContain('\\\\[x\\\\]\\\\(http')
})

test('a webhook: Standard Webhooks, as their own library verifies them; many in one', async () => {
  const receiver = opened(await startReceiver(ok))
  const secret = `whsec_${Buffer.from('a secret of 24 bytes or more').toString('base64')}`
  const hook = channel(
    `notify: { webhooks: { ops: { url: "${receiver.url}/h", secret: "${secret}" } } }`,
    'webhook:ops',
  )
  await hook.send(at80, null)
  await hook.send(storm, null)
  const [one, digest] = receiver.received
  for (const { text, headers } of receiver.received) {
    const verifier = new Webhook(secret)
    // It looks at the real time; ours is the clock's.
    const seconds = String(Math.floor(Date.now() / 1000))
    const id = String(headers['webhook-id'])
    expect(headers['webhook-signature']).toBe(sign(secret, id, start / 1000, text))
    const signed = { 'webhook-id': id, 'webhook-timestamp': seconds }
    const signature = sign(secret, id, Number(seconds), text)
    verifier.verify(text, { ...signed, 'webhook-signature': signature })
  }
  expect(one?.headers['webhook-id']).toBe(at80.alerts[0]?.id)
  expect(one?.body).toMatchObject({ type: 'budget.threshold', data: { used_percent: '80.0' } })
  expect(digest?.body).toMatchObject({ type: 'budget.digest', data: { count: 500 } })
  expect(digest?.text.length).toBeLessThan(20_000)
})

test('e-mail: text and HTML, escaped, and nobody can write a header', async () => {
  const server = opened(await startSmtp())
  const config = (to: string): string =>
    `notify: { email: { smtp: "smtp://me:pass%20word1@127.0.0.1:${server.port}", to: [${to}] } }`
  const mail = channel(config('finops@acme.test, cfo@acme.test'), 'email')
  const evil = '<b>x</b>\r\nBcc: all@evil.test\r\n\r\nhello'
  const hostile = messageOf([crossing({ rule, value: evil, details: { [evil]: evil } })], words)
  for (const message of [at80, stopped, storm, hostile]) {
    expect(await mail.send(message, null)).toMatchObject({ kind: 'delivered' })
  }
  expect(server.mails.map(({ to }) => to)).toEqual(
    Array.from({ length: 4 }, () => ['finops@acme.test', 'cfo@acme.test']),
  )
  for (const { headers } of server.mails) {
    const names = headers.map(([name]) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names).not.toContain('bcc')
    expect(names).toEqual(
      expect.arrayContaining([
        'from',
        'to',
        'subject',
        'message-id',
        'auto-submitted',
        'list-unsubscribe',
      ]),
    )
  }
  const [first, , , last] = server.mails
  expect(first?.headers).toContainEqual(['message-id', `<${at80.id}@acme.test>`])
  expect(first?.headers).toContainEqual(['subject', '[acme] support a month at 80.0 %'])
  const html = last?.raw.split('text/html')[1] ?? ''
  expect(html).not.toContain('<b>')
  expect(html).toContain('&lt;b&gt;')
  expect(last?.raw.match(/^Bcc:/gim)).toBeNull()
  expect(
    notifiersOf(snapshotOf(budgets + config('a@b.test')), clock).of('email:x\r\nBcc: y@z'),
  ).toBeNull()
})

test.each([
  ['450 4.2.0 mailbox busy', null],
  ['550 5.1.1 no such user', 'message'],
  ['535 5.7.8 AHBhc3MgLEAgcGFzcyB3b3JkMQ pass word1 for AG1lAHBhc3Mgd29yZDE=', 'channel'],
])('a mail server says %s', async (line, lasting) => {
  const server = opened(await startSmtp())
  server.fail(line)
  const mail = channel(
    `notify: { email: { smtp: "smtp://me:pass%20word1@127.0.0.1:${server.port}", to: [a@b.test] } }`,
    'email',
  )
  const sent = await mail.send(at80, null)
  expect(sent).toMatchObject({ kind: 'failed', lasting })
  expect(JSON.stringify(sent)).toContain(line.slice(0, 3))
  for (const part of ['pass word1', 'pass%20word1', 'AG1lAHBhc3Mgd29yZDE']) {
    expect(JSON.stringify(sent)).not.toContain(part)
  }
})

test.each([
  [429, { 'retry-after': '7' }, { retryAfterMs: 7000, lasting: null }],
  [
    429,
    { 'retry-after': 'Mon, 23 Nov 2026 12:01:00 GMT' },
    { retryAfterMs: 60_000, lasting: null },
  ],
  [500, {}, { retryAfterMs: null, lasting: null }],
  [302, { location: 'http://127.0.0.1:1/' }, { lasting: 'channel' }],
  [410, {}, { lasting: 'channel' }],
])('a receiver answers %s %j', async (status, headers, wanted) => {
  const receiver = opened(
    await startReceiver(() => ({ status, headers: headers as Record<string, string> })),
  )
  const teams = channel(`notify: { teams: { workflow_url: "${receiver.url}/w" } }`, 'teams')
  expect(await teams.send(at80, null)).toMatchObject({ kind: 'failed', ...wanted })
  expect(receiver.received).toHaveLength(1)
})

test('one that does not answer, and one that is not there', async () => {
  const receiver = opened(await startReceiver(() => 'hang'))
  const teams = channel(`notify: { teams: { workflow_url: "${receiver.url}/w" } }`, 'teams')
  const since = Date.now()
  const hung = await teams.send(at80, null)
  expect(hung).toMatchObject({ kind: 'failed', lasting: null })
  expect(Date.now() - since).toBeLessThan(15_000)
  const away = channel(
    'notify: { teams: { workflow_url: "http://127.0.0.1:9/tokentoken" } }',
    'teams',
  )
  expect(await away.send(at80, null)).toMatchObject({
    kind: 'failed',
    reason: 'could not be reached (ECONNREFUSED)',
  })
}, 30_000)

test('whatever names are, every payload is what its receiver takes', async () => {
  const receiver = opened(await startReceiver(() => ({ status: 202 })))
  const chat = opened(await startReceiver(ok))
  const server = opened(await startSmtp())
  const config = `notify:
  slack: { webhook_url: "${chat.url}/s", signing_secret: x }
  teams: { workflow_url: "${receiver.url}/teams" }
  pagerduty: { routing_key: ${key}, events_url: "${receiver.url}/pager" }
  email: { smtp: "smtp://127.0.0.1:${server.port}", to: [a@b.test] }
`
  const names = ['slack', 'teams', 'pagerduty', 'email']
  const senders = names.map((name) => channel(config, name))
  await fc.assert(
    fc.asyncProperty(oddMessages, async (message) => {
      for (const sender of senders)
        expect((await sender.send(message, null)).kind).toBe('delivered')
    }),
    { numRuns: 60 },
  )
  for (const { body } of chat.received) slackWebhook.parse(body)
  for (const { body, path } of receiver.received) {
    if (path === '/teams') teamsCard.parse(body)
    else pagerDutyEvent.parse(body)
  }
  expect(server.mails).toHaveLength(60)
  for (const { headers } of server.mails) {
    const all = headers.map(([name]) => name)
    expect(new Set(all).size).toBe(all.length)
    expect(all.every((name) => /^[a-z-]+$/.test(name))).toBe(true)
  }
}, 60_000)
