/** The price book that comes with Bursar: `prices/*.yaml` beside the sources. */
import { readdirSync, readFileSync } from 'node:fs'
import { parsePriceBook } from '#config/price-file.ts'
import type { PriceBook } from '#core/price-book.ts'
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
