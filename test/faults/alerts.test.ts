/** The outbox on bad days: real receivers that fail on purpose, and a clock that the test sets. */
import { afterEach, expect, test } from 'vitest'
import type { Alert } from '#core/alert.ts'
import { type ChannelState, windowMs } from '#core/delivery.ts'
import { nanos } from '#core/money.ts'
import { after } from '#core/time.ts'
import { MemoryStore } from '#store/memory.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { crossing, hourMs, startPost } from '#test/support/alerts.ts'
import { pagerDutyEvent, slackWebhook } from '#test/support/payloads.ts'
import { startReceiver } from '#test/support/receivers.ts'
import { until } from '#test/support/bursar.ts'
import {
  accepts,
  budgets,
  canaries,
  checkPayloads,
  idsIn,
  raise,
  ruleOf,
  startTown,
  states,
  storm,
} from '#test/support/town.ts'

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
})
function opened<One extends AsyncDisposable>(one: One): One {
  open.push(one)
  return one
}

test.each([
  ['memory', () => new MemoryStore()],
  ['sqlite', () => new SqliteStore({ path: ':memory:' })],
])(
  '500 crossings at once on %s: at most 3 messages a channel, none lost',
  async (_kind, make) => {
    const here = await startTown(opened)
    const post = startPost(make(), here.config)
    // The first few come by themselves, as they do.
    const alerts = storm(post, 500)
    const since = performance.now()
    for (const part of [alerts.slice(0, 1), alerts.slice(1, 60), alerts.slice(60)]) {
      await raise(post, part)
      await post.turn()
      post.clock.pass(250)
    }
    await post.over(windowMs + 1000, 1000)
    expect(performance.now() - since).toBeLessThan(20_000)
    for (const receiver of [here.slack, here.teams, here.pager, here.hook]) {
      expect(receiver.received.length).toBeGreaterThan(0)
      expect(receiver.received.length).toBeLessThanOrEqual(3)
    }
    expect(here.mail.mails.length).toBeLessThanOrEqual(3)
    const channels = ['slack', 'teams', 'pagerduty', 'email', 'webhook:ops']
    expect(await states(post)).toEqual(
      Object.fromEntries(channels.map((name) => [`${name} delivered`, 500])),
    )
    const ids = alerts.map(({ id }) => id).sort()
    expect([...idsIn(here.hook)].sort()).toEqual(ids)
    expect([...idsIn(here.pager)].sort()).toEqual(ids)
    const logged = post.observed.flatMap((one) => (one.kind === 'digest_sent' ? one.alerts : []))
    expect(new Set(logged).size).toBeGreaterThanOrEqual(497)
    checkPayloads(here)
    await post.store.close()
  },
  60_000,
)

test('one account climbs: one Slack message updated, one incident made worse, then closed', async () => {
  const here = await startTown(opened)
  const store = new MemoryStore()
  const post = startPost(store, here.config)
  const rule = ruleOf(post)
  const climb = [
    ['0.5', 50n],
    ['0.8', 80n],
    ['1.1', 111n],
    ['1.2', 119n],
  ] as const
  for (const [label, percent] of climb) {
    await raise(post, [crossing({ rule, value: 'ann', label, percent, at: post.clock.now() })])
    await post.turn()
    post.clock.pass(60_000)
  }
  expect(here.slack.received.map(({ path }) => path)).toEqual([
    '/api/chat.postMessage',
    ...Array.from({ length: 3 }, () => '/api/chat.update'),
  ])
  expect(here.slack.messages.size).toBe(1)
  const events = (): readonly unknown[] =>
    here.pager.accepted().map(({ body }) => {
      const event = pagerDutyEvent.parse(body)
      return event.event_action === 'trigger' ? event.payload.severity : event.event_action
    })
  expect(events()).toEqual(['warning', 'warning', 'critical', 'critical'])
  await raise(post, [])
  await store.change(
    {
      kind: 'put_override',
      override: {
        id: 'ovr_1',
        budget: rule.id,
        value: 'ann',
        extra: nanos(5n),
        until: after(post.clock.now(), hourMs),
        reason: 'month end',
        requestedBy: 'ann',
        requestedAt: post.clock.now(),
        state: 'approved',
        decidedBy: 'kim',
        decidedAt: post.clock.now(),
        self: false,
      },
    },
    {
      id: 'aud_1',
      at: post.clock.now(),
      actor: 'kim',
      action: 'override.approved',
      subject: 'ovr_1',
      reason: null,
      before: null,
      after: null,
    },
  )
  await post.over(12_000, 1000)
  expect(events()).toEqual(['warning', 'warning', 'critical', 'critical', 'resolve'])
  expect(here.slack.messages.size).toBe(1)
  expect(JSON.stringify([...here.slack.messages.values()])).toContain('An override is in force')
  const keys = here.pager.accepted().map(({ body }) => body.dedup_key)
  expect(new Set(keys).size).toBe(1)
  checkPayloads(here)
})

