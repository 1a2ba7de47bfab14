import { z } from 'zod'
import type { BudgetRule } from '#core/budget.ts'
import { periodOf } from '#core/budget.ts'
import { nanosMax, parseUsd } from '#core/money.ts'
import { type Decider, decide, type Decision, endNow, type Override } from '#core/override.ts'
import { isNameText } from '#core/scope.ts'
import { type Instant, parseInstant } from '#core/time.ts'
import { makeId, parseId } from '#lib/id.ts'
import { reachesAccount, reachesBudget, requireAbove } from './access.ts'
import { changed, newBody } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { tellOverride } from './override-alerts.ts'
import { conflict, forbidden, invalid, notFound } from './problem.ts'
import { declare, everybody, notViewers, type Route } from './route.ts'
import { overrideShape, showOverride } from './shapes.ts'

const requestBody = z.strictObject({
  budget: z.string(),
  value: z.string().max(128).refine(isNameText, 'has characters that no name has').optional(),
  extra_usd: z.union([z.string(), z.number()]).optional(),
  until: z.string().optional(),
  reason: z.string().trim().min(3, 'say why, in at least 3 characters').max(500),
  requested_by: z.string().min(1).max(128).optional(),
  self: z.boolean().optional(),
})
const decisionBody = z.strictObject({
  by: z.string().min(1).max(128).optional(),
  self: z.boolean().optional(),
  reason: z.string().max(500).optional(),
})

export const overrideRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/overrides',
    summary: 'Overrides, in force and past',
    allows: everybody,
    answer: z.array(overrideShape),
    handle: async ({ deps, actor }) => {
      const now = deps.clock.now()
      return (await deps.store.overrides())
        .filter((override) => reachesBudget(deps, actor, override))
        .map((override) => showOverride(override, now))
    },
  }),
  declare({
    method: 'post',
    path: '/overrides',
    status: 201,
    summary: 'Ask for an exception; with `self` an admin approves its own, which is recorded',
    allows: notViewers,
    body: requestBody,
    answer: overrideShape,
    handle: async ({ deps, actor, body }) => {
      const by = deciderOf(actor, body.requested_by, body.self)
      const requested = overrideFrom(deps, actor, by, body)
      await changed(
        deps,
        actor,
        { kind: 'put_override', override: requested },
        {
          action: 'override.requested',
          subject: requested.id,
          reason: requested.reason,
          after: showOverride(requested, deps.clock.now()),
        },
      )
      if (body.self !== true) {
        await tellOverride(deps, requested, 'requested')
        return showOverride(requested, deps.clock.now())
      }
      return decided(deps, actor, requested, by, 'approved', requested.reason)
    },
  }),
  decisionRoute('approve', 'approved', 'Approve: in force from the next call on'),
  decisionRoute('deny', 'denied', 'Deny'),
  declare({
    method: 'post',
    path: '/overrides/{id}/end',
    summary: 'End an override before its time',
    allows: notViewers,
    body: z.strictObject({ reason: z.string().max(500).optional() }),
    answer: overrideShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const before = await overrideOf(deps, actor, id)
      const now = deps.clock.now()
      const after = endNow(before, now)
      if (after === 'not_in_force') {
        throw conflict('not_in_force', `Override ${id} is not in force.`)
      }
      await changed(
        deps,
        actor,
        { kind: 'put_override', override: after },
        {
          action: 'override.ended',
          subject: after.id,
          reason: body.reason ?? null,
          before: showOverride(before, now),
          after: showOverride(after, now),
        },
      )
      await tellOverride(deps, after, 'ended')
      return showOverride(after, now)
    },
  }),
]

async function overrideOf(deps: ControlDeps, actor: Actor, text: string): Promise<Override> {
  const id = parseId('ovr', text)
  const override = id === null ? null : await deps.store.override(id)
  if (override === null || !reachesBudget(deps, actor, override)) {
    throw notFound('override', text)
  }
  return override
}

function decisionRoute(verb: string, decision: Decision, summary: string): Route {
  return declare({
    method: 'post',
    path: `/overrides/{id}/${verb}`,
    summary,
    allows: notViewers,
    body: decisionBody,
    answer: overrideShape,
    handle: async ({ deps, actor, params: { id = '' }, body }) => {
      const override = await overrideOf(deps, actor, id)
      const by = deciderOf(actor, body.by, body.self)
      const rule = deps.snapshot().budgets.find((one) => one.id === override.budget)
      if (decision === 'approved' && rule !== undefined) {
        requireAbove(deps, actor, rule, override.value)
      }
      return decided(deps, actor, override, by, decision, body.reason ?? null)
    },
  })
}

