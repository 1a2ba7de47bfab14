/** Three replicas with one outbox: whoever has a channel's lease serves it. */
import { expect, test } from 'vitest'
import type { Alert } from '#core/alert.ts'
import type { BudgetRule } from '#core/budget.ts'
import { windowMs } from '#core/delivery.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { crossing, type Post, setClock, startPost } from '#test/support/alerts.ts'
import { until } from '#test/support/bursar.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { startReceiver, startSlack } from '#test/support/receivers.ts'

test('500 crossings over three replicas: at most 3 messages a channel, each alert once', async () => {
  await using postgres = await startPostgres()
  await using slack = await startSlack()
  await using hook = await startReceiver(() => ({ status: 200 }))
  const url = await postgres.database()
  const config = `budgets:
  - per: user
    budget_monthly_usd: 20
    alerts: [{ threshold: 0.5, action: notify_slack }, { threshold: 0.8, action: notify_slack }]
notify:
  slack: { bot_token: xoxb-1, channel: C0123456789, api_url: "${slack.url}" }
  webhooks: { ops: { url: "${hook.url}/h" } }
`
  const clock = setClock()
  const posts: Post[] = []
  for (let i = 0; i < 3; i += 1) {
    posts.push(startPost(await PostgresStore.open({ url }), config, clock))
  }
  const [first] = posts as [Post]
  const [rule] = first.snapshot.budgets as readonly [BudgetRule]
  const turn = (): Promise<unknown> => Promise.all(posts.map((post) => post.turn()))
  const raise = (alerts: readonly Alert[]): Promise<unknown> =>
    Promise.all(alerts.flatMap((alert) => posts.map(({ store }) => store.raise(alert))))

  // One account, two lines, seen by different replicas: one message, updated.
  const answered = Promise.withResolvers<void>()
  slack.wait(answered.promise)
  await raise([crossing({ rule, value: 'ann', label: '0.5', percent: 50n })])
  await first.outbox.round()
  await until('the first is on its way', () => slack.received.length === 1)
  clock.pass(1000)
  await raise([crossing({ rule, value: 'ann', label: '0.8', at: clock.now() })])
  for (const { outbox } of posts) await outbox.round()
  const others = posts.slice(1).map(({ outbox }) => outbox.idle())
  await Promise.race([Promise.all(others), until('another', () => slack.received.length > 1)])
  answered.resolve()
  slack.wait(null)
  await first.outbox.idle()
  await turn()
  expect(slack.messages.size).toBe(1)
  expect(slack.received).toHaveLength(2)
  clock.pass(windowMs)

  const before = hook.received.length
  const alerts = Array.from({ length: 500 }, (_, i) =>
    crossing({ rule, value: `u${i}`, at: clock.now() }),
  )
  for (const part of [alerts.slice(0, 1), alerts.slice(1, 40), alerts.slice(40)]) {
    await raise(part)
    await turn()
    clock.pass(250)
  }
  for (let i = 0; i < 5; i += 1) {
    clock.pass(windowMs / 4)
    await turn()
  }
  expect(slack.messages.size - 1).toBeLessThanOrEqual(3)
  const told = hook.received.slice(before)
  expect(told.length).toBeLessThanOrEqual(3)
  const ids = told.flatMap(({ text }) => text.match(/alrt_[0-9a-z]+/g) ?? [])
  expect(ids.sort()).toEqual(alerts.map(({ id }) => id).sort())
  const rows = await first.store.notifications(10_000)
  expect(rows).toHaveLength(2 * 502)
  expect(rows.filter(({ state }) => state !== 'delivered')).toEqual([])
  for (const { store } of posts) await store.close()
}, 120_000)
