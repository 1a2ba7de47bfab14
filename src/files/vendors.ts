/** What vendors charge for an outcome, from a YAML file that anybody may edit. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { type Decimal, parseDecimal } from '#core/decimal.ts'
import type { VendorPrice } from '#core/unit-cost.ts'
import { FileProblem } from './find.ts'

const fields = ['vendor', 'outcome', 'usd', 'checked', 'source'] as const

export function readVendors(path: string | URL): readonly VendorPrice[] {
  const name = path instanceof URL ? path.pathname : path
  let document: unknown
  try {
    // Every scalar stays the text that it is: 0.99 is no float, a date no local time.
    document = parse(readFileSync(path, 'utf8'), { schema: 'failsafe' })
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new FileProblem(`${name}: ${why}`)
  }
  if (!Array.isArray(document)) throw new FileProblem(`${name} must be a list of prices`)
  return document.map((one: unknown, i) => vendorOf(one, `${name}: entry ${i + 1}`))
}

function vendorOf(one: unknown, where: string): VendorPrice {
  const given = typeof one === 'object' && one !== null ? (one as Record<string, unknown>) : {}
  for (const field of fields) {
    if (typeof given[field] !== 'string' || given[field] === '') {
      throw new FileProblem(`${where} lacks "${field}": it needs ${fields.join(', ')}`)
    }
  }
  const text = given as Record<(typeof fields)[number], string>
  const usd: Decimal | null = parseDecimal(text.usd)
  if (usd === null || usd.digits <= 0n) {
    throw new FileProblem(`${where}: usd "${text.usd}" is not a positive amount such as 0.99`)
  }
  return { ...text, usd }
}
