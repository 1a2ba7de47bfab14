/** Data on stdout, talk on stderr. */
export interface Output {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

type Row = Readonly<Record<string, unknown>>

export function printJson({ out }: Output, value: unknown): void {
  out(`${JSON.stringify(value, null, 2)}\n`)
}

/** Columns as wide as they need; numbers to the right. */
export function printTable(
  { out }: Output,
  rows: readonly Row[],
  columns: readonly string[],
): void {
  const cells = rows.map((row) => columns.map((name) => cell(row[name])))
  const heads = columns.map((name) => name.replaceAll('_', ' ').toUpperCase())
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...cells.map((line) => (line[i] ?? '').length)),
  )
  const numeric = columns.map(
    (_, i) => cells.length > 0 && cells.every((line) => /^-?[\d.,]*%?$/.test(line[i] ?? '')),
  )
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, i) =>
        numeric[i] === true ? part.padStart(widths[i] ?? 0) : part.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd()
  out(`${[heads, ...cells].map(line).join('\n')}\n`)
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'object') return printable(String(value))
  return printable(
    Object.entries(value)
      .map(([k, v]) => `${k}=${String(v)}`)
      .join(' '),
  )
}

/** A name may hold control characters that move the cursor or hide text. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}
