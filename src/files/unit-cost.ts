/** `bursar unit-cost`: bills and outcomes → what one outcome cost, and what is not in it. */
import type { BillLine, LineKind } from '#core/bill-line.ts'
import {
  addDecimals,
  compareDecimals,
  type Decimal,
  decimalZero,
  formatDecimal,
  isZero,
  multiplyDecimals,
} from '#core/decimal.ts'
import {
  addLine,
  addOutcome,
  compare,
  groupsOf,
  newTally,
  type Tally,
  totalOf,
  unmatched,
} from '#core/unit-cost.ts'
import type { NotCounted, UnitCostAnswer, UnitCostQuestion } from '#core/unit-cost-answer.ts'
import { canonical } from '#bills/format.ts'
import { lookUp } from '#bills/values.ts'
import { type BillReport, readBill } from './bill.ts'
import { FileProblem, UsageProblem } from './find.ts'
import { openMappings } from './mappings.ts'
import { type Outcomes, readOutcomes } from './outcomes.ts'
import {
  type Aside,
  type DaysBilled,
  foreign,
  notesOf,
  nothing,
  outcomesAside,
  sharedLines,
  twice,
  unknownText,
} from './unit-cost-notes.ts'
import { readVendors } from './vendors.ts'

export interface UnitCostAsk extends UnitCostQuestion {
  /** Vendors' prices. */
  readonly vendors: string | URL
}

interface Gathered {
  readonly tally: Tally
  readonly aside: Aside
  readonly ask: UnitCostAsk
  readonly rates: ReadonlyMap<string, Decimal>
  /** Days of each provider's formats that have money, for bills that cover the same twice. */
  readonly days: DaysBilled
  /** Which file had a line first, for files that hold the same lines. */
  readonly lines: Map<string, string>
  /** By the two files: how many lines both have. */
  readonly shared: Map<string, number>
  readonly span: Span
  readonly wide: Span
}

interface Span {
  from: string
  to: string
}

export async function unitCostOf(ask: UnitCostAsk): Promise<UnitCostAnswer> {
  const mappings = openMappings(ask.mappings, ask.map)
  const gathered: Gathered = {
    tally: newTally(ask.by, pairs(ask.same, '--same')),
    aside: new Map(),
    ask,
    rates: ratesOf(ask.rates),
    days: new Map(),
    lines: new Map(),
    shared: new Map(),
    span: { from: '', to: '' },
    wide: { from: '', to: '' },
  }
  const report = await readBill(
    ask.bills,
    {
      wanted: ask.by,
      mappingFor: (header) => mappings.for('bill', header),
      all: ask.all,
      engine: ask.engine,
      progress: ask.progress,
    },
    (line) => take(gathered, line),
  )
  checkBill(report, gathered)
  const outcomes = await readOutcomes(ask.outcomes, {
    mappingFor: (header) => mappings.for('outcomes', header),
    confirmed: ask.confirmed.length === 0 ? null : new Set(ask.confirmed.map(canonical)),
    types: ask.types.length === 0 ? null : new Set(ask.types.map((one) => one.toLowerCase())),
  })
  checkShared(outcomes, ask)
  const outside = countOutcomes(gathered, outcomes)
  const answer = answerOf(gathered, report, outcomes, outside)
  mappings.keep()
  return answer
}

function pairs(given: readonly string[], flag: string): ReadonlyMap<string, string> {
  return new Map(
    given.map((text) => {
      const cut = text.indexOf('=')
      if (cut < 1 || cut === text.length - 1) {
        throw new UsageProblem(`${flag} "${text}": write theirs=ours`)
      }
      return [text.slice(0, cut), text.slice(cut + 1)]
    }),
  )
}

