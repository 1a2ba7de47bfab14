/** CSV by RFC 4180, in pieces as they come, so that a file of any size takes little memory. */

export interface CsvReader {
  push(text: string): void
  end(): void
}

/** A row this long is a quote that was never closed: it is read as it stands, and told as bad. */
const rowMax = 16 * 1024 * 1024
const quote = 0x22
const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Calls `onRow` for each row, in order; quotes may hold commas, quotes and line ends. Rows that are
 * empty are passed over. A row holds what it holds: who reads it counts its cells. It is broken
 * when a quote is never closed, or stands before something other than a separator.
 */
export function csvReader(
  separator: string,
  onRow: (row: string[], isBroken: boolean) => void,
): CsvReader {
  const comma = separator.charCodeAt(0)
  let rest = ''
  let row: string[] = []
  let isBroken = false

  /** Reads whole rows of `text`; gives the offset of the first that is not whole. */
  const read = (text: string, isLast: boolean): number => {
    let rowStart = 0
    let at = 0
    while (at < text.length) {
      const cell = cellAt(text, at, comma, isLast)
      if (cell === null) break
      row.push(cell.text)
      at = cell.end
      if (cell.isBroken) isBroken = true
      if (text.charCodeAt(at) === comma) {
        at += 1
        if (at < text.length || !isLast) continue
        row.push('')
      }
      if (text.charCodeAt(at) === carriageReturn) at += 1
      if (text.charCodeAt(at) === lineFeed) at += 1
      if (row.length > 1 || row[0] !== '') onRow(row, isBroken)
      row = []
      isBroken = false
      rowStart = at
    }
    row = []
    isBroken = false
    return rowStart
  }
  const end = (): void => {
    read(rest, true)
    rest = ''
  }
  return {
    push(text) {
      const all = rest === '' ? text : rest + text
      rest = all.slice(read(all, false))
      if (rest.length > rowMax) end()
    },
    end,
  }
}

interface Cell {
  readonly text: string
  readonly end: number
  readonly isBroken: boolean
}

/** The cell that begins at `at`; null when the text ends before it is known where the cell does. */
function cellAt(text: string, at: number, comma: number, isLast: boolean): Cell | null {
  if (text.charCodeAt(at) === quote) return quotedAt(text, at, comma, isLast)
  let end = at
  for (; end < text.length; end += 1) {
    const code = text.charCodeAt(end)
    if (code === comma || code === lineFeed) break
    if (code === carriageReturn && (text.charCodeAt(end + 1) === lineFeed || isLast)) break
  }
  if (end === text.length && !isLast) return null
  return { text: text.slice(at, end), end, isBroken: false }
}

function quotedAt(text: string, at: number, comma: number, isLast: boolean): Cell | null {
  for (let from = at + 1; ; ) {
    const found = text.indexOf('"', from)
    const end = found + 1
    if (found === -1) {
      return isLast ? { text: text.slice(at), end: text.length, isBroken: true } : null
    }
    // Whether this is one quote or two is known only with the next character.
    if (end === text.length && !isLast) return null
    const next = text.charCodeAt(end)
    if (next !== quote) {
      const inside = text.slice(at + 1, found)
      const cell = inside.includes('"') ? inside.replaceAll('""', '"') : inside
      const isEnd = next === comma || next === lineFeed || next === carriageReturn
      return { text: cell, end, isBroken: !isEnd && end < text.length }
    }
    from = found + 2
  }
}

/** What separates the cells of a header: the candidate that occurs most often outside quotes. */
export function separatorOf(header: string): string {
  const bare = header.replace(/"[^"]*"/g, '')
  const counts = [',', ';', '\t', '|'].map((one) => [bare.split(one).length, one] as const)
  return counts.reduce((best, one) => (one[0] > best[0] ? one : best))[1]
}
