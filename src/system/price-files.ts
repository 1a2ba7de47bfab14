/** The price book that comes with Bursar: `prices/*.yaml` beside the sources. */
import { readdirSync, readFileSync } from 'node:fs'
import { overlay, parsePriceBook, type PriceFile } from '#config/price-file.ts'
import type { PriceBook } from '#core/price-book.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import { packageRoot } from './package-root.ts'

const folder = new URL('prices/', packageRoot())
let loaded: PriceBook | null = null

/** Throws with file and line when a file is not good: nothing may run on half a price book. */
export function loadPriceBook(): PriceBook {
  if (loaded !== null) return loaded
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => ({ name: `prices/${name}`, text: readFileSync(new URL(name, folder), 'utf8') }))
  const parsed = parsePriceBook(files)
  if (!parsed.ok) {
    const lines = parsed.problem.map(({ file, line, message }) => `${file}:${line}: ${message}`)
    throw new Error(`the price book is not good:\n${lines.join('\n')}`)
  }
  loaded = parsed.value
  return loaded
}

/** `book` with these files over it, or what is wrong with them, with file and line. */
export function pricesWith(
  book: PriceBook,
  files: readonly PriceFile[],
): Result<PriceBook, readonly string[]> {
  const parsed = parsePriceBook(files)
  if (parsed.ok) return succeeded(overlay(book, parsed.value))
  return failed(parsed.problem.map(({ file, line, message }) => `${file}:${line}: ${message}`))
}
