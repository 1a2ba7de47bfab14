/** Bills of providers, as imported: in parts, once, the newest of a month in place of others. */
import { z } from 'zod'
import { type BillLine, lineKinds } from '#core/bill-line.ts'
import { type KeptLine, lineOfKept } from '#core/bill-text.ts'
import { toIso } from '#core/time.ts'
import { changed } from './audited.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { requireOpen } from './months.ts'
import { conflict, invalid } from './problem.ts'
import { declare, notLeads, type Route, stewards } from './route.ts'

const month = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'write a month such as 2026-10')
const day = z.string().regex(/^\d{4}-\d\d-\d\d$/)
const amount = z.string().max(130).nullable()
const name = z.string().max(500)

const lineShape = z.strictObject({
  provider: name,
  format: name,
  file: name,
  row: z.number().int().nullable(),
  rows: z.number().int().min(1),
  day,
  last_day: day,
  month,
  service: name.nullable(),
  model: name.nullable(),
  kind: z.enum(lineKinds),
  quantity: amount,
  unit: name.nullable(),
  list: amount,
  net: amount,
  currency: z.string().regex(/^[A-Z]{3}$/),
  key: name.nullable(),
  project: name.nullable(),
  workspace: name.nullable(),
})

/** Few enough to stay below what a request may hold. */
const linesMax = 2000
const partsMax = 2000

const partBody = z.strictObject({
  /** SHA-256 of what was imported: the same files are the same bill. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Which of several installations of one provider: their bills do not replace each other. */
  account: z.string().regex(/^[\w.-]{1,64}$/),
  part: z.number().int().min(0),
  parts: z.number().int().min(1).max(partsMax),
  files: z.array(name).max(1000),
  lines: z.array(lineShape).max(linesMax),
})

export interface Bill {
  readonly id: string
  readonly account: string
  readonly parts: number
  readonly files: readonly string[]
  readonly lines: number
  /** What it covers: provider, format and month. */
  readonly covers: readonly string[]
  readonly by: string
  readonly at: number
  readonly received: number
  /** False while parts are missing. */
  readonly isWhole: boolean
}

const billShape = z.object({
  id: z.string(),
  account: z.string(),
  files: z.array(z.string()),
  lines: z.number(),
  covers: z.array(z.string()),
  imported_by: z.string(),
  imported_at: z.string(),
  is_whole: z.boolean(),
  /** True: it was there already. */
  repeated: z.boolean(),
  /** What does not count any more, because this does. */
  replaces: z.array(z.string()),
})

export const billRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/bills',
    summary: 'Bills that were imported, the newest first',
    allows: notLeads,
    answer: z.array(billShape),
    handle: async ({ deps }) => (await billsOf(deps)).map((bill) => showBill(bill, false)),
  }),
  declare({
    method: 'post',
    path: '/bills/parts',
    status: 201,
    summary: 'A part of a bill; with its last part it counts',
    allows: stewards,
    body: partBody,
    answer: billShape,
    handle: async ({ deps, actor, body }) => addPart(deps, actor, body),
  }),
]

/** The parts come in order, so that what a bill covers is known with its last one. */
async function addPart(
  deps: ControlDeps,
  actor: Actor,
  body: z.infer<typeof partBody>,
): Promise<z.infer<typeof billShape>> {
  const { digest, account, part, parts, files, lines } = body
  const id = `bill_${account}_${digest.slice(0, 24)}`
  const known = asBill((await deps.store.record('bill', id))?.value)
  if (known?.isWhole === true) return again(deps, actor, known)
  if (part >= parts) throw invalid('part', `there are ${parts} parts, counted from 0`)
  for (const one of new Set(lines.map((line) => line.month))) requireOpen(deps, one)
  checkAmounts(lines)
  await deps.store.putRecord({ kind: 'bill_part', id: `${id}|${part}`, value: lines })
  const covers = new Set(part === 0 ? [] : known?.covers)
  for (const line of lines) covers.add(`${line.provider} ${line.format} ${line.month}`)
  if (part > 0 && known?.received !== part) {
    throw conflict('parts_missing', 'Send the parts in their order, from 0 on.')
  }
  const bill: Bill = {
    id,
    account,
    parts,
    files,
    lines: (part === 0 ? 0 : (known?.lines ?? 0)) + lines.length,
    covers: [...covers].sort(),
    by: actor.name,
    at: deps.clock.now(),
    received: part + 1,
    isWhole: part === parts - 1,
  }
  const record = { kind: 'bill', id, value: bill } as const
  if (!bill.isWhole) await deps.store.putRecord(record)
  else {
    const replaces = await replacedBy(deps, { ...bill, at: 0 })
    const about = { files, covers: bill.covers, replaces }
    const note = { action: 'bill.imported', subject: id, after: about }
    await changed(deps, actor, { kind: 'put_record', record }, note)
    return { ...showBill(bill, false), replaces: [...replaces] }
  }
  return showBill(bill, false)
}

