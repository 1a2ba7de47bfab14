/** What a new config would refuse that passes now, where no account has to be asked. */
import { hardLimit } from './budget.ts'
import { selectorText } from './config-diff.ts'
import type { Snapshot } from './snapshot.ts'

/** In words, for people: whoever applies it says that it is meant. */
export function configWarnings(before: Snapshot, after: Snapshot): readonly string[] {
  return [
    ...policyWarnings(before, after),
    ...gone(
      agentsOf(before),
      agentsOf(after),
      after.treeDeclared,
      (name) => `agent ${name} is not in it any more: its keys would be refused`,
    ),
    ...gone(
      before.environments,
      after.environments,
      after.environments.length > 0,
      (name) =>
        `environment ${name} is not in it any more: keys that are pinned to it would be refused`,
    ),
    ...gone(
      namesOf(before),
      namesOf(after),
      true,
      (name) =>
        `provider ${name} is not in it any more: models that only it serves would be refused`,
    ),
    ...runWarnings(before, after),
    ...limitWarnings(before, after),
  ]
}

function policyWarnings({ policy: was }: Snapshot, { policy: is }: Snapshot): readonly string[] {
  const warnings: string[] = []
  if (was.noBudget === 'allow' && is.noBudget === 'deny') {
    warnings.push('calls that no budget covers would be refused')
  }
  if (was.unpricedModel !== 'deny' && is.unpricedModel === 'deny') {
    warnings.push('calls of models without a price would be refused')
  }
  if (was.onTight === 'clamp' && is.onTight === 'refuse') {
    warnings.push('calls that are cut to fit what is left would be refused')
  }
  return warnings
}

const agentsOf = ({ tree }: Snapshot): readonly string[] =>
  tree.filter(({ kind }) => kind === 'agent').map(({ name }) => name)
const namesOf = ({ providers }: Snapshot): readonly string[] => providers.map(({ name }) => name)

function gone(
  before: readonly string[],
  after: readonly string[],
  matters: boolean,
  say: (name: string) => string,
): readonly string[] {
  return matters ? before.filter((name) => !after.includes(name)).map(say) : []
}

/** Runs are not looked at one by one: any of them may be beyond a cap that is new or lower. */
function runWarnings(before: Snapshot, after: Snapshot): readonly string[] {
  const was = new Map(before.runs.map((rule) => [rule.id, hardLimit(rule)]))
  return after.runs.flatMap((rule) => {
    const limit = hardLimit(rule)
    const old = was.get(rule.id) ?? null
    if (limit === null || (old !== null && limit >= old)) return []
    return [
      `runs of ${selectorText(rule.selector as Record<string, string>)} beyond "${rule.name}" would be stopped`,
    ]
  })
}

/** Not harsh, and worse: nothing is left that stops anybody. */
function limitWarnings(before: Snapshot, after: Snapshot): readonly string[] {
  const has = ({ budgets, runs }: Snapshot): boolean =>
    [...budgets, ...runs].some((rule) => hardLimit(rule) !== null)
  return has(before) && !has(after) ? ['no limit is left that would stop a call'] : []
}
