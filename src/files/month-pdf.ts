/**
 * The month's close on paper: a page for the company, a page for each team. The same report is the
 * same file to the byte: nothing in it depends on when or where it was made.
 */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { formatUsdShort, type Nanos } from '#core/money.ts'
import type { MonthBudget, MonthOutcome, MonthReport, MonthSpend, MonthTeam } from '#core/month.ts'

type Doc = PDFKit.PDFDocument

const margin = 48
const [width, height] = [595.28, 841.89]
const [ink, pale, line, bar] = ['#1a1d21', '#6a7178', '#d5d9dd', '#2f6f4f']
const rowHeight = 15
/** Where the foot of a page begins: no table goes below. */
const floor = height - margin - 30

export async function writeMonthPdf(path: string, report: MonthReport): Promise<void> {
  const { default: PdfDocument } = await import('pdfkit')
  const doc = new PdfDocument({
    size: 'A4',
    margin,
    // A foot stands in the margin: pdfkit must not begin a page for it.
    margins: { top: margin, left: margin, right: margin, bottom: 0 },
    bufferPages: true,
    info: {
      Title: `${report.organization} ${report.month}`,
      Producer: 'bursar',
      Creator: 'bursar',
      CreationDate: new Date(report.until),
    },
  })
  const done = pipeline(doc, createWriteStream(path))
  company(doc, report)
  for (const team of report.teams) {
    doc.addPage()
    teamPage(doc, report, team)
  }
  feet(doc, report)
  doc.end()
  await done
}

const nanosOf = (usd: string): Nanos => BigInt(usd.replace('.', '')) as Nanos
const money = (usd: string | null): string => (usd === null ? '-' : formatUsdShort(nanosOf(usd)))
const count = (text: string): string => text.replace(/\B(?=(\d{3})+$)/g, ',')

/** The fonts that every reader has know Latin letters only; what they lack is shown as such. */
const latin = (text: string): string =>
  text.replace(/[\u2013\u2014]/g, '-').replace(/[^\x20-\x7e\u00a0-\u00ff]/gu, '?')

function company(doc: Doc, report: MonthReport): void {
  const { total } = report
  head(doc, report.organization, `AI spend, ${report.month}${report.is_over ? '' : ' so far'}`)
  figures(doc, [
    ['total, metered', money(total.cost_usd), changeOf(report)],
    ['presumed of it', money(total.presumed_usd), 'the most it can have been'],
    ['calls', count(total.calls), `${count(report.tokens)} tokens`],
    forecastFigure(report),
  ])
  const rooms = room(doc, [
    report.business_units.length,
    report.budgets.length,
    report.outcomes.length,
    report.models.length,
  ])
  spendTable(doc, 'By business unit', report.business_units, total, rooms[0])
  budgetTable(doc, report.budgets, rooms[1])
  outcomeTable(doc, report.outcomes, rooms[2])
  spendTable(doc, 'By model', report.models, total, rooms[3])
}

function teamPage(doc: Doc, report: MonthReport, team: MonthTeam): void {
  head(doc, team.name ?? '(no team)', `${report.organization}: AI spend, ${report.month}`)
  figures(doc, [
    ['total, metered', money(team.cost_usd), `of ${money(report.total.cost_usd)}`],
    ['presumed of it', money(team.presumed_usd), 'the most it can have been'],
    ['calls', count(team.calls), ''],
  ])
  const talks = team.conversations ?? []
  const rooms = room(doc, [
    team.agents.length,
    team.budgets.length,
    team.outcomes.length,
    talks.length,
  ])
  const agents = team.agents.map((one) => ({
    ...one,
    name: `${one.name ?? '(no agent)'}, ${one.model ?? 'unknown model'}`,
  }))
  spendTable(doc, 'By agent and model', agents, team, rooms[0])
  budgetTable(doc, team.budgets, rooms[1])
  outcomeTable(doc, team.outcomes, rooms[2])
  spendTable(doc, 'Dearest conversations', talks, team, rooms[3])
}

/** Title and two headings of a table, and the space after it, in rows. */
const around = 3

