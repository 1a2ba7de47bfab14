/** An override asked for by one person and decided on in Slack by another. */
import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { startWorld, type World } from '#test/support/bursar.ts'

const secret = 'a signing secret'
const config = `organization: acme
budgets: [{ name: all, budget_monthly_usd: 10 }]
notify: { slack: { webhook_url: "http://127.0.0.1:9/hook", signing_secret: "${secret}", approvers: [U0LEE] } }
`

interface Press {
  readonly user: string
  readonly action: string
  readonly signed?: string
  readonly at?: number
}

async function press(world: World, { user, action, signed = secret, at = Date.now() }: Press) {
  const payload = {
    type: 'block_actions',
    user: { id: user, username: 'lee' },
    actions: [{ action_id: action }],
  }
  const body = `payload=${encodeURIComponent(JSON.stringify(payload))}`
  const seconds = String(Math.floor(at / 1000))
  const digest = createHmac('sha256', signed).update(`v0:${seconds}:${body}`).digest('hex')
  const answer = await fetch(`${world.url}/api/slack/actions`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': seconds,
      'x-slack-signature': `v0=${digest}`,
    },
  })
  return [answer.status, ((await answer.json()) as { text: string }).text] as const
}

interface Override {
  readonly id: string
  readonly state: string
  readonly approved_by: string | null
}

test('only a signed press of somebody who may decide does, once, and it is recorded', async () => {
  await using world = await startWorld({ config })
  const [budget] = (await world.api('/budgets')) as { id: string }[]
  const ask = async (): Promise<Override> =>
    (await world.api('/overrides', {
      budget: budget?.id,
      extra_usd: '5',
      reason: 'launch',
    })) as Override
  const { id } = await ask()
  const approve = `override_approve:${id}`
  expect(await press(world, { user: 'U0LEE', action: approve, signed: 'another' })).toEqual([
    401,
    'not signed by Slack',
  ])
  const old = Date.now() - 6 * 60_000
  expect((await press(world, { user: 'U0LEE', action: approve, at: old }))[0]).toBe(401)
  expect(await press(world, { user: 'U0MAX', action: approve })).toEqual([
    200,
    expect.stringContaining('You may not decide'),
  ])
  expect(await press(world, { user: 'U0LEE', action: 'override_approve:ovr_none' })).toEqual([
    200,
    'There is no such override.',
  ])
  const state = async (): Promise<string | undefined> =>
    ((await world.api('/overrides')) as Override[]).find((one) => one.id === id)?.state
  expect(await state()).toBe('requested')

  expect(await press(world, { user: 'U0LEE', action: approve })).toEqual([
    200,
    `Override ${id} is approved.`,
  ])
  expect(await press(world, { user: 'U0LEE', action: approve })).toEqual([
    200,
    expect.stringContaining('already approved'),
  ])
  const second = await ask()
  const deny = `override_deny:${second.id}`
  expect((await press(world, { user: 'U0LEE', action: deny }))[1]).toContain('denied')
  const audit = (await world.api('/audit')) as { action: string; actor: string; reason: string }[]
  expect(audit.slice(0, 4).map(({ action, actor }) => [action, actor])).toEqual([
    ['override.denied', 'lee (Slack U0LEE)'],
    ['override.requested', 'admin'],
    ['override.approved', 'lee (Slack U0LEE)'],
    ['override.requested', 'admin'],
  ])
  const alerts = (await world.api('/alerts')) as { kind: string; threshold: string }[]
  expect(alerts.map(({ threshold }) => threshold).reverse()).toEqual([
    'override.requested',
    'override.approved',
    'override.requested',
    'override.denied',
  ])
})
