/**
 * What a new config changes, part by part and field by field. Secrets are compared and never shown.
 */
import { actionText, type BudgetRule, type Threshold } from './budget.ts'
import { formatUsd, type Nanos } from './money.ts'
import type { Secret, Snapshot } from './snapshot.ts'

export interface FieldChange {
  readonly field: string
  /** As people write it; null: it was not there. */
  readonly before: string | null
  readonly after: string | null
}

export interface ConfigChange {
  readonly kind: 'added' | 'removed' | 'changed'
  /** `budget`, `quota`, `run`, `provider`, `agent`, `policy` and so on. */
  readonly part: string
  /** What it is known by in its part, as an id or a name. */
  readonly id: string
  /** For people. */
  readonly name: string
  readonly fields: readonly FieldChange[]
}

interface Item {
  readonly part: string
  readonly id: string
  readonly name: string
  readonly fields: ReadonlyMap<string, Shown>
}

/** A value to compare by and one to show: of a secret they differ. */
interface Shown {
  readonly exact: string
  readonly shown: string
}

/** In the order of the parts; what was taken away last. Empty: both say the same. */
export function configDiff(before: Snapshot, after: Snapshot): readonly ConfigChange[] {
  const was = itemsOf(before)
  const is = itemsOf(after)
  const changes: ConfigChange[] = []
  for (const [key, item] of is) {
    const old = was.get(key)
    const fields = changedFields(old, item)
    if (old !== undefined && fields.length === 0) continue
    changes.push({ kind: old === undefined ? 'added' : 'changed', ...named(item), fields })
  }
  for (const [key, item] of was) {
    if (!is.has(key)) {
      changes.push({ kind: 'removed', ...named(item), fields: changedFields(item, undefined) })
    }
  }
  return changes
}

const named = ({ part, id, name }: Item): Pick<Item, 'part' | 'id' | 'name'> => ({ part, id, name })

function changedFields(before: Item | undefined, after: Item | undefined): readonly FieldChange[] {
  const names = new Set([...(before?.fields.keys() ?? []), ...(after?.fields.keys() ?? [])])
  return [...names].flatMap((field) => {
    const was = before?.fields.get(field)
    const is = after?.fields.get(field)
    if (was?.exact === is?.exact) return []
    return [{ field, before: was?.shown ?? null, after: is?.shown ?? null }]
  })
}

function itemsOf(snapshot: Snapshot): ReadonlyMap<string, Item> {
  const items = [
    itemOf('installation', snapshot.organization, {
      organization: snapshot.organization,
      timezone: snapshot.timeZone,
      environments: snapshot.environments,
      price_book: snapshot.priceBook.version,
    }),
    itemOf('policy', 'policy', { ...snapshot.policy }),
    ...snapshot.budgets.map((rule) => ruleItem(rule.unit === 'usd' ? 'budget' : 'quota', rule)),
    ...snapshot.runs.map((rule) => ruleItem('run', rule)),
    ...snapshot.loops.map(({ selector, ...rule }) =>
      itemOf('loop', selectorText(selector), { ...rule }),
    ),
    ...snapshot.tree.map(({ kind, name, ...node }) => itemOf(kind, name, { ...node })),
    ...snapshot.providers.map(({ name, ...provider }) => itemOf('provider', name, { ...provider })),
    ...snapshot.webhooks.map(({ name, ...webhook }) => itemOf('webhook', name, { ...webhook })),
    itemOf('notify', 'notify', { ...snapshot.notify }),
    ...snapshot.outcomes.map(({ type, version: _, ...one }) => itemOf('outcome', type, { ...one })),
    ...snapshot.outcomeHooks.map(({ name, ...hook }) => itemOf('outcome_hook', name, { ...hook })),
    ...snapshot.outcomeLimits.map(({ id, name, ...limit }) =>
      itemOf('outcome_limit', id, { ...limit }, name),
    ),
    ...snapshot.contracts.map(({ provider, model, ...contract }) =>
      itemOf('contract', `${provider} ${model ?? 'all models'} ${contract.from ?? ''}`.trim(), {
        ...contract,
      }),
    ),
    ...(snapshot.oidc === null ? [] : [itemOf('sign_in', 'oidc', { ...snapshot.oidc })]),
  ]
  // The one installation is compared with the other, whatever it is called.
  return new Map(
    items.map((item) => [
      item.part === 'installation' ? item.part : `${item.part}|${item.id}`,
      item,
    ]),
  )
}

function itemOf(
  part: string,
  id: string,
  value: Readonly<Record<string, unknown>>,
  name = id,
): Item {
  const fields = Object.entries(value)
    .filter(([, one]) => one !== null && one !== undefined)
    .map(
      ([field, one]) =>
        [fieldName(field), { exact: textOf(one, true), shown: textOf(one, false) }] as const,
    )
  return { part, id, name, fields: new Map(fields) }
}

/** As the file calls it, where that is another word than ours. */
const fileNames = new Map([['credential', 'api_key']])

const fieldName = (field: string): string =>
  fileNames.get(field) ?? field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

function ruleItem(part: string, rule: BudgetRule): Item {
  const { id, name, amount, unit, ladder, mode, owner, reviewEveryDays } = rule
  const shown = unit === 'usd' ? `$${amountText(amount as Nanos)}` : `${amount} ${unit}`
  const value = {
    name,
    amount: shown,
    alerts: ladder.map(thresholdText).join(', '),
    mode,
    owner,
    review_every: reviewEveryDays === null ? null : `${reviewEveryDays}d`,
    time_zone: rule.timeZone,
  }
  return itemOf(part, id, value, name)
}

/** Exact, without zeros that say nothing: 25000, 0.5. */
const amountText = (amount: Nanos): string => formatUsd(amount).replace(/\.?0+$/, '')

function thresholdText({ label, actions }: Threshold): string {
  return `${label} ${actions.map(actionText).join(' + ')}`
}

export function selectorText(selector: Readonly<Record<string, string>>): string {
  const text = Object.entries(selector).map(([name, value]) => `${name}=${value}`)
  return text.length === 0 ? 'everything' : text.join(' ')
}

function textOf(value: unknown, exact: boolean): string {
  if (isSecret(value)) return exact ? `secret:${value.reveal()}` : '(secret)'
  if (Array.isArray(value)) return value.map((one) => textOf(one, exact)).join(', ')
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).filter(([, one]) => one !== null && one !== undefined)
    return pairs.map(([name, one]) => `${name}: ${textOf(one, exact)}`).join(', ')
  }
  return exact ? String(value) : withoutSecrets(String(value))
}

/** An address may have a password, or be one as a whole, as those of incoming webhooks are. */
function withoutSecrets(text: string): string {
  const match = /^(https?:\/\/)(?:[^/@]*@)?([^/?#]*)(.*)$/.exec(text)
  if (match === null) return text
  const [, scheme = '', host = '', path = ''] = match
  return `${scheme}${host}${path.length > 4 ? '/...' : path}`
}

function isSecret(value: unknown): value is Secret {
  return (
    typeof value === 'object' &&
    value !== null &&
    'reveal' in value &&
    typeof value.reveal === 'function'
  )
}
