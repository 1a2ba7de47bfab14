import { execFile } from 'node:child_process'
import { expect, test } from 'vitest'
import { call, chatBody, startWorld, until, type World } from '#test/support/bursar.ts'
import { pagerDutyEvent, slackMessage, teamsCard } from '#test/support/payloads.ts'
import { startReceiver, startSlack } from '#test/support/receivers.ts'
import { startSmtp } from '#test/support/smtp.ts'

const root = new URL('../../', import.meta.url).pathname
const prompt = 'CANARY-of-a-prompt'
/** gpt-5-mini at $2 a million: a tenth of a cent a call. */
const tenthOfACent = { 'bursar-sim': 'tokens=498; input=16' }
const body = chatBody(prompt, { max_tokens: 498 })

async function places() {
  const slack = await startSlack()
  const [teams, pager, hook] = [
    await startReceiver(() => ({ status: 202 })),
    await startReceiver(() => ({ status: 202, text: '{"status":"success"}' })),
    await startReceiver(() => ({ status: 200, text: 'thanks' })),
  ] as const
  const mail = await startSmtp()
  const all = [slack, teams, pager, hook, mail]
  const notify = `notify:
  slack: { bot_token: xoxb-1, channel: C0123456789, signing_secret: s, api_url: "${slack.url}/api" }
  teams: { workflow_url: "${teams.url}/flow?sig=abcdefgh" }
  pagerduty: { routing_key: ${'k'.repeat(32)}, events_url: "${pager.url}/v2/enqueue" }
  email: { smtp: "smtp://127.0.0.1:${mail.port}", to: [finops@acme.test] }
  webhooks: { ops: { url: "${hook.url}/hook" } }
`
  return {
    slack,
    teams,
    pager,
    hook,
    mail,
    notify,
    [Symbol.asyncDispose]: async () => {
      for (const one of all) await one[Symbol.asyncDispose]()
    },
  }
}

const ladder = `budgets:
  - name: support
    owner: kim@acme.test
    budget_monthly_usd: 0.01
    alerts:
      - { threshold: 0.5, actions: [notify_slack, notify] }
      - { threshold: 0.8, actions: [notify_pagerduty, notify_teams, notify_slack] }
      - { threshold: 1.2, action: hard_stop }
`

const send = (world: World, key: string) =>
  call(world, key, '/v1/chat/completions', body, tenthOfACent)

test('one climb over Slack, PagerDuty, Teams, e-mail and a webhook, and down by an override', async () => {
  await using at = await places()
  await using world = await startWorld({ config: ladder + at.notify })
  const key = await world.key({ agent: 'customer-resolver' })
  const severities = (): readonly string[] =>
    at.pager.accepted().map(({ body: event }) => {
      const parsed = pagerDutyEvent.parse(event)
      return parsed.event_action === 'trigger' ? parsed.payload.severity : parsed.event_action
    })
  for (let i = 0; i < 6; i += 1) expect((await send(world, key)).status).toBe(200)
  await until(
    'half of it is told',
    () => at.slack.messages.size === 1 && at.mail.mails.length === 1,
  )
  expect(at.pager.received).toHaveLength(0)
  expect(at.mail.mails[0]?.to).toEqual(['kim@acme.test'])
  for (let i = 0; i < 3; i += 1) expect((await send(world, key)).status).toBe(200)
  await until('four fifths are told', () => at.slack.received.length === 2)
  await until('to who is on call, too', () => severities().length === 1)
  let status = 200
  for (let i = 0; i < 10 && status === 200; i += 1) status = (await send(world, key)).status
  expect(status).toBe(402)

  await until('the stop is told', () => severities().length === 2 && at.slack.received.length === 3)
  expect(severities()).toEqual(['warning', 'critical'])
  expect(at.slack.messages.size).toBe(1)
  await until('everywhere', () => at.teams.accepted().length === 2 && at.mail.mails.length === 2)
  expect(JSON.stringify([...at.slack.messages.values()])).toContain('Stopped: support a month')

  const [{ id: budget = '' } = {}] = (await world.api('/budgets')) as { id?: string }[]
  await world.api('/overrides', { budget, extra_usd: '1', reason: 'month end', self: true })
  await until('it is resolved', () => severities().includes('resolve'), 12_000)
  await until('and the message says so', () => at.slack.received.length === 4)
  expect(JSON.stringify([...at.slack.messages.values()])).toContain('An override is in force')
  expect(at.slack.messages.size).toBe(1)
  expect(new Set(at.pager.received.map(({ body: event }) => event.dedup_key)).size).toBe(1)

  await until('all is written down', async () => {
    const deliveries = (await world.api('/deliveries')) as { state: string }[]
    return deliveries.every(({ state }) => state === 'delivered')
  })
  const types = at.hook.accepted().map(({ body: event }) => String(event.type))
  expect(types.toSorted()).toEqual([
    'budget.override',
    'budget.resumed',
    'budget.threshold',
    'budget.threshold',
    'budget.threshold',
  ])
  for (const { body: message } of at.slack.received) slackMessage.parse(message)
  for (const { body: card } of at.teams.received) teamsCard.parse(card)
  const everything = [at.slack, at.teams, at.pager, at.hook].flatMap(({ received }) => received)
  for (const { text } of everything) expect(text).not.toContain(prompt)
  for (const { raw } of at.mail.mails) expect(raw).not.toContain(prompt)
}, 60_000)

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

