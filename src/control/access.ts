/** Where an actor's rights end: a lead sees and changes what lies in his subtree, and no more. */
import type { Alert } from '#core/alert.ts'
import type { BudgetRule } from '#core/budget.ts'
import { rulesOfSnapshot } from '#core/rules-by-id.ts'
import {
  formatSubtree,
  holds,
  isBelow,
  isWithin,
  type Rights,
  spentWithin,
  type Subtree,
  type Tree,
} from '#core/role.ts'
import type { Selector } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { SpendQuery, SpendRow } from '#core/spend.ts'
import type { BudgetId } from '#lib/id.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { forbidden } from './problem.ts'

export function treeOf({ tree, treeDeclared }: Snapshot): Tree {
  return { nodes: tree, declared: treeDeclared }
}

/** May `actor` see what `selector` selects, and change it? Everything where he has no subtree. */
export function reaches(deps: ControlDeps, actor: Rights, selector: Selector): boolean {
  return actor.subtree === null || isWithin(deps.snapshot().tree, actor.subtree, selector)
}

/** The same of one account of a rule; null: of all its accounts. */
export function reachesAccount(
  deps: ControlDeps,
  actor: Rights,
  rule: BudgetRule,
  value: string | null,
): boolean {
  return reaches(deps, actor, selectorOf(rule, value))
}

/** The same of an account by its budget's id. A budget that the config has no more is nobody's. */
export function reachesBudget(
  deps: ControlDeps,
  actor: Rights,
  { budget, value }: { readonly budget: string; readonly value: string | null },
): boolean {
  if (actor.subtree === null) return true
  const rule = rulesOfSnapshot(deps.snapshot()).get(budget as BudgetId)
  return rule !== undefined && reachesAccount(deps, actor, rule, value)
}

/** A loop or a model without a price is its agent's. A day out of line tells of the company too. */
export function reachesAlert(deps: ControlDeps, actor: Rights, alert: Alert): boolean {
  const isOfAgent = alert.kind === 'loop' || alert.kind === 'unpriced_model'
  const agent = isOfAgent ? alert.details?.agent : undefined
  return agent === undefined ? reachesBudget(deps, actor, alert) : reaches(deps, actor, { agent })
}

function selectorOf(rule: BudgetRule, value: string | null): Selector {
  const { selector, per } = rule
  return per === null || per === 'run' || value === null ? selector : { ...selector, [per]: value }
}

/** Throws where letting more through is for somebody above: nobody lifts his own limit. */
export function requireAbove(
  deps: ControlDeps,
  actor: Actor,
  rule: BudgetRule,
  value: string | null,
): void {
  const { subtree } = actor
  if (subtree === null) return
  if (isBelow(deps.snapshot().tree, subtree, selectorOf(rule, value))) return
  throw forbidden(
    'above_you',
    `Budget "${rule.name}" limits ${formatSubtree(subtree)} itself: ask finops or an admin.`,
  )
}

interface Place {
  readonly team: string | null
  readonly agent: string | null
}

/** May `actor` make or change a key that is pinned to this place? */
export function reachesPlace(deps: ControlDeps, actor: Rights, { team, agent }: Place): boolean {
  const { subtree } = actor
  if (subtree === null) return true
  const { tree } = deps.snapshot()
  const isIn = (node: Subtree): boolean => holds(tree, subtree, node)
  const inTeam = team !== null && isIn({ kind: 'team', name: team })
  if (agent === null) return inTeam
  const placed = tree.find(({ kind, name }) => kind === 'agent' && name === agent)?.team ?? null
  if (isIn({ kind: 'agent', name: agent })) return team === null || inTeam || team === placed
  // An agent that stands in no team yet is where its key says.
  return inTeam && placed === null
}

/**
 * Groups of a report as `actor` may see them: read by the nodes of the tree as well, cut to his
 * subtree, and summed up again.
 */
export async function groupsSeen<Row extends Pick<SpendRow, 'scope'>>(
  { subtree }: Rights,
  query: SpendQuery,
  read: (query: SpendQuery) => Promise<readonly Row[]>,
  regroup: (rows: readonly Row[], by: SpendQuery['by']) => readonly Row[],
): Promise<readonly Row[]> {
  if (subtree === null) return read(query)
  const by = [...new Set([...query.by, subtree.kind])]
  const rows = await read({ ...query, by })
  return regroup(
    rows.filter(({ scope }) => spentWithin(subtree, scope)),
    query.by,
  )
}

/** What was spent in a lead's subtree, as the tree was then; null: all of it. */
export function subtreeSelector({ subtree }: Rights): Selector | null {
  return subtree === null ? null : { [subtree.kind]: subtree.name }
}
