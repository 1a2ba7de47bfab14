/** Cells of a bill: numbers as people and spreadsheets write them, dates, tags. */
import { type Decimal, parseDecimal } from '#core/decimal.ts'

/** "$10,000.00 ", "(1.50)", "1e-7" too. Null when it is not a number, or could be two. */
export function parseAmount(text: string): Decimal | null {
  const plain = parseDecimal(text)
  if (plain !== null) return plain
  const bare = text.trim().replace(/^([-+]?)\s*(?:US)?\$\s*/, '$1')
  const inBrackets = /^\((.+)\)$/.exec(bare)?.[1]
  const size = inBrackets === undefined ? bare : inBrackets.replace(/^\$\s*/, '')
  // No thousands begin with a nought.
  const isGrouped = /^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$/.test(size)
  // "1,5" may be one and a half: only groups of three are thousands.
  const found = parseDecimal(isGrouped ? size.replaceAll(',', '') : size)
  if (found === null) return null
  return inBrackets === undefined ? found : { ...found, digits: -found.digits }
}

/** The UTC day of "2026-10-05…", "10/05/2026" (month first), "20261005" or Unix seconds. */
export function parseDay(text: string): string | null {
  const iso = /^(\d{4})-(\d{2})-(\d{2})/.exec(text) ?? /^(20\d{2})(\d{2})(\d{2})$/.exec(text)
  if (iso !== null) return dayOf(iso[1], iso[2], iso[3])
  const american = /^(\d{1,2})\/(\d{1,2})\/(\d{2}|\d{4})(?!\d)/.exec(text)
  if (american !== null) {
    const [, month, day, year = ''] = american
    return dayOf(year.length === 2 ? `20${year}` : year, month, day)
  }
  if (!/^\d{10}(\.0*)?$/.test(text)) return null
  return new Date(Number(text) * 1000).toISOString().slice(0, 10)
}

function dayOf(year = '', month = '', day = ''): string | null {
  const text = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`
  const at = Date.parse(`${text}T00:00:00Z`)
  // 31 June parses in some engines: a day is good when it comes back as it went.
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text ? null : text
}

/** What a table says of a name that a file gave: never what every object has. */
export function lookUp<Value>(
  table: Readonly<Record<string, Value>>,
  name: string,
): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

/** The day before, for ends that are exclusive. */
export function dayBefore(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10)
}

const prefixes = /^(?:user|aws|resourcetags|iamprincipal)[_:/]/i

/**
 * Tags in all forms met: a JSON object, the same without its braces (Azure), a list of pairs
 * `{key, value}` (Google, Parquet maps). Null when it is none of these.
 */
export function parseTags(text: string): Readonly<Record<string, string>> | null {
  if (text === '') return {}
  const value = jsonOf(text) ?? jsonOf(`{${text}}`)
  if (typeof value !== 'object' || value === null) return null
  const pairs: [string, unknown][] = Array.isArray(value)
    ? value.flatMap((one: unknown) => {
        if (typeof one !== 'object' || one === null || !('key' in one)) return []
        return [[String(one.key), 'value' in one ? one.value : null]]
      })
    : Object.entries(value)
  const found: Record<string, string> = {}
  for (const [name, given] of pairs) {
    if (given === null || typeof given === 'object') continue
    found[name.trim().replace(prefixes, '').toLowerCase()] = String(given).trim()
  }
  return found
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
