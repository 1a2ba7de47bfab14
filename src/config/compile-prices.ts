/** `prices:` to a price book and contracts. */
import type { Contract, Terms } from '#core/contract.ts'
import { type Nanos, parseRatio, parseUsd, parseUsdPerMillion } from '#core/money.ts'
import type { PriceBook, Rates } from '#core/price-book.ts'
import { type Instant, parseInstant } from '#core/time.ts'
import type { Merged } from './merged.ts'
import { overlay, parsePriceBook } from './price-file.ts'
import type { ContractEntry } from './prices.ts'
import type { ConfigProblem } from './source.ts'

/** The built-in book with the files of `prices.files` over it. */
export function ownPrices(
  { file, readFile, problem }: Merged,
  listed: PriceBook,
  problems: ConfigProblem[],
): PriceBook {
  const names = file.prices?.files ?? []
  if (names.length === 0) return listed
  const files = names.flatMap((name, i) => {
    const text = readFile(name)
    if (text !== null) return [{ name, text }]
    problems.push(problem(['prices', 'files', i], `${name} cannot be read`, 'give its whole path'))
    return []
  })
  const parsed = parsePriceBook(files)
  if (parsed.ok) return overlay(listed, parsed.value)
  for (const { file: name, line, message } of parsed.problem) {
    problems.push(problem(['prices', 'files'], `${name}:${line}: ${message}`))
  }
  return listed
}

/** Prices change at midnight UTC of the day named, as in the price book. */
const dayStart = (day: string | undefined): Instant | null =>
  day === undefined ? null : parseInstant(`${day}T00:00:00Z`)

export function compileContracts(
  merged: Merged,
  book: PriceBook,
  problems: ConfigProblem[],
): readonly Contract[] {
  const { providers = {}, prices: said } = merged.file
  return (said?.contracts ?? []).map((entry, i) => {
    const complain = (key: string, message: string, hint: string): void => {
      problems.push(merged.problem(['prices', 'contracts', i, key], message, hint))
    }
    // The simulator stands in for the providers of a file that has none.
    if (!Object.hasOwn(providers, entry.provider) && entry.provider !== 'simulator') {
      const known = Object.keys(providers).join(', ')
      complain('provider', `there is no provider "${entry.provider}"`, `one of: ${known}`)
    }
    const { model: asked = null } = entry
    const row = asked === null ? undefined : book.byName.get(asked)?.[0]
    if (asked !== null && row === undefined) {
      complain('model', `"${asked}" is not in the price book`, 'see `bursar price list`')
    }
    const { from, until } = { from: dayStart(entry.from), until: dayStart(entry.until) }
    if (from !== null && until !== null && until <= from) {
      complain('until', 'it ends before it begins', 'until is the first day it is no longer so')
    }
    return {
      provider: entry.provider,
      model: row?.model ?? asked,
      from,
      until,
      terms: termsOf(entry),
    }
  })
}

/** One of the three stands there: the schema has seen to it. */
function termsOf(entry: ContractEntry): Terms {
  const { discount_percent: percent, provisioned_monthly_usd: monthly } = entry
  if (percent !== undefined) {
    const off = parseRatio(percent) ?? { numerator: 0n, denominator: 1n }
    const whole = 100n * off.denominator
    return { kind: 'discount', keep: { numerator: whole - off.numerator, denominator: whole } }
  }
  if (monthly !== undefined) {
    return { kind: 'provisioned', monthly: parseUsd(monthly) ?? (0n as Nanos) }
  }
  const rates = Object.entries(entry.usd_per_million ?? {}).flatMap(([meter, usd]) => {
    const picos = parseUsdPerMillion(String(usd))
    return picos === null ? [] : [[meter, picos] as const]
  })
  return { kind: 'fixed', rates: Object.fromEntries(rates) as Rates }
}
