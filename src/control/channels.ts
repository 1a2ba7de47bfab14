import { z } from 'zod'
import { type ChannelState, freshChannel } from '#core/delivery.ts'
import { toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { ControlDeps } from './deps.ts'
import { notFound } from './problem.ts'
import { declare, notLeads, type Route, stewards } from './route.ts'

const testBody = z.strictObject({ channel: z.string().min(1).max(300) })
const testedShape = z.object({
  channel: z.string(),
  delivered: z.boolean(),
  answer: z.string(),
})

const channelShape = z.object({
  channel: z.string(),
  state: z.enum(['ok', 'failing', 'dead', 'unused']),
  failures: z.number(),
  failing_since: z.string().nullable(),
  next_try_at: z.string().nullable(),
  last_error: z.string().nullable(),
  delivered_at: z.string().nullable(),
  configured: z.boolean(),
})

export const channelRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/channels',
    summary: 'Channels of alerts, and whether alerts arrive over them',
    allows: notLeads,
    answer: z.array(channelShape),
    handle: ({ deps }) => channelsOf(deps),
  }),
  declare({
    method: 'post',
    path: '/alerts/test',
    summary: 'Send a test alert over one channel, and say what its receiver answers',
    allows: stewards,
    body: testBody,
    answer: testedShape,
    handle: async ({ deps, actor, body: { channel } }) => {
      const tested = await deps.channels.test(channel, actor.name)
      if (tested === null) {
        const known = deps.channels.names().join(', ') || 'none is configured'
        throw notFound('channel', `${channel}". Configured: "${known}`)
      }
      const after = { channel, ...tested }
      const note = { action: 'alert.tested', subject: channel, after }
      await changed(deps, actor, { kind: 'note' }, note)
      return after
    },
  }),
]

async function channelsOf({
  store,
  channels,
}: ControlDeps): Promise<readonly z.infer<typeof channelShape>[]> {
  const states = new Map(
    (await store.records('channel')).map(({ id, value }) => [id, value as ChannelState]),
  )
  const configured = channels.names()
  const names = [...new Set([...configured, ...states.keys()])]
  return names.map((channel) => {
    const state = states.get(channel) ?? freshChannel
    return {
      channel,
      state: wordFor(state),
      failures: state.failures,
      failing_since: state.failingSince === null ? null : toIso(state.failingSince),
      next_try_at: state.failures === 0 ? null : toIso(state.pausedUntil),
      last_error: state.lastError,
      delivered_at: state.deliveredAt === null ? null : toIso(state.deliveredAt),
      configured: configured.includes(channel) || channel.startsWith('email:'),
    }
  })
}

function wordFor({
  dead,
  failures,
  deliveredAt,
}: ChannelState): 'ok' | 'failing' | 'dead' | 'unused' {
  if (dead) return 'dead'
  if (failures > 0) return 'failing'
  return deliveredAt === null ? 'unused' : 'ok'
}
