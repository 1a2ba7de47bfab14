/** Rows of the SQL stores to domain values and back. The only place that knows columns. */
import type { Account, AccountKey, Balance } from '#core/account.ts'
import type { Notification } from '#core/alert.ts'
import type { LimitUnit } from '#core/budget.ts'
import type { EntryLine, Facts, Hold, HoldLine, LedgerEntry } from '#core/journal.ts'
import { nanos } from '#core/money.ts'
import { noneRecent, type Recent, type Throttle } from '#core/pace.ts'
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { Attribution } from '#core/scope.ts'
import { instant } from '#core/time.ts'
import { assert } from '#lib/assert.ts'
import { fromJson } from '#lib/json.ts'
import type { AlertId, BudgetId, CallId, HoldId } from '#lib/id.ts'

export interface AccountRow {
  readonly no: bigint
  readonly key: string
  readonly budget: string
  readonly value: string | null
  readonly unit: string
  readonly period_start: bigint
  readonly period_end: bigint
  readonly amount: bigint
  readonly posted: bigint
  readonly pending: bigint
  readonly fired: string
  readonly throttle: string | null
  readonly recent: string
}

export function accountFromRow(row: AccountRow): Account {
  return {
    key: row.key as AccountKey,
    budget: row.budget as BudgetId,
    value: row.value,
    unit: row.unit as LimitUnit,
    period: {
      start: instant(Number(row.period_start)),
      end: instant(Number(row.period_end)),
    },
    amount: row.amount,
    posted: row.posted,
    pending: row.pending,
    fired: row.fired === '' ? [] : row.fired.split(','),
    throttle: row.throttle === null ? null : (JSON.parse(row.throttle) as Throttle),
    recent: recentFromText(row.recent),
  }
}

export const textFromThrottle = (throttle: Throttle | null): string | null =>
  throttle === null ? null : JSON.stringify(throttle)

/** `[[minute, admitted], ...]`, oldest first. */
export function textFromRecent({ earlier, newest }: Recent): string {
  return newest[1] === 0 ? '' : JSON.stringify([...earlier, newest])
}

function recentFromText(text: string): Recent {
  if (text === '') return noneRecent
  const all = JSON.parse(text) as Recent['earlier']
  return { earlier: all.slice(0, -1), newest: all.at(-1) ?? noneRecent.newest }
}

export interface HoldRow {
  readonly id: string
  readonly call: string
  readonly state: string
  readonly made_at: bigint
  readonly expires_at: bigint
  readonly ended_at: bigint | null
  readonly amount: bigint
  readonly output_cap: bigint
  readonly tokens: bigint
  readonly cost: bigint | null
  readonly basis: string | null
  readonly lines: string
  readonly attribution: string
  readonly facts: string
}

/** Accounts stand in lines by their number: a key is long, and lines are most of the ledger. */
export interface Numbers {
  /** In decimal digits: a call asks for those of each of its accounts four times. */
  numberOf(key: AccountKey): string
  keyOf(number: bigint): AccountKey
}

export function holdFromRow(row: HoldRow, numbers: Numbers): Hold {
  return {
    id: row.id as HoldId,
    call: row.call as CallId,
    state: row.state as Hold['state'],
    lines: linesFromText(row.lines, numbers),
    attribution: JSON.parse(row.attribution) as Attribution,
    amount: nanos(row.amount),
    tokens: Number(row.tokens),
    outputCap: Number(row.output_cap),
    cost: row.cost === null ? null : nanos(row.cost),
    basis: row.basis as Hold['basis'],
    madeAt: instant(Number(row.made_at)),
    expiresAt: instant(Number(row.expires_at)),
    endedAt: row.ended_at === null ? null : instant(Number(row.ended_at)),
    facts: JSON.parse(row.facts) as Facts,
  }
}

/** `number:unit:amount:posted` a line, comma-separated; posted is empty while pending. */
export function textFromLines(lines: readonly HoldLine[], numbers: Numbers): string {
  return joined(lines, numbers, sameOfHold, textOfHold)
}

const sameOfHold = (a: HoldLine, b: HoldLine): boolean =>
  a.unit === b.unit && a.amount === b.amount && a.posted === b.posted
