import { z } from 'zod'
import { type Freeze, freezeId } from '#core/freeze.ts'
import type { AccountKey } from '#core/account.ts'
import type { Alert } from '#core/alert.ts'
import { alertId } from '#core/ladder.ts'
import { isBelow } from '#core/role.ts'
import { dimensions, isNameText, type Selector } from '#core/scope.ts'
import { type Instant, parseInstant, toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { reaches } from './access.ts'
import { forbidden, invalid, notFound } from './problem.ts'
import { declare, everybody, notViewers, type Route } from './route.ts'

const nodeName = z.string().min(1).max(128).refine(isNameText, 'has characters that no name has')
const selectorBody = z.partialRecord(z.enum(dimensions), nodeName)

const freezeBody = z.strictObject({
  /** Several are AND; none is everything. */
  selector: selectorBody,
  reason: z.string().trim().min(3, 'say why, in at least 3 characters').max(500),
  until: z.string().optional(),
})

const freezeShape = z.object({
  id: z.string(),
  selector: z.record(z.string(), z.string()),
  reason: z.string(),
  by: z.string(),
  at: z.string(),
  until: z.string().nullable(),
  on: z.boolean(),
})

export const freezeRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/freezes',
    summary: 'Kill switches that are on, or ended by themselves',
    allows: everybody,
    answer: z.array(freezeShape),
    handle: async ({ deps, actor }) => {
      const now = deps.clock.now()
      return [...freezesOf(deps)]
        .filter((freeze) => reaches(deps, actor, freeze.selector))
        .map((freeze) => showFreeze(freeze, now))
    },
  }),
  declare({
    method: 'post',
    path: '/freezes',
    status: 201,
    summary: 'Freeze a node: no call of it is admitted, on any replica, until this is ended',
    allows: notViewers,
    body: freezeBody,
    answer: freezeShape,
    handle: async ({ deps, actor, body }) => {
      const freeze = freezeFrom(deps, actor, body)
      if (!reaches(deps, actor, freeze.selector)) {
        throw forbidden('not_yours', `${freeze.id} is not in your part of the organization.`)
      }
      const before = deps.records.all('freeze').get(freeze.id) ?? null
      await put(deps, actor, freeze.id, freeze, 'freeze.begun', body.reason, before)
      return showFreeze(freeze, deps.clock.now())
    },
  }),
  declare({
    method: 'post',
    path: '/freezes/{id}/end',
    summary: 'Calls go on',
    allows: notViewers,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: freezeShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const freeze = [...freezesOf(deps)].find((one) => one.id === id)
      if (freeze === undefined || !reaches(deps, actor, freeze.selector)) {
        throw notFound('freeze', id)
      }
      requireOwn(deps, actor, freeze)
      await put(deps, actor, id, null, 'freeze.ended', body.reason ?? null, freeze)
      const now = deps.clock.now()
      return showFreeze({ ...freeze, until: now }, now)
    },
  }),
]

/** What somebody above has frozen is not a lead's to thaw. */
function requireOwn(deps: ControlDeps, actor: Actor, { by, selector, id }: Freeze): void {
  const { subtree } = actor
  if (subtree === null || by === actor.name) return
  if (isBelow(deps.snapshot().tree, subtree, selector)) return
  throw forbidden('above_you', `${id} was frozen by ${by}: ask them, finops or an admin.`)
}

const freezesOf = (deps: ControlDeps): Iterable<Freeze> =>
  deps.records.all('freeze').values() as Iterable<Freeze>

function freezeFrom(deps: ControlDeps, actor: Actor, body: z.output<typeof freezeBody>): Freeze {
  const at = deps.clock.now()
  const until = body.until === undefined ? null : parseInstant(body.until)
  if (body.until !== undefined && (until === null || until <= at)) {
    throw invalid('until', 'write a time to come, such as 2026-12-01T08:00:00Z')
  }
  checkKnown(deps, body.selector)
  const { selector: of, reason } = body
  return { id: freezeId(of), selector: of, reason, by: actor.name, at, until }
}

/** A kill switch with a typing error in it would be pulled and do nothing. */
function checkKnown(deps: ControlDeps, of: Selector): void {
  const { tree, treeDeclared, environments, organization } = deps.snapshot()
  const known = (kind: 'agent' | 'team' | 'business_unit'): readonly string[] =>
    tree.filter((node) => node.kind === kind).map((node) => node.name)
  const lists: Partial<Record<keyof Selector, readonly string[]>> = {
    organization: [organization],
    ...(environments.length > 0 ? { environment: environments } : {}),
    ...(treeDeclared
      ? { agent: known('agent'), team: known('team'), business_unit: known('business_unit') }
      : {}),
  }
  for (const [kind, value] of Object.entries(of)) {
    const names = lists[kind as keyof Selector]
    if (names === undefined || names.includes(value)) continue
    throw invalid(`selector.${kind}`, `there is no ${kind.replace('_', ' ')} "${value}"`)
  }
}

async function put(
  deps: ControlDeps,
  actor: Actor,
  id: string,
  value: Freeze | null,
  action: string,
  reason: string | null,
  before: unknown,
): Promise<void> {
  const record = { kind: 'freeze', id, value } as const
  await changed(
    deps,
    actor,
    { kind: 'put_record', record },
    { action, subject: id, reason, before, after: value },
  )
  deps.records.put(record)
  await deps.store.raise(alertOf(deps.clock.now(), actor, id, action, reason))
}

function alertOf(
  at: Instant,
  actor: Actor,
  id: string,
  action: string,
  reason: string | null,
): Alert {
  return {
    id: alertId(`${action}|${id}|${at}`),
    kind: 'freeze',
    account: '' as AccountKey,
    budget: 'bud_none',
    value: null,
    unit: 'calls',
    threshold: action,
    actions: [{ kind: 'notify', channel: 'owner', name: null }],
    at,
    amount: 0n,
    posted: 0n,
    overage: 0n,
    hold: null,
    periodEnd: at,
    details: { what: id, by: actor.name, ...(reason === null ? {} : { reason }) },
  }
}

function showFreeze(freeze: Freeze, now: Instant): z.infer<typeof freezeShape> {
  const { id, selector: of, reason, by, at, until } = freeze
  return {
    id,
    selector: { ...of } as Record<string, string>,
    reason,
    by,
    at: toIso(at),
    until: until === null ? null : toIso(until),
    on: until === null || now < until,
  }
}