/** The same files again: nothing is kept twice, and of its months it is the newest bill now. */
async function again(
  deps: ControlDeps,
  actor: Actor,
  known: Bill,
): Promise<z.infer<typeof billShape>> {
  for (const one of new Set(known.covers.map((what) => what.slice(-7)))) requireOpen(deps, one)
  const replaces = await replacedBy(deps, known)
  if (replaces.length === 0) return showBill(known, true)
  const bill = { ...known, at: deps.clock.now() }
  const record = { kind: 'bill', id: bill.id, value: bill } as const
  const note = { action: 'bill.imported', subject: bill.id, after: { again: true, replaces } }
  await changed(deps, actor, { kind: 'put_record', record }, note)
  return { ...showBill(bill, true), replaces: [...replaces] }
}

/** Whole bills that count now and would not any more, in words. */
async function replacedBy(deps: ControlDeps, { id, account, covers, at }: Bill): Promise<string[]> {
  const newer = (await billsOf(deps)).filter((one) => one.isWhole && one.id !== id)
  return newer
    .filter((one) => one.account === account && (at === 0 || one.at > at))
    .flatMap((one) => {
      const shared = one.covers.filter((what) => covers.includes(what))
      return shared.map((what) => `${one.id} (${one.lines} lines) for ${what}`)
    })
}

function checkAmounts(lines: readonly KeptLine[]): void {
  const bad = lines.findIndex((line) => lineOfKept(line) === null)
  if (bad >= 0) throw invalid(`lines.${bad}`, 'an amount is no decimal number')
}

function asBill(value: unknown): Bill | null {
  return typeof value === 'object' && value !== null ? (value as Bill) : null
}

export async function billsOf({ store }: ControlDeps): Promise<readonly Bill[]> {
  const records = await store.records('bill')
  return records.flatMap(({ value }) => asBill(value) ?? []).sort((a, b) => b.at - a.at)
}

/**
 * Lines of a month. Of several bills for the same provider, format, account and month the newest
 * counts, whole: providers number their lines anew each time, so lines cannot be matched.
 */
export async function* linesOf(deps: ControlDeps, of: string): AsyncIterable<BillLine> {
  const taken = new Set<string>()
  for (const bill of await billsOf(deps)) {
    if (!bill.isWhole) continue
    const own = bill.covers.filter((what) => what.endsWith(` ${of}`))
    const fresh = new Set(own.filter((what) => !taken.has(`${bill.account} ${what}`)))
    for (const what of own) taken.add(`${bill.account} ${what}`)
    if (fresh.size === 0) continue
    for (let part = 0; part < bill.parts; part += 1) {
      const record = await deps.store.record('bill_part', `${bill.id}|${part}`)
      for (const kept of (record?.value ?? []) as readonly KeptLine[]) {
        const line = kept.month === of ? lineOfKept(kept) : null
        if (line !== null && fresh.has(`${kept.provider} ${kept.format} ${of}`)) yield line
      }
    }
  }
}

function showBill(bill: Bill, repeated: boolean): z.infer<typeof billShape> {
  const { id, account, files, lines, covers, by, at, isWhole } = bill
  return {
    id,
    account,
    files: [...files],
    lines,
    covers: [...covers],
    imported_by: by,
    imported_at: toIso(at as Parameters<typeof toIso>[0]),
    is_whole: isWhole,
    repeated,
    replaces: [],
  }
}
