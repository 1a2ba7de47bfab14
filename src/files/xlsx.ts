/** The answer as a workbook: numbers are numbers there, texts are only texts, never formulas. */
import { formatDecimal } from '#core/decimal.ts'
import { answerRows, type UnitCostAnswer } from '#core/unit-cost-answer.ts'

type Cell = { readonly value: string | number; readonly type: typeof String | typeof Number }

/** A workbook's numbers have 15 digits: a longer amount stays text, exact. */
function cellOf(text: string | null, isNumber: boolean): Cell | null {
  if (text === null) return null
  const digits = text.replace(/[-.]/g, '').replace(/^0+/, '')
  if (isNumber && /^-?\d+(\.\d+)?$/.test(text) && digits.length <= 15) {
    return { value: Number(text), type: Number }
  }
  return { value: text, type: String }
}

/** A table of texts; `numbers`: the columns, by index, that hold numbers. */
export interface Sheet {
  readonly name: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
  readonly numbers: ReadonlySet<number>
}

/** One table as a workbook. */
export async function writeSheet(path: string, sheet: Sheet): Promise<void> {
  const { default: writeFile } = await import('write-excel-file/node')
  const head = sheet.header.map((name) => cellOf(name, false))
  const rows = sheet.rows.map((row) => row.map((text, i) => cellOf(text, sheet.numbers.has(i))))
  await writeFile([{ data: [head, ...rows], sheet: sheet.name }]).toFile(path)
}

export async function writeXlsx(path: string, answer: UnitCostAnswer): Promise<void> {
  const { default: writeFile } = await import('write-excel-file/node')
  const { header, rows } = answerRows(answer)
  const table = [header, ...rows].map((row, line) =>
    row.map((text, i) => cellOf(text, line > 0 && i >= answer.by.length)),
  )
  const rest = [
    ['not counted', 'rows', 'amount', 'currency'],
    ...answer.notCounted.map(({ what, count, amount, currency }) => [
      what,
      String(count),
      amount === null ? null : formatDecimal(amount),
      currency,
    ]),
  ].map((row, line) => row.map((text, i) => cellOf(text, line > 0 && (i === 1 || i === 2))))
  await writeFile([
    { data: table, sheet: 'unit cost' },
    { data: rest, sheet: 'not counted' },
  ]).toFile(path)
}