function cli(world: World, ...args: string[]): Promise<Ran> {
  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  return new Promise((resolve) => {
    execFile(process.execPath, [`${root}src/main.ts`, ...args], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

test('bursar alert test says what the receiver answers, and is in the audit log', async () => {
  await using at = await places()
  await using world = await startWorld({ config: ladder + at.notify })
  const names = ['slack', 'pagerduty', 'teams', 'email', 'email:kim@acme.test', 'webhook:ops']
  for (const name of names) {
    const { code, out } = await cli(world, 'alert', 'test', name)
    expect(code, name).toBe(0)
    expect(out, name).toMatch(new RegExp(`^${name.replace('.', '\\.')}: delivered \\(.+\\)\n$`))
  }
  expect(JSON.stringify([...at.slack.messages.values()])).toContain('A test of this channel')
  expect(at.mail.mails.map(({ to }) => to.join())).toEqual(['finops@acme.test', 'kim@acme.test'])
  at.slack.fail('invalid_auth')
  const failed = await cli(world, 'alert', 'test', 'slack')
  expect(failed.code).toBe(1)
  expect(failed.err).toContain('slack: not delivered: Slack answered "invalid_auth"')
  const unknown = await cli(world, 'alert', 'test', 'pidgin')
  expect(unknown.code).toBe(1)
  expect(unknown.err).toContain('slack, pagerduty, teams, email, webhook:ops')
  const json = await cli(world, 'alert', 'test', 'webhook:ops', '--json')
  expect(JSON.parse(json.out)).toEqual({
    channel: 'webhook:ops',
    delivered: true,
    answer: '200 thanks',
  })
  const audit = (await world.api('/audit')) as { action: string; subject: string }[]
  const tests = audit.filter(({ action }) => action === 'alert.tested')
  expect(tests.map(({ subject }) => subject).reverse()).toEqual([...names, 'slack', 'webhook:ops'])
  const channels = (await world.api('/channels')) as { channel: string; state: string }[]
  expect(channels.map(({ channel, state }) => `${channel} ${state}`)).toEqual([
    'slack unused',
    'pagerduty unused',
    'teams unused',
    'email unused',
    'webhook:ops unused',
  ])
}, 120_000)

test('receivers that hang cost a caller nothing', async () => {
  await using at = await places()
  const medianOf = async (config: string): Promise<number> => {
    await using world = await startWorld({ config })
    const key = await world.key()
    const times: number[] = []
    for (let i = 0; i < 300; i += 1) {
      const since = performance.now()
      const user = { ...tenthOfACent, 'bursar-user': `u${i}` }
      const { status } = await call(world, key, '/v1/chat/completions', body, user)
      expect(status).toBe(200)
      times.push(performance.now() - since)
    }
    // So that it may stop.
    for (const one of [at.teams, at.pager, at.hook]) one.behave(() => ({ status: 202 }))
    return times.sort((a, b) => a - b)[150] ?? 0
  }
  const quiet = await medianOf('budgets: [{ per: user, budget_daily_usd: 100 }]\n')
  for (const one of [at.teams, at.pager, at.hook]) one.behave(() => 'hang')
  at.slack.fail('hang')
  at.mail.fail('hang')
  // Every call is of another user, and crosses a line.
  const loud = await medianOf(`budgets:
  - per: user
    budget_daily_usd: 100
    alerts: [{ threshold: 0.000001, actions: [notify_slack, notify_pagerduty, notify_teams, notify_email] }]
${at.notify}`)
  expect(at.hook.received.length).toBeGreaterThan(0)
  expect(loud).toBeLessThan(quiet * 1.5 + 3)
}, 120_000)
