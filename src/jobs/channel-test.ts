/** A test alert over one channel, now and outside the outbox: what the receiver says is told. */
import type { Alert } from '#core/alert.ts'
import type { AccountKey } from '#core/account.ts'
import { messageOf, wordsOf } from '#core/message.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { makeId } from '#lib/id.ts'
import type { Chance } from '#ports/chance.ts'
import type { Clock } from '#ports/clock.ts'
import type { Notifiers } from '#ports/notifier.ts'

export interface TestDeps {
  readonly clock: Clock
  readonly chance: Chance
  readonly snapshot: () => Snapshot
  readonly notifiers: () => Notifiers
}

export interface Tested {
  readonly delivered: boolean
  /** What the receiver said, or why there was no answer. */
  readonly answer: string
}

/** Null: the channel is not configured. `by` is who wants to see it. */
export async function testChannel(
  { clock, chance, snapshot, notifiers }: TestDeps,
  channel: string,
  by: string,
): Promise<Tested | null> {
  const notifier = notifiers().of(channel)
  if (notifier === null) return null
  const now = clock.now()
  const alert: Alert = {
    id: makeId('alrt', `test-${now.toString(36)}${chance.token(8)}`),
    kind: 'test',
    account: '' as AccountKey,
    budget: 'bud_none',
    value: null,
    unit: 'calls',
    threshold: 'test',
    actions: [],
    at: now,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: now,
    details: { by, channel },
  }
  const sending = await notifier.send(messageOf([alert], wordsOf(snapshot())), null)
  if (sending.kind === 'failed') return { delivered: false, answer: sending.reason }
  return { delivered: true, answer: sending.answer }
}