function ratesOf(given: readonly string[]): ReadonlyMap<string, Decimal> {
  const rates = new Map<string, Decimal>([['USD', { digits: 1n, places: 0 }]])
  for (const [currency, text] of pairs(given, '--rate')) {
    const rate = /^\d+(\.\d+)?$/.test(text) ? parse(text) : null
    if (rate === null) throw new UsageProblem(`--rate "${currency}=${text}": write CAD=0.73`)
    rates.set(currency.toUpperCase(), rate)
  }
  return rates
}

const parse = (text: string): Decimal => {
  const [whole = '', fraction = ''] = text.split('.')
  return { digits: BigInt(whole + fraction), places: fraction.length }
}

function take(gathered: Gathered, line: BillLine): void {
  const { ask, aside, rates, tally, days } = gathered
  if (line.net === null) return
  if ((ask.from !== undefined && line.day < ask.from) || (ask.to ?? '9999') < line.day) {
    return setAside(aside, 'cost outside the asked days', line)
  }
  const rate = rates.get(line.currency)
  if (rate === undefined) {
    return setAside(aside, `cost in ${line.currency}: say --rate ${line.currency}=...`, line)
  }
  const span = wholePeriod.has(line.kind) ? gathered.wide : gathered.span
  if (span.from === '' || line.day < span.from) span.from = line.day
  if (line.lastDay > span.to) span.to = line.lastDay
  const formats = days.get(line.provider) ?? new Map<string, Set<string>>()
  days.set(line.provider, formats.set(line.format, formats.get(line.format) ?? new Set()))
  formats.get(line.format)?.add(line.day)
  noteShared(gathered, line)
  addLine(tally, line, line.currency === 'USD' ? line.net : multiplyDecimals(line.net, rate))
}

/** Lines of a whole month or year: they do not say that a day was used, or is in the bill yet. */
const wholePeriod: ReadonlySet<LineKind> = new Set(['tax', 'credit', 'discount', 'commitment'])

/** The days that the bill has: of its use, or of all there is where it has no use. */
const daysOf = ({ span, wide }: Gathered): Span => (span.from === '' ? wide : span)

/** More lines are not remembered: files so large are squeezed, and have few. */
const linesMax = 500_000

/** The same line in two files of a format is most likely one: exports overlap. */
function noteShared({ lines, shared }: Gathered, line: BillLine): void {
  if (line.net === null || isZero(line.net)) return
  const { provider, format, day, model, kind, key, project, workspace, service, source } = line
  const place = [provider, format, day, model, kind, key, project, workspace, service]
  const print = JSON.stringify([...place, formatDecimal(line.net)])
  const first = lines.get(print)
  if (first === undefined) {
    if (lines.size < linesMax) lines.set(print, source.file)
    return
  }
  if (first === source.file) return
  const files = `${first} and ${source.file}`
  shared.set(files, (shared.get(files) ?? 0) + 1)
}

function setAside(aside: Aside, what: string, line: BillLine): void {
  const have = aside.get(what)
  const net = line.net ?? decimalZero
  if (have === undefined) {
    aside.set(what, { count: line.rows, amount: net, currency: line.currency })
  } else {
    have.count += line.rows
    have.amount = addDecimals(have.amount, net)
  }
}