/** How many rows each table may have, so that all stand on the page: small ones in full. */
function room(doc: Doc, wanted: readonly number[]): readonly number[] {
  const used = wanted.filter((rows) => rows > 0).length * around
  let left = Math.floor((floor - doc.y) / rowHeight - used)
  const given = wanted.map(() => 0)
  for (let isMore = true; isMore && left > 0; ) {
    isMore = false
    for (const [i, rows] of wanted.entries()) {
      if (left <= 0 || (given[i] ?? 0) >= rows) continue
      given[i] = (given[i] ?? 0) + 1
      left -= 1
      isMore = true
    }
  }
  return given
}

function changeOf({ total, before_usd, is_over }: MonthReport): string {
  const [now, before] = [nanosOf(total.cost_usd), nanosOf(before_usd)]
  if (!is_over) return `the month before: ${money(before_usd)}`
  if (before === 0n) return 'nothing the month before'
  const percent = Number(((now - before) * 1000n) / before) / 10
  return `${percent < 0 ? '' : '+'}${percent.toFixed(1)} % on the month before`
}

function forecastFigure({ forecast }: MonthReport): Figure {
  if (forecast === null) return ['forecast', '-', 'under seven days to judge by']
  const { month, expected_usd, low_usd, high_usd } = forecast
  return [
    `forecast, ${month}`,
    money(expected_usd),
    `80 %: ${money(low_usd)} to ${money(high_usd)}`,
  ]
}

function head(doc: Doc, title: string, under: string): void {
  doc.font('Helvetica-Bold').fontSize(22).fillColor(ink)
  cell(doc, title, { x: margin, y: margin, w: width - 2 * margin })
  doc.font('Helvetica').fontSize(11).fillColor(pale)
  cell(doc, under, { x: margin, y: margin + 28, w: width - 2 * margin })
  doc.y = margin + 58
}

type Figure = readonly [label: string, value: string, note: string]

function figures(doc: Doc, shown: readonly Figure[]): void {
  const w = (width - 2 * margin) / 4
  const y = doc.y
  for (const [i, [label, value, note]] of shown.entries()) {
    const at = { x: margin + i * w, w: w - 8 }
    doc.font('Helvetica').fontSize(8).fillColor(pale)
    cell(doc, label.toUpperCase(), { ...at, y })
    doc.font('Helvetica-Bold').fillColor(ink)
    numberCell(doc, value, 16, { ...at, y: y + 12 })
    doc.font('Helvetica').fillColor(pale)
    numberCell(doc, note, 8, { ...at, y: y + 32 })
  }
  doc.y = y + 62
}

interface Place {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly right?: boolean
}

/** A number is never cut: it would be another one. It is set smaller until it fits. */
function numberCell(doc: Doc, text: string, size: number, place: Place): void {
  doc.fontSize(size)
  const wide = doc.widthOfString(latin(text))
  if (wide > place.w) doc.fontSize(Math.max(4, (size * place.w) / wide - 0.05))
  cell(doc, text, place)
  doc.fontSize(size)
}

/** One line that never leaves its place: what is too long is cut, and shows that it is. */
function cell(doc: Doc, text: string, { x, y, w, right = false }: Place): void {
  let shown = latin(text)
  if (doc.widthOfString(shown) > w) {
    while (shown.length > 1 && doc.widthOfString(`${shown}...`) > w) shown = shown.slice(0, -1)
    shown = `${shown.trimEnd()}...`
  }
  const left = right ? x + w - doc.widthOfString(shown) : x
  doc.text(shown, left, y, { lineBreak: false })
}

interface Column {
  readonly title: string
  readonly w: number
  readonly right: boolean
}

/** The first is for names; of the rest, the last is `last` times as wide as each other. */
function columnsOf(titles: readonly string[], last = 1): readonly Column[] {
  const rest = (width - 2 * margin) * 0.62
  const unit = rest / (titles.length - 2 + last)
  return titles.map((title, i) => ({
    title,
    w: i === 0 ? width - 2 * margin - rest : i === titles.length - 1 ? unit * last : unit,
    right: i > 0,
  }))
}

interface Rows {
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly string[])[]
  readonly max: number
  /** The share of each row, for a bar under its name: 0 to 1. */
  readonly shares: readonly number[]
}