test('a raised limit and a new period close what was opened; a mere warning ends in silence', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  const rule = ruleOf(post)
  await raise(post, [crossing({ rule, value: 'ann', label: '0.5', percent: 55n })])
  await raise(post, [crossing({ rule, value: 'bob', label: '1.2', percent: 119n })])
  await post.turn()
  expect(here.pager.accepted()).toHaveLength(2)
  const before = here.teams.accepted().length
  post.put(here.config.replace('budget_monthly_usd: 20', 'budget_monthly_usd: 2000'))
  await post.over(12_000, 1000)
  const actions = here.pager.accepted().map(({ body }) => body.event_action)
  expect(actions).toEqual(['trigger', 'trigger', 'resolve', 'resolve'])
  // People hear of what had stopped; a warning that is over is nobody's news.
  const cards = here.teams.accepted().slice(before)
  expect(cards.map(({ text }) => text.includes('The limit was raised'))).toEqual([true])
  await raise(post, [crossing({ rule, value: 'eve', label: '0.8', at: post.clock.now() })])
  await post.over(40_000, 10_000)
  post.clock.pass(Date.UTC(2026, 11, 1) - post.clock.now())
  await post.over(12_000, 1000)
  expect(here.pager.accepted().map(({ body }) => body.event_action)).toEqual([
    ...actions,
    'trigger',
    'resolve',
  ])
  expect(await post.store.records('climb')).toEqual([])
})

test('receivers down for an hour: told once elsewhere, nothing lost, nothing twice', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  here.hook.behave(() => ({ status: 500 }))
  here.pager.behave(() => ({ status: 503 }))
  here.slack.fail({ status: 500 })
  here.mail.fail('450 4.3.2 later')
  const alerts = [...storm(post, 5)]
  await raise(post, alerts)
  for (let i = 0; i < 60; i += 1) {
    await post.over(60_000, 5000)
    const more = storm(post, 2, 5 + i * 2)
    alerts.push(...more)
    await raise(post, more)
  }
  // Each of the four is told of once, over what is left.
  const cards = here.teams.accepted().map(({ text }) => text)
  for (const channel of ['slack', 'pagerduty', 'webhook:ops', 'email']) {
    const told = cards.filter((text) => text.includes(`do not arrive over ${channel}`))
    expect(told, channel).toHaveLength(1)
  }
  expect(await post.store.records('channel')).toHaveLength(5)
  const tries = here.hook.received.length
  expect(tries).toBeGreaterThan(8)
  expect(tries).toBeLessThan(20)
  here.hook.behave(accepts)
  here.pager.behave(accepts)
  here.slack.fail(null)
  here.mail.fail(null)
  await post.over(20 * 60_000, 5000)
  const all = await post.store.alerts(10_000)
  const counted = all.filter(({ kind }) => kind === 'threshold')
  expect(counted).toHaveLength(125)
  const ids = counted.map(({ id }) => id).sort()
  const isCounted = (id: string): boolean => ids.includes(id as Alert['id'])
  expect(idsIn(here.hook).filter(isCounted).sort()).toEqual(ids)
  expect(idsIn(here.pager).filter(isCounted).sort()).toEqual(ids)
  const notifications = await post.store.notifications(10_000)
  expect(notifications.filter(({ state }) => state !== 'delivered')).toEqual([])
  expect(here.slack.accepted().length).toBeLessThanOrEqual(3)
  expect(here.mail.mails.length).toBeLessThanOrEqual(3)
  const back = (await post.store.records('channel')).map(({ value }) => value as ChannelState)
  expect(back.every(({ failures, dead }) => failures === 0 && !dead)).toBe(true)
  checkPayloads(here)
}, 120_000)

test('429 is waited out, to the second, and asks of nobody else', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  let calls = 0
  here.hook.behave(() => {
    calls += 1
    return calls === 1 ? { status: 429, headers: { 'retry-after': '40' } } : { status: 200 }
  })
  await raise(post, storm(post, 1))
  await post.turn()
  expect(here.teams.accepted()).toHaveLength(1)
  await post.over(39_000, 1000)
  expect(here.hook.received).toHaveLength(1)
  await post.over(2000, 1000)
  expect(here.hook.received).toHaveLength(2)
  expect((await states(post))['webhook:ops delivered']).toBe(1)
})

