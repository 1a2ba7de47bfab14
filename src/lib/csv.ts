/** CSV as RFC 4180 has it, with a BOM, other separators and bare line feeds allowed. */

export interface CsvRow {
  /** Of its first character in the text, from 1. */
  readonly line: number
  readonly cells: readonly string[]
}

/** Comma, semicolon or tab: whichever the first line has most of. */
export function separatorOf(text: string): ',' | ';' | '\t' {
  const [head = ''] = text.split(/\r?\n/, 1)
  const count = (one: string): number => head.split(one).length
  const semicolons = count(';') > count(',')
  if (count('\t') > Math.max(count(','), count(';'))) return '\t'
  return semicolons ? ';' : ','
}

/** Rows with anything in them. A quote that is never closed ends with the text. */
export function parseCsv(text: string): readonly CsvRow[] {
  const body = text.startsWith('\ufeff') ? text.slice(1) : text
  const separator = separatorOf(body)
  const rows: CsvRow[] = []
  let cells: string[] = []
  let line = 1
  let started = 1
  const endRow = (): void => {
    if (cells.some((one) => one !== '')) rows.push({ line: started, cells })
    cells = []
  }
  for (let at = 0; at < body.length; ) {
    if (cells.length === 0) started = line
    const { cell, next, lines } =
      body[at] === '"' ? quoted(body, at, separator) : bare(body, at, separator)
    cells.push(cell)
    line += lines
    at = next
    if (body[at] === separator) {
      at += 1
      if (at === body.length) cells.push('')
      continue
    }
    if (body[at] === '\r') at += 1
    if (body[at] === '\n') at += 1
    line += 1
    endRow()
  }
  endRow()
  return rows
}

interface Cell {
  readonly cell: string
  readonly next: number
  /** Line feeds inside. */
  readonly lines: number
}

function quoted(text: string, start: number, separator: string): Cell {
  let cell = ''
  let at = start + 1
  for (;;) {
    const end = text.indexOf('"', at)
    cell += text.slice(at, end === -1 ? text.length : end)
    if (end === -1) return { cell, next: text.length, lines: cell.split('\n').length - 1 }
    if (text[end + 1] !== '"') {
      // What follows the closing quote belongs to the cell, as spreadsheets have it.
      const rest = bare(text, end + 1, separator)
      return { cell: cell + rest.cell, next: rest.next, lines: cell.split('\n').length - 1 }
    }
    cell += '"'
    at = end + 2
  }
}

function bare(text: string, start: number, separator: string): Cell {
  let at = start
  while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') {
    at += 1
  }
  return { cell: text.slice(start, at), next: at, lines: 0 }
}