function table(doc: Doc, { title, columns, rows, max, shares }: Rows): void {
  if (rows.length === 0) return
  const top = doc.y
  const shown = rows.slice(0, max)
  const more = rows.length - shown.length
  doc.font('Helvetica-Bold').fontSize(11).fillColor(ink)
  const note = more > 0 ? ` (${more} more not shown)` : ''
  cell(doc, `${title}${note}`, { x: margin, y: top, w: width - 2 * margin })
  let y = top + rowHeight + 3
  const draw = (cells: readonly string[], size: number): void => {
    let x = margin
    for (const [i, { w, right }] of columns.entries()) {
      const place = { x: x + (right ? 6 : 0), y, w: w - 6, right }
      if (right) numberCell(doc, cells[i] ?? '', size, place)
      else cell(doc, cells[i] ?? '', place)
      x += w
    }
    y += rowHeight
  }
  doc.font('Helvetica').fontSize(8).fillColor(pale)
  draw(
    columns.map((one) => one.title),
    8,
  )
  doc.fontSize(9).fillColor(ink)
  for (const [i, cells] of shown.entries()) {
    doc
      .moveTo(margin, y - 4)
      .lineTo(width - margin, y - 4)
      .lineWidth(0.5)
      .strokeColor(line)
      .stroke()
    const long = Math.min(1, shares[i] ?? 0) * ((columns[0]?.w ?? 0) - 12)
    if (long > 0)
      doc
        .rect(margin, y + 8.5, long, 1.2)
        .fillColor(bar)
        .fill()
        .fillColor(ink)
    draw(cells, 9)
  }
  doc.y = y + rowHeight * 0.6
}

const shareOf = (part: string, all: string): number => {
  const whole = Number(nanosOf(all))
  return whole <= 0 ? 0 : Number(nanosOf(part)) / whole
}
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function spendTable(
  doc: Doc,
  title: string,
  rows: readonly MonthSpend[],
  of: MonthSpend,
  max = 0,
): void {
  const shares = rows.map(({ cost_usd }) => shareOf(cost_usd, of.cost_usd))
  table(doc, {
    title,
    max,
    shares,
    columns: columnsOf(['', 'calls', 'presumed', 'share', 'cost']),
    rows: rows.map((row, i) => [
      row.name ?? '(none)',
      count(row.calls),
      money(row.presumed_usd),
      percent(shares[i] ?? 0),
      money(row.cost_usd),
    ]),
  })
}

function budgetTable(doc: Doc, budgets: readonly MonthBudget[], max = 0): void {
  table(doc, {
    title: 'Budgets',
    max,
    shares: budgets.map(({ posted_usd, limit_usd }) => shareOf(posted_usd, limit_usd)),
    columns: columnsOf(['', 'period', 'limit', 'spent', 'used']),
    rows: budgets.map((one) => [
      one.value === null ? one.name : `${one.name}: ${one.value}`,
      one.period,
      money(one.limit_usd),
      money(one.posted_usd),
      `${one.used_percent} %`,
    ]),
  })
}

function outcomeTable(doc: Doc, outcomes: readonly MonthOutcome[], max = 0): void {
  table(doc, {
    title: 'Cost per outcome, with its 95 % interval',
    max,
    shares: [],
    columns: columnsOf(['', 'outcomes', 'cost', 'each', 'interval'], 2),
    rows: outcomes.map((one) => [
      one.type,
      // Parts of an outcome are what several teams had a hand in.
      String(Math.round(one.outcomes * 100) / 100),
      money(one.cost_usd),
      money(one.each_usd),
      one.low_usd === null ? '-' : `${money(one.low_usd)} - ${money(one.high_usd)}`,
    ]),
  })
}

const marks: Readonly<Record<MonthReport['mark'], string>> = {
  metered: 'Metered: counted by Bursar at list prices. Not reconciled with a bill, not final.',
  reconciled: 'Reconciled with the bills of the providers. Not final.',
  final: 'Final: reconciled and signed off.',
}

function feet(doc: Doc, report: MonthReport): void {
  const { count: pages } = doc.bufferedPageRange()
  for (let i = 0; i < pages; i += 1) {
    doc.switchToPage(i)
    doc.font('Helvetica').fontSize(8).fillColor(pale)
    const y = height - margin - 10
    const w = width - 2 * margin
    cell(doc, `${marks[report.mark]} As of ${report.until}, UTC.`, { x: margin, y, w: w - 60 })
    cell(doc, `${i + 1} / ${pages}`, { x: margin, y, w, right: true })
  }
}