function checkBill(report: BillReport, gathered: Gathered): void {
  const { tally, ask } = gathered
  const { from } = daysOf(gathered)
  const [unknown] = report.unknown
  if (unknown !== undefined) throw new FileProblem(unknownText(unknown.path, unknown.header))
  if (from === '') {
    const usage = report.files.filter(({ hasMoney }) => !hasMoney)
    if (usage.length > 0 && usage.length === report.files.length) {
      const [first] = usage
      throw new FileProblem(
        `${first?.path} is a report of usage (${first?.format.name}) and has no amounts: ` +
          'give the cost report or the invoice export',
      )
    }
    const left = report.leftOut.reduce((sum, { rows }) => sum + rows, 0)
    const hint = left > 0 ? `; ${left} rows are of other services (--all counts them)` : ''
    const bad = report.bad[0]
    const first = bad === undefined ? '' : `; ${bad.file}, row ${bad.row ?? '?'}: ${bad.message}`
    throw new FileProblem(`there is no cost of AI in the bill${hint}${first}`)
  }
  const silent = ask.by.filter((_, i) =>
    [...tally.groups.values()].every(({ values }) => values[i] === null),
  )
  if (silent.length === 0) return
  const formats = report.files.map(({ format }) => format)
  const known = new Set(formats.flatMap(({ dimensions }) => Object.keys(dimensions)))
  known.delete('tags')
  throw new UsageProblem(
    `no line of the bill says its ${silent.join(' or ')}. It can be grouped by ` +
      `${['day', 'month', 'provider', 'kind', ...known].join(', ')}; if one of its columns or ` +
      `tags is the ${silent[0]}, say which: --map api_key=${silent[0]}`,
  )
}

function checkShared(outcomes: Outcomes, { by }: UnitCostAsk): void {
  const has = new Set(outcomes.header.map(canonical))
  const shared = new Set([...has, ...Object.keys(outcomes.columns), 'day', 'month'])
  const missing = by.filter((name) => !shared.has(name) && !shared.has(canonical(name)))
  if (missing.length === 0) return
  throw new UsageProblem(
    `the outcomes have no column for ${missing.join(' or ')}: they have ` +
      `${outcomes.header.join(', ')}; say which it is with --map outcomes:their=${missing[0]}`,
  )
}

/** Adds them up; gives how many are of days that the bill does not have. */
function countOutcomes(gathered: Gathered, outcomes: Outcomes): number {
  const { tally, ask } = gathered
  const { from, to } = daysOf(gathered)
  let outside = 0
  const [first, last] = [ask.from ?? from, ask.to ?? to]
  for (const { day, values } of outcomes.counted) {
    if (day !== null && (day < first || day > last)) outside += 1
    else addOutcome(tally, named(values, ask.by))
  }
  return outside
}

/** Cells are kept by canonical name; a group may be asked for as it is written. */
function named(
  values: Readonly<Record<string, string>>,
  by: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    by.map((name) => [name, lookUp(values, name) ?? lookUp(values, canonical(name)) ?? '']),
  )
}

function answerOf(
  gathered: Gathered,
  report: BillReport,
  outcomes: Outcomes,
  outside: number,
): UnitCostAnswer {
  const { tally, ask } = gathered
  const { from, to } = daysOf(gathered)
  const total = totalOf(tally)
  const groups = ask.by.length === 0 ? [] : groupsOf(tally)
  const lost = unmatched(groups)
  const bad = [...report.bad, ...outcomes.bad].map(
    ({ file, row, message }) => `${file}${row === null ? '' : `, row ${row}`}: ${message}`,
  )
  const rest: NotCounted[] = [...gathered.aside].map(([what, one]) => ({ what, ...one }))
  for (const { file, rows, net, currency } of report.leftOut) {
    const what = `other services in ${file} (--all counts them)`
    rest.push({ what, count: rows, amount: net, currency })
  }
  return {
    files: report.files.map(({ path, format, rows, hasMoney }) => ({
      ...{ path, format: format.name, rows, has_money: hasMoney },
    })),
    from: ask.from ?? from,
    to: ask.to ?? to,
    by: ask.by,
    total,
    groups,
    kinds: [...tally.kinds].sort(([, a], [, b]) => compareDecimals(b, a)),
    comparisons: compare(total, readVendors(ask.vendors)),
    notCounted: [...rest, ...outcomesAside(outcomes, outside)],
    unmatched: [...lost.costs, ...lost.outcomes],
    findings: [
      ...bad,
      ...twice(gathered.days),
      ...sharedLines(gathered.shared),
      ...foreign(gathered.aside),
      ...nothing(total),
    ],
    notes: notesOf(report, outcomes, ask),
  }
}
