/** What a channel needs to know to go on with something it has begun: kept as records. */
import type { Message } from '#core/message.ts'
import type { Instant } from '#core/time.ts'
import type { ControlStore } from '#ports/store.ts'

interface Kept {
  readonly thread: unknown
  /** When the period ends that it is about. */
  readonly until: Instant
}

type Records = Pick<ControlStore, 'record' | 'records' | 'putRecord'>

const idOf = (channel: string, subject: string): string => `${channel}|${subject}`

/** What the last delivery on this subject left; null: there was none, or it left nothing. */
export async function threadOf(
  store: Records,
  channel: string,
  { subject }: Message,
): Promise<unknown> {
  if (subject === null) return null
  const record = await store.record('thread', idOf(channel, subject))
  return record === null ? null : (record.value as Kept).thread
}

export async function keepThread(
  store: Records,
  given: { channel: string; message: Message; thread: unknown; now: Instant },
): Promise<void> {
  const { channel, message, thread, now } = given
  if (message.subject === null) return
  const id = idOf(channel, message.subject)
  if (thread === null && (await store.record('thread', id)) === null) return
  const ends = message.alerts.map(({ periodEnd }) => periodEnd)
  const value: Kept | null = thread === null ? null : { thread, until: latest([...ends, now]) }
  await store.putRecord({ kind: 'thread', id, value })
}

const keptMs = 7 * 24 * 3_600_000

/** Threads of periods long over are let go. */
export async function forgetThreads(store: Records, now: Instant): Promise<void> {
  for (const { id, value } of await store.records('thread')) {
    if (now > (value as Kept).until + keptMs)
      await store.putRecord({ kind: 'thread', id, value: null })
  }
}

function latest(times: readonly Instant[]): Instant {
  return times.reduce((late, time) => (time > late ? time : late))
}
