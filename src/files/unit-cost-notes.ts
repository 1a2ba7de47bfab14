/** What a person is told beside the number: what is not in it, and what may make it wrong. */
import { type Decimal, formatDecimal, isZero } from '#core/decimal.ts'
import type { NotCounted } from '#core/unit-cost-answer.ts'
import { canonical } from '#bills/format.ts'
import { propose } from '#bills/mapped.ts'
import type { BillReport } from './bill.ts'
import type { Outcomes } from './outcomes.ts'

/** Money that was read and is not in the number, by why. */
export type Aside = Map<string, { count: number; amount: Decimal; currency: string }>

/** Days of each provider's formats that have money. */
export type DaysBilled = Map<string, Map<string, Set<string>>>

/** What a person needs to confirm: each column with what it could be, and the flags that say so. */
export function unknownText(path: string, header: readonly string[]): string {
  const proposals = propose(header)
  const lines = header.map((column) => {
    const found = proposals.find((one) => one.column === column)
    const shown = column.replace(/[\p{Cc}\p{Cf}]/gu, '?')
    return `  ${shown}${found === undefined ? '' : `  ->  ${found.ours}`}`
  })
  const quoted = (text: string): string => (/^[\w/.-]+$/.test(text) ? text : `"${text}"`)
  const flags = proposals.map(({ column, ours }) => `--map ${quoted(`${column}=${ours}`)}`)
  const needs = 'a cost and a day are needed'
  return (
    `${path} is no bill that Bursar knows. Its columns, and what they could be:\n` +
    `${lines.slice(0, 60).join('\n')}\n` +
    (flags.length === 0
      ? `None looks like a cost: say which are, with --map their=ours (${needs}).`
      : `If that is right, add (${needs}):\n  ${flags.join(' ')}`)
  )
}

export function outcomesAside(outcomes: Outcomes, outside: number): readonly NotCounted[] {
  const none = { amount: null, currency: null }
  const of = (what: string, count: number): NotCounted[] =>
    count === 0 ? [] : [{ what, count, ...none }]
  return [
    ...[...outcomes.open].flatMap(([status, count]) =>
      of(`outcomes with status "${status}"`, count),
    ),
    ...[...outcomes.otherTypes].flatMap(([type, count]) => of(`outcomes of type "${type}"`, count)),
    ...of('further rows of outcomes already counted', outcomes.duplicates),
    ...of('outcomes on days that the bill does not have', outside),
  ]
}

/** Two kinds of bill of one provider for one day are most likely the same money. */
export function twice(days: DaysBilled): readonly string[] {
  return [...days].flatMap(([provider, formats]) => {
    const [first, ...others] = [...formats]
    if (first === undefined) return []
    return others.flatMap(([format, found]) => {
      const shared = [...found].filter((day) => first[1].has(day)).length
      if (shared === 0) return []
      const both = `${first[0]} and ${format}`
      return [`${provider}: ${both} both bill ${shared} days: give one of them, or it counts twice`]
    })
  })
}

export function sharedLines(shared: ReadonlyMap<string, number>): readonly string[] {
  return [...shared].map(
    ([files, count]) =>
      `${files} both have ${count} of the same lines: give each line once, or it counts twice`,
  )
}

export function foreign(aside: Aside): readonly string[] {
  return [...aside]
    .filter(([, { currency, amount }]) => currency !== 'USD' && !isZero(amount))
    .map(([what, { amount, currency }]) => `${formatDecimal(amount)} ${currency} of ${what}`)
}

export function nothing(total: { readonly outcomes: number }): readonly string[] {
  return total.outcomes > 0 ? [] : ['no outcome counts: see what is not counted, and why']
}

export function notesOf(
  report: BillReport,
  outcomes: Outcomes,
  ask: { readonly by: readonly string[]; readonly types: readonly string[] },
): readonly string[] {
  const { columns, types } = outcomes
  const notes: string[] = []
  for (const { path, hasMoney } of report.files) {
    if (!hasMoney) notes.push(`${path} has usage without amounts: it adds nothing to the cost`)
  }
  if (columns.status === undefined) notes.push('the outcomes have no status: every row counts')
  if (columns.id === undefined) notes.push('the outcomes have no id: no row can be a duplicate')
  if (columns.at === undefined) notes.push('the outcomes have no time: all of them count')
  else if (/^(created|updated)at$/.test(columns.at)) {
    notes.push(`an outcome counts on the day of ${columns.at}: --map outcomes:closed=at changes it`)
  }
  if (types.size > 1 && ask.types.length === 0) {
    const list = [...types].map(([type, count]) => `${count} ${type}`).join(', ')
    notes.push(`the outcomes are of several types (${list}): --type picks one`)
  }
  if (ask.by.length === 0) {
    const shared = ['agent', 'team', 'project', 'model'].filter(
      (name) => name in columns || outcomes.header.map(canonical).includes(name),
    )
    if (shared.length > 0) notes.push(`--by ${shared[0]} splits it by that column of the outcomes`)
  }
  return notes
}
