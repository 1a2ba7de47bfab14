/** `bursar bill import`: a bill's files → its lines as they are kept, and what was wrong. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { type KeptLine, keptLine } from '#core/bill-text.ts'
import { formatDecimal } from '#core/decimal.ts'
import { readBill } from './bill.ts'
import { FileProblem } from './find.ts'
import { openMappings } from './mappings.ts'
import { unknownText } from './unit-cost-notes.ts'

export interface BillLinesAsk {
  readonly files: readonly string[]
  readonly map: readonly string[]
  readonly mappings: string
  readonly progress: (done: number, of: number) => void
}

export interface BillLines {
  readonly lines: readonly KeptLine[]
  readonly files: readonly string[]
  /** SHA-256 of the lines, in whatever order they came. */
  readonly digest: string
  readonly findings: readonly string[]
}

/** What lines are told apart by where a large file is squeezed: what reconciling asks for. */
const wanted = ['model', 'kind', 'key', 'project', 'workspace', 'service']

export async function billLines(ask: BillLinesAsk): Promise<BillLines> {
  const mappings = openMappings(ask.mappings, ask.map)
  const lines: KeptLine[] = []
  const report = await readBill(
    ask.files,
    {
      wanted,
      mappingFor: (header) => mappings.for('bill', header),
      all: false,
      engine: 'auto',
      progress: ask.progress,
    },
    (line) => {
      const kept = keptLine(line)
      lines.push({ ...kept, file: basename(kept.file) })
    },
  )
  const [strange] = report.unknown
  if (strange !== undefined) throw new FileProblem(unknownText(strange.path, strange.header))
  mappings.keep()
  const hash = createHash('sha256')
  for (const text of lines.map((line) => JSON.stringify(line)).sort()) hash.update(text)
  return {
    lines,
    files: report.files.map(({ path }) => basename(path)),
    digest: hash.digest('hex'),
    findings: [
      ...report.bad.map(({ file, row, message }) =>
        row === null ? `${file}: ${message}` : `${file}:${row}: ${message}`,
      ),
      ...report.leftOut.map(
        ({ file, rows, net, currency }) =>
          `${file}: ${rows} rows are about no AI service: ${formatDecimal(net)} ${currency}`,
      ),
    ],
  }
}
