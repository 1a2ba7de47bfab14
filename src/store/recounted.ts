/** A ledger's rows counted again, whichever store keeps them: each is read once, in order. */
import type { AccountKey } from '#core/account.ts'
import type { Hold, LedgerEntry } from '#core/journal.ts'
import {
  addEntry,
  checkAccount,
  checkHold,
  checkSpend,
  type Finding,
  type Inspection,
  missingHold,
  newRecount,
} from '#core/recount.ts'
import {
  accountFromRow,
  type AccountRow,
  entryFromRow,
  type EntryRow,
  holdFromRow,
  type HoldRow,
  type Numbers,
} from './codec.ts'

type Some<Row> = Iterable<Row> | AsyncIterable<Row>

/** One view of a ledger, however long the count takes and whoever writes meanwhile. */
export interface LedgerView {
  /** Entries are numbered without a gap: nothing takes a number and then writes none. */
  readonly gapless: boolean
  /** By number. */
  accounts(): Some<AccountRow>
  entries(): Some<EntryRow>
  /** By the bytes of their id. */
  holds(): Some<HoldRow>
  /** Those of holds, by the bytes of the hold's id, then by number. */
  entriesByHold(): Some<EntryRow>
  /** The sums of the roll-ups and of the holds; null: a ledger older than roll-ups. */
  spendSums(): Promise<{ readonly told: bigint; readonly charged: bigint } | null>
}

type Entry = LedgerEntry & { readonly seq: number }

const findingsMax = 20

export async function recounted(view: LedgerView): Promise<Inspection> {
  const keys = new Map<bigint, AccountKey>()
  for await (const { no, key } of view.accounts()) keys.set(no, key as AccountKey)
  const numbers: Numbers = {
    keyOf: (no) => keys.get(no) ?? (`account ${no}, which is not there` as AccountKey),
    numberOf: () => '0',
  }
  const count = newRecount({ gapless: view.gapless })
  const findings: Finding[] = []
  const note = (found: Finding | null): void => {
    if (found !== null && findings.length < findingsMax) findings.push(found)
  }
  const tally = { entries: 0, accounts: keys.size, holds: 0, openHolds: 0 }
  for await (const row of view.entries()) {
    tally.entries += 1
    note(addEntry(count, entryFromRow(row, numbers)))
  }
  for await (const row of view.accounts()) note(checkAccount(count, accountFromRow(row)))
  for await (const [hold, entries] of holdsWithEntries(view, numbers)) {
    if (hold !== null) tally.holds += 1
    if (hold?.state === 'pending') tally.openHolds += 1
    const [first] = entries
    if (hold !== null) note(checkHold(count, hold, entries))
    else if (first !== undefined) note(missingHold(first))
  }
  const sums = await view.spendSums()
  if (sums !== null) note(checkSpend(sums.told, sums.charged))
  findings.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity))
  return { ...tally, findings }
}

/** Each hold with its entries; null: entries of a hold that is not there. */
async function* holdsWithEntries(
  view: LedgerView,
  numbers: Numbers,
): AsyncIterable<readonly [Hold | null, readonly Entry[]]> {
  const groups = entryGroups(view, numbers)
  let group = await groups.next()
  for await (const row of view.holds()) {
    const hold = holdFromRow(row, numbers)
    for (; !group.done && group.value.hold < hold.id; group = await groups.next()) {
      yield [null, group.value.entries]
    }
    const own = !group.done && group.value.hold === hold.id ? group.value.entries : []
    yield [hold, own]
    if (own.length > 0) group = await groups.next()
  }
  for (; !group.done; group = await groups.next()) yield [null, group.value.entries]
}

async function* entryGroups(
  view: LedgerView,
  numbers: Numbers,
): AsyncGenerator<{ readonly hold: string; readonly entries: readonly Entry[] }, undefined> {
  let hold = ''
  let entries: Entry[] = []
  for await (const row of view.entriesByHold()) {
    const entry = entryFromRow(row, numbers)
    if (entry.hold !== hold && entries.length > 0) {
      yield { hold, entries }
      entries = []
    }
    hold = entry.hold ?? ''
    entries.push(entry)
  }
  if (entries.length > 0) yield { hold, entries }
  return undefined
}
