/** A change and its audit row, written in one transaction. */
import type { AuditRow } from '#core/audit.ts'
import { bodyAt, makeId } from '#lib/id.ts'
import type { Change } from '#ports/store.ts'
import type { Actor, ControlDeps } from './deps.ts'

export async function changed(
  deps: ControlDeps,
  actor: Actor,
  change: Change,
  note: Pick<AuditRow, 'action' | 'subject'> & {
    readonly reason?: string | null
    readonly before?: unknown
    readonly after?: unknown
    /** What can happen once only has an id of its own: the second is refused by the store. */
    readonly once?: string
  },
): Promise<void> {
  const { action, subject, reason = null, before = null, after = null, once } = note
  await deps.store.change(change, {
    id: makeId('aud', once ?? newBody(deps)),
    at: deps.clock.now(),
    actor: actor.name,
    identity: actor.id,
    action,
    subject,
    reason,
    before,
    after,
  })
}

/** The body of a new id: sorts by time. */
export function newBody({ clock, chance }: ControlDeps): string {
  return bodyAt(clock.now(), chance.token(13))
}
