/** CSV that a spreadsheet only shows: no cell of it is run as a formula. */

/**
 * Cells by RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before
 * it (OWASP, "CSV Injection"): names in a bill are anybody's to choose. Plain numbers stay numbers.
 */
export function csvOf(rows: readonly (readonly (string | null)[])[]): string {
  return rows.map((row) => `${row.map(cellOf).join(',')}\r\n`).join('')
}

const plainNumber = /^-?\d+(\.\d+)?$/
const formula = /^[\s\p{Cc}\p{Cf}]*[=+\-@|%\t\r\uff1d\uff0b\uff0d\uff20]/u

function cellOf(value: string | null): string {
  if (value === null) return ''
  const text = !plainNumber.test(value) && formula.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
