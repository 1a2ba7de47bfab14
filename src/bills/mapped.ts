/** A table that Bursar does not know: which of its columns are which, as proposed and confirmed. */
import { canonical, type Format } from './format.ts'

/** What a table of costs may have. `cost` is what it must have. */
export const ours = [
  'cost',
  'day',
  'currency',
  'provider',
  'service',
  'model',
  'kind',
  'quantity',
  'agent',
  'team',
  'project',
  'workspace',
  'key',
] as const

const words: readonly (readonly [RegExp, (typeof ours)[number]])[] = [
  [/^(net)?(cost|amount|spend|charge|price|total|billed)(usd)?$|(cost|amount|spend)/, 'cost'],
  [/^(day|date)|date$|(usage|start)(date|day|time)|timestamp/, 'day'],
  [/currency/, 'currency'],
  [/provider|vendor/, 'provider'],
  [/^service|product/, 'service'],
  [/model/, 'model'],
  [/(token|usage|line)(type|class|item)|^kind$|category/, 'kind'],
  [/^(tokens|quantity|usage|units)$/, 'quantity'],
  [/agent|^bot|bot$|assistant/, 'agent'],
  [/team|costcent(er|re)|department|squad/, 'team'],
  [/project/, 'project'],
  [/workspace|account/, 'workspace'],
  [/apikey|keyname|key$/, 'key'],
]

export interface Proposal {
  readonly column: string
  readonly ours: string
}

/** For each column whose name suggests one of ours, the first that does. */
export function propose(header: readonly string[]): readonly Proposal[] {
  const taken = new Set<string>()
  return header.flatMap((column) => {
    const name = canonical(column)
    const found = words.find(([word, to]) => !taken.has(to) && word.test(name))
    if (found === undefined) return []
    taken.add(found[1])
    return [{ column, ours: found[1] }]
  })
}

/** Their canonical names → ours. */
export type Mapping = ReadonlyMap<string, string>

/** The format that a mapping makes; null while it does not say which column is the cost. */
export function mappedFormat(mapping: Mapping): Format | null {
  const aliases = Object.fromEntries(mapping)
  const has = new Set(mapping.values())
  if (!has.has('cost') || !has.has('day')) return null
  const text = (name: (typeof ours)[number]): readonly string[] => (has.has(name) ? [name] : [])
  return {
    id: `mapped:${[...mapping.keys()].sort().join(',')}`,
    name: 'a table with columns you mapped',
    aliases,
    needs: ['cost', 'day'],
    amounts: ['cost', ...text('quantity')],
    always: ['day', ...text('provider'), ...text('kind')],
    dates: ['day'],
    dimensions: Object.fromEntries(ours.map((name) => [name, text(name)])),
    covers: null,
    currency: has.has('currency') ? 'currency' : null,
    read(row) {
      const net = row.money('cost')
      const tags = Object.fromEntries(
        ['agent', 'team'].map((name) => [name, row.text(name)]).filter(([, value]) => value !== ''),
      ) as Record<string, string>
      return [
        {
          provider: row.text('provider').toLowerCase() || 'mapped',
          day: row.day('day'),
          kind: 'other',
          service: row.text('service') || row.text('kind'),
          model: row.text('model'),
          project: row.text('project'),
          workspace: row.text('workspace'),
          key: row.text('key'),
          quantity: has.has('quantity') ? row.amount('quantity') : null,
          net,
          tags,
        },
      ]
    },
  }
}