test('one that hangs holds up nobody', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  here.hook.behave(() => 'hang')
  await raise(post, storm(post, 2))
  const since = performance.now()
  await post.outbox.round()
  const both = (): boolean => here.teams.accepted().length === 2 && here.mail.mails.length === 2
  await until('the others have it', both)
  expect(performance.now() - since).toBeLessThan(2000)
  // While it hangs, what is new goes out over the others.
  post.clock.pass(windowMs)
  await raise(post, storm(post, 1, 2))
  await post.outbox.round()
  await until('they have the next', () => here.teams.accepted().length === 3)
  expect(performance.now() - since).toBeLessThan(4000)
  here.hook.behave(accepts)
  await post.outbox.idle()
  await post.over(60_000, 5000)
  expect((await states(post))['webhook:ops delivered']).toBe(3)
  expect(new Set(idsIn(here.hook)).size).toBe(3)
  expect(idsIn(here.hook)).toHaveLength(3)
}, 60_000)

test('what is refused for good is a dead letter; the next goes out', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  here.pager.behave(({ text }) =>
    text.includes('(u0)') ? { status: 400, text: '{"status":"invalid event"}' } : accepts(),
  )
  await raise(post, storm(post, 2))
  await post.turn()
  const rows = (await post.store.notifications(100)).filter((row) => row.channel === 'pagerduty')
  expect(rows.map(({ state }) => state).sort()).toEqual(['dead', 'delivered'])
  expect(rows.find(({ state }) => state === 'dead')?.lastError).toContain('400')
  expect(here.pager.accepted()).toHaveLength(1)
})

test('a process that dies with what it took: another sends it when its time is over', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  await raise(post, storm(post, 1))
  const { store } = post
  const lost = startPost(store, here.config, post.clock)
  here.hook.behave(() => 'hang')
  await lost.outbox.round()
  await until('it is sent', () => here.hook.received.length === 1)
  // It holds the channel's lease: nobody else sends, until it must be gone.
  here.hook.behave(accepts)
  post.clock.pass(60_000)
  await post.turn()
  expect(here.hook.received).toHaveLength(1)
  post.clock.pass(3 * 60_000)
  await post.turn()
  expect(here.hook.accepted()).toHaveLength(1)
  // It was not gone after all, and hears that it has failed: that is old news.
  await lost.outbox.idle()
  await post.over(30 * 60_000, 60_000)
  expect(here.hook.accepted()).toHaveLength(1)
  expect((await states(post))['webhook:ops delivered']).toBe(1)
}, 60_000)

test('no secret in any payload but where it belongs, nor in what is kept or logged', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  // Receivers that say back whatever they were told, and what they know of us.
  const echo = ({ text, path, headers }: { text: string; path: string; headers: unknown }) => ({
    status: 500,
    text: `${path} ${JSON.stringify(headers)} ${text}`.slice(0, 4000),
  })
  here.hook.behave(echo)
  here.teams.behave(echo)
  here.pager.behave(echo)
  here.slack.fail({ status: 500, text: `Bearer ${canaries.slack}` })
  here.mail.fail(`451 ${canaries.smtp} ${Buffer.from(canaries.smtp).toString('base64')}`)
  await raise(post, storm(post, 3))
  await post.over(60_000, 5000)
  const kept = JSON.stringify(
    [
      await post.store.notifications(1000),
      await post.store.alerts(1000),
      await post.store.records('channel'),
      await post.store.records('thread'),
      post.observed,
      post.snapshot.notify,
    ],
    (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  )
  expect(kept).toContain('500')
  expect(kept).not.toContain('CANARY')
  expect(kept).not.toContain(canaries.whsec)
  expect(kept).not.toContain(Buffer.from(canaries.smtp).toString('base64'))
  // In what is sent, only PagerDuty's key, where it belongs.
  for (const { text } of [...here.slack.received, ...here.teams.received, ...here.hook.received]) {
    expect(text).not.toContain('CANARY')
  }
  for (const { body } of here.pager.received) {
    const { routing_key: key, ...rest } = body
    expect(key).toBe(canaries.pager)
    expect(JSON.stringify(rest)).not.toContain('CANARY')
  }
})

test('a config that changes: a channel that goes leaves dead letters, one that comes is used', async () => {
  const here = await startTown(opened)
  const post = startPost(new MemoryStore(), here.config)
  here.hook.behave(() => ({ status: 500 }))
  await raise(post, storm(post, 1))
  await post.turn()
  const chat = opened(await startReceiver(() => ({ status: 200, text: 'ok' })))
  post.put(`${budgets}notify: { slack: { webhook_url: "${chat.url}/x" } }\n`)
  await raise(post, storm(post, 1, 1))
  await post.over(60_000, 5000)
  const rows = await post.store.notifications(100)
  const gone = rows.filter(({ channel, state }) => channel === 'webhook:ops' && state === 'dead')
  expect(gone.map(({ lastError }) => lastError)).toEqual(['the channel is no longer configured'])
  for (const { body } of chat.received) slackWebhook.parse(body)
  expect(chat.received).toHaveLength(1)
})
