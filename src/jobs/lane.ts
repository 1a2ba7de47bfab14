/**
 * One channel's turn: takes what is due on it, says it in few messages, and writes down what became
 * of each. A receiver that fails has a rest; what it missed is kept.
 */
import type { Alert, Notification } from '#core/alert.ts'
import { carrierOf } from '#core/alert-route.ts'
import type { AccountKey } from '#core/account.ts'
import {
  afterDelivery,
  afterFailure,
  type AlertGroup,
  attemptsMax,
  type ChannelState,
  freshChannel,
  isDead,
  type Plan,
  plan,
} from '#core/delivery.ts'
import { alertId } from '#core/ladder.ts'
import { digestOf, type Message, messageOf, wordsOf } from '#core/message.ts'
import { after, type Instant } from '#core/time.ts'
import type { Notifier, Sending } from '#ports/notifier.ts'
import { StoreUnavailable } from '#ports/store.ts'
import type { AlertDeps } from './alert-deps.ts'
import { keepThread, threadOf } from './threads.ts'

export interface LaneDeps extends AlertDeps {
  /** This process, to the others. */
  readonly self: string
  readonly stopping: AbortSignal
}

type Due = Notification & { readonly of: Alert }

/** Messages of one turn must all be sent within it: then another process may try. */
const leaseMs = 3 * 60_000
/** The longest that a message may take, its second try and the writing included. */
const messageMs = 45_000
const takenMax = 2000

/** Resolves to the time before which there is nothing to do here; null: not known. */
export async function serveChannel(deps: LaneDeps, channel: string): Promise<Instant | null> {
  const { store, clock, self } = deps
  const paused = pauseOf(await stateOf(deps, channel), await stateOf(deps, carrierOf(channel)))
  if (clock.now() < paused) return paused
  const now = clock.now()
  const until = after(now, leaseMs)
  if (!(await store.lease(`channel ${channel}`, self, now, until))) return null
  try {
    const due = await store.takeDue(now, takenMax, until, channel)
    const notifier = deps.notifiers().of(channel)
    if (due.length === 0) return null
    if (notifier === null) {
      await save(deps, due, { state: 'dead', lastError: 'the channel is no longer configured' })
      return null
    }
    return await serveDue({ deps, channel, notifier, until }, due)
  } finally {
    const over = clock.now()
    await store.lease(`channel ${channel}`, self, over, over)
  }
}

interface Lane {
  readonly deps: LaneDeps
  readonly channel: string
  readonly notifier: Notifier
  readonly until: Instant
}

async function serveDue(lane: Lane, taken: readonly Due[]): Promise<Instant | null> {
  const { deps, channel, notifier, until } = lane
  const due = [...taken].sort((a, b) => a.of.at - b.of.at)
  const rows = new Map(due.map((one) => [one.alert, one]))
  const before = await stateOf(deps, channel)
  const now = deps.clock.now()
  const planned = plan(
    due.map(({ of }) => of),
    before,
    notifier.manner,
    now,
  )
  const rowsOf = (alerts: readonly Alert[]): readonly Due[] =>
    alerts.flatMap(({ id }) => rows.get(id) ?? [])
  await save(deps, rowsOf(planned.later), { nextAt: planned.until })
  let state: ChannelState = { ...before, window: planned.window }
  const left = messagesOf(planned, deps)
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const isLate = deps.clock.now() > until - messageMs || deps.stopping.aborted
    const isPaused = deps.clock.now() < state.pausedUntil
    if (isLate || isPaused) {
      const rest = [next, ...left].flatMap(({ alerts }) => rowsOf(alerts))
      await save(deps, rest, { nextAt: isPaused ? state.pausedUntil : deps.clock.now() })
      break
    }
    state = await deliver(lane, next, rowsOf(next.alerts), state)
  }
  // Who has slept over its time may have been replaced: what it knows is old.
  if (deps.clock.now() < until) await insist(deps, () => putState(deps, channel, state))
  const paused = pauseOf(state, freshChannel)
  return paused > deps.clock.now() ? paused : null
}

function messagesOf({ single, digest }: Plan, { snapshot }: LaneDeps): Message[] {
  const words = wordsOf(snapshot())
  const messages = single.map((group: AlertGroup) => messageOf(group, words))
  return digest === null ? messages : [...messages, digestOf(digest, words)]
}