const textOfHold = ({ unit, amount, posted }: HoldLine): string =>
  `${unit}:${amount}:${posted ?? ''}`

/** Most lines say of their account what the line before said of its own: that is made once. */
function joined<Line extends { readonly account: AccountKey }>(
  lines: readonly Line[],
  numbers: Numbers,
  isSame: (a: Line, b: Line) => boolean,
  textOf: (line: Line) => string,
): string {
  let text = ''
  let before: Line | null = null
  let what = ''
  for (const line of lines) {
    if (before === null || !isSame(line, before)) what = `:${textOf(line)},`
    before = line
    text += numbers.numberOf(line.account) + what
  }
  return text.slice(0, -1)
}

function linesFromText(text: string, numbers: Numbers): readonly HoldLine[] {
  if (text === '') return []
  return text.split(',').map((part) => {
    const [number, unit, amount, posted] = part.split(':')
    assert(number !== undefined && amount !== undefined, 'bad hold line', part)
    return {
      account: numbers.keyOf(BigInt(number)),
      unit: unit as LimitUnit,
      amount: BigInt(amount),
      posted: posted === undefined || posted === '' ? null : BigInt(posted),
    }
  })
}

export interface EntryRow {
  readonly seq: bigint
  readonly kind: string
  readonly hold: string | null
  readonly at: bigint
  readonly lines: string
  readonly overage: bigint
  readonly reason: string | null
  readonly author: string | null
}

export function entryFromRow(row: EntryRow, numbers: Numbers): LedgerEntry & { seq: number } {
  return {
    seq: Number(row.seq),
    kind: row.kind as LedgerEntry['kind'],
    hold: row.hold as HoldId | null,
    at: instant(Number(row.at)),
    lines: entryLinesFromText(row.lines, numbers),
    overage: nanos(row.overage),
    reason: row.reason,
    author: row.author,
  }
}

/** `number:posted:pending` a line. */
export function textFromEntryLines(lines: readonly EntryLine[], numbers: Numbers): string {
  return joined(lines, numbers, sameOfEntry, textOfEntry)
}

const sameOfEntry = (a: EntryLine, b: EntryLine): boolean =>
  a.posted === b.posted && a.pending === b.pending
const textOfEntry = ({ posted, pending }: EntryLine): string => `${posted}:${pending}`

function entryLinesFromText(text: string, numbers: Numbers): readonly EntryLine[] {
  return changesFromText(text).map(({ digits, ...change }) => ({
    account: numbers.keyOf(BigInt(digits)),
    ...change,
  }))
}

/** What an entry changes, by the number of the account. */
interface NumberedChange extends Balance {
  readonly digits: string
}

export function changesFromText(text: string): readonly NumberedChange[] {
  if (text === '') return []
  // As in writing: most lines say what the one before says.
  let what = ''
  let change = { posted: 0n, pending: 0n }
  return text.split(',').map((line) => {
    const [digits, posted, pending] = line.split(':')
    const isWhole = digits !== undefined && posted !== undefined && pending !== undefined
    assert(isWhole, 'bad entry line', line)
    const own = line.slice(digits.length)
    if (own !== what) change = { posted: BigInt(posted), pending: BigInt(pending) }
    what = own
    return { digits, ...change }
  })
}

/** In the order of the columns. */
export function notificationValues(notification: Notification) {
  const { alert, channel, state, attempts, nextAt, lastError } = notification
  return [alert, channel, state, attempts, nextAt, lastError] as const
}

export function notificationFromRow(row: Readonly<Record<string, unknown>>): Notification {
  return {
    alert: row.alert as AlertId,
    channel: String(row.channel),
    state: row.state as Notification['state'],
    attempts: Number(row.attempts),
    nextAt: instant(Number(row.next_at)),
    lastError: row.last_error === null ? null : String(row.last_error),
  }
}

export function recordFromRow(
  kind: RecordKind,
  row: Readonly<Record<string, unknown>>,
): ControlRecord {
  return { kind, id: String(row.id), value: fromJson(String(row.json)) }
}