/** Who acts. Only an admin acts in somebody else's stead, or alone; both are recorded. */
function deciderOf(actor: Actor, said: string | undefined, self = false): Decider {
  const isOther = said !== undefined && said !== actor.name
  if (actor.role !== 'admin' && (isOther || self)) {
    const what = isOther ? 'name somebody else' : 'say self'
    throw forbidden('admins_only', `Only an admin may ${what}: you act as ${actor.name}.`)
  }
  return {
    person: actor.person,
    name: said ?? actor.name,
    through: isOther ? actor.name : null,
    self,
  }
}

export async function decided(
  deps: ControlDeps,
  actor: Actor,
  override: Override,
  by: Decider,
  decision: Decision,
  reason: string | null,
): Promise<z.infer<typeof overrideShape>> {
  const now = deps.clock.now()
  const after = decide(override, by, decision, now)
  switch (after) {
    case 'already_decided':
      throw conflict('already_decided', `Override ${override.id} is already ${override.state}.`)
    case 'needs_another_person':
      throw conflict(
        'needs_another_person',
        'Somebody else must approve this. An admin may say --self; that is recorded.',
      )
    case 'too_late':
      throw conflict('too_late', `Override ${override.id} has already ended.`)
    default: {
      const shown = showOverride(after, now)
      const note = {
        action: `override.${decision}`,
        subject: after.id,
        reason,
        before: showOverride(override, now),
        after: shown,
        once: `decided-${after.id.slice('ovr_'.length)}`,
      }
      const change = { kind: 'put_override', override: after } as const
      await changed(deps, actor, change, note).catch(async (error: unknown) => {
        // Two who decide at once: the store takes one of them.
        const state = (await deps.store.override(after.id))?.state ?? 'requested'
        if (state === 'requested') throw error
        throw conflict('already_decided', `Override ${after.id} is already ${state}.`)
      })
      await tellOverride(deps, after, decision)
      return shown
    }
  }
}

function overrideFrom(
  deps: ControlDeps,
  actor: Actor,
  by: Decider,
  body: z.output<typeof requestBody>,
): Override {
  const now = deps.clock.now()
  const rule = deps
    .snapshot()
    .budgets.find(({ id, name }) => id === body.budget || name === body.budget)
  if (rule === undefined || !reachesAccount(deps, actor, rule, body.value ?? null)) {
    throw notFound('budget', body.budget)
  }
  if (rule.unit !== 'usd') throw invalid('budget', 'overrides are for budgets, not for quotas')
  if (body.value !== undefined && rule.per === null) {
    throw invalid('value', `budget "${rule.name}" is one shared pool: leave value out`)
  }
  const extra = body.extra_usd === undefined ? null : parseUsd(String(body.extra_usd))
  if (body.extra_usd !== undefined && (extra === null || extra <= 0n || extra > nanosMax / 4n)) {
    throw invalid('extra_usd', `"${body.extra_usd}" is not an amount above zero, such as 250.00`)
  }
  if (extra === null && body.until === undefined) {
    throw invalid('extra_usd', 'say how much (extra_usd) or until when (until)')
  }
  return {
    id: makeId('ovr', newBody(deps)),
    budget: rule.id,
    value: body.value ?? null,
    extra,
    until: untilOf(rule, body.until, now),
    reason: body.reason,
    requestedBy: by.name,
    requester: by.person,
    ...(by.through === null ? {} : { requestedThrough: by.through }),
    requestedAt: now,
    state: 'requested',
    decidedBy: null,
    decidedAt: null,
    self: false,
  }
}

/** It ends by itself: at the period's end, or earlier where that is said. Never later. */
function untilOf(rule: BudgetRule, text: string | undefined, now: Instant): Instant {
  const { end } = periodOf(rule, now)
  if (text === undefined) return end
  const until = parseInstant(text)
  if (until === null) throw invalid('until', 'write it as 2026-12-31T00:00:00Z')
  if (until <= now) throw invalid('until', 'it is in the past')
  return until < end ? until : end
}