/** Sends one message; the state of the channel after it. */
async function deliver(
  { deps, channel, notifier, until }: Lane,
  message: Message,
  rows: readonly Due[],
  state: ChannelState,
): Promise<ChannelState> {
  const thread = await threadOf(deps.store, channel, message)
  const sending = await notifier.send(message, thread)
  const now = deps.clock.now()
  if (sending.kind === 'delivered') {
    await insist(deps, async () => {
      await keepThread(deps.store, { channel, message, thread: sending.thread, now })
      await save(deps, rows, { state: 'delivered', lastError: null }, 1)
    })
    const { alerts, subject } = message
    if (subject === null) {
      deps.observe({ kind: 'digest_sent', channel, alerts: alerts.map(({ id }) => id) })
    }
    return afterDelivery(state, now)
  }
  // Too late to say so: by now another process has them.
  if (now >= until) return state
  return failed(deps, channel, { sending, rows, state, now })
}

interface Failed {
  readonly sending: Extract<Sending, { kind: 'failed' }>
  readonly rows: readonly Due[]
  readonly state: ChannelState
  readonly now: Instant
}

async function failed(
  deps: LaneDeps,
  channel: string,
  { sending, rows, state, now }: Failed,
): Promise<ChannelState> {
  const { reason, lasting } = sending
  const next = afterFailure(state, sending, now, deps.chance.fraction())
  const isRefused = lasting === 'message'
  const dead = rows.filter(({ attempts }) => isRefused || attempts + 1 >= attemptsMax)
  const waiting = rows.filter((row) => !dead.includes(row))
  for (const { alert } of rows) {
    const isGivenUp = dead.some((row) => row.alert === alert)
    deps.observe({ kind: 'notification_failed', alert, channel, reason, dead: isGivenUp })
  }
  await save(deps, dead, { state: 'dead', lastError: reason }, 1)
  await save(deps, waiting, { lastError: reason, nextAt: next.pausedUntil }, 1)
  if (next.dead || !isDead(next, lasting)) return next
  // One mailbox after the other may find that the server they share is away.
  const states = await deps.store.records('channel')
  const carrier = carrierOf(channel)
  const isTold = states.some(
    ({ id, value }) => carrierOf(id) === carrier && (value as ChannelState).dead,
  )
  if (!isTold) await deps.store.raise(deadAlert(channel, next, now))
  return { ...next, dead: true }
}

/** Once for each row of failures, however often it is raised. */
function deadAlert(channel: string, state: ChannelState, now: Instant): Alert {
  const { failures, lastError, failingSince } = state
  return {
    id: alertId(`channel_dead|${carrierOf(channel)}|${failingSince ?? now}`),
    kind: 'channel_dead',
    account: '' as AccountKey,
    budget: 'bud_none',
    value: null,
    unit: 'calls',
    threshold: channel,
    actions: [],
    at: now,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: now,
    details: { channel, failures: String(failures), reason: lastError ?? '(none)' },
  }
}

const pauseOf = (one: ChannelState, other: ChannelState): Instant =>
  one.pausedUntil > other.pausedUntil ? one.pausedUntil : other.pausedUntil

async function stateOf({ store }: AlertDeps, channel: string): Promise<ChannelState> {
  const record = await store.record('channel', channel)
  return record === null ? freshChannel : (record.value as ChannelState)
}

function putState({ store }: AlertDeps, channel: string, value: ChannelState): Promise<void> {
  return store.putRecord({ kind: 'channel', id: channel, value })
}

async function save(
  { store }: AlertDeps,
  rows: readonly Due[],
  change: Partial<Notification>,
  tries = 0,
): Promise<void> {
  await Promise.all(
    rows.map(({ of: _alert, ...row }) =>
      store.saveNotification({ ...row, ...change, attempts: row.attempts + tries }),
    ),
  )
}

/** What was sent is sent: were that not written down, it would be sent again. */
async function insist(deps: LaneDeps, work: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || tries >= insistMax) throw error
      await deps.clock.sleep(1000, deps.stopping)
    }
  }
}

const insistMax = 20
