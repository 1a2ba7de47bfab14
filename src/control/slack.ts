/** Approve and deny, pressed in Slack: believed where Slack signed it and the person may decide. */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { parseId } from '#lib/id.ts'
import { slackDecision, verifySlackSignature } from '#lib/slack-actions.ts'
import { textWithin } from './body.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { decided } from './overrides.ts'
import { ProblemError } from './problem.ts'

/** Longer than any message of ours with its buttons. */
const bodyBytesMax = 256 * 1024

const pressed = z.object({
  type: z.literal('block_actions'),
  user: z.object({ id: z.string().regex(/^[UW][A-Z0-9]{1,30}$/), username: z.string().optional() }),
  actions: z.array(z.object({ action_id: z.string() })).min(1),
})

export function mountSlack(app: Hono, deps: ControlDeps): void {
  app.post('/api/slack/actions', (c) => answer(deps, c))
}

async function answer(deps: ControlDeps, c: Context): Promise<Response> {
  const secret = deps.snapshot().notify.slackSigningSecret
  const text = await textWithin(c.req.raw, bodyBytesMax)
  const isSlack =
    secret !== null &&
    text !== null &&
    verifySlackSignature(
      secret.reveal(),
      c.req.header('x-slack-request-timestamp') ?? '',
      text,
      c.req.header('x-slack-signature') ?? '',
      deps.clock.now(),
    )
  if (!isSlack) return c.json({ text: 'not signed by Slack' }, 401)
  return c.json({ response_type: 'ephemeral', text: await act(deps, text) })
}

/** What is said to whoever pressed: Slack shows nothing but a 200. */
async function act(deps: ControlDeps, text: string): Promise<string> {
  const found = pressed.safeParse(jsonOf(new URLSearchParams(text).get('payload') ?? ''))
  if (!found.success) return 'This is nothing that Bursar asked for.'
  const { user, actions } = found.data
  if (!deps.snapshot().notify.slackApprovers.includes(user.id)) {
    return `You may not decide on overrides: add ${user.id} to notify.slack.approvers.`
  }
  const [meaning] = actions.flatMap(({ action_id: id }) => slackDecision(id) ?? [])
  const id = meaning === undefined ? null : parseId('ovr', meaning.override)
  const override = id === null ? null : await deps.store.override(id)
  if (meaning === undefined || override === null) return 'There is no such override.'
  const actor = slackActor(user.id, user.username)
  const by = { person: actor.person, name: actor.name, through: null, self: false }
  try {
    const after = await decided(deps, actor, override, by, meaning.decision, 'in Slack')
    return `Override ${after.id} is ${after.state}.`
  } catch (error) {
    if (error instanceof ProblemError) return error.problem.detail
    throw error
  }
}

function slackActor(id: string, username: string | undefined): Actor {
  return {
    id: `slack:${id}`,
    name: `${(username ?? id).replace(/[^\w.-]/g, '').slice(0, 60)} (Slack ${id})`,
    person: `slack:${id}`,
    via: 'slack',
    role: 'finops',
    subtree: null,
    expiresAt: null,
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
