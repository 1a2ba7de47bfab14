/** One name for a model, however a bill, an answer or a person spells it. */
import type { PriceBook } from './price-book.ts'

/** "Claude Haiku 4.5", "claude-haiku-4-5-20251001" and "anthropic.claude-haiku-4-5" are one. */
export function modelSlug(name: string): string {
  return name
    .toLowerCase()
    .replace(/^(?:[a-z]{2,6}\.)?(?:anthropic|openai|google|models)[./]/, '')
    .replace(/[\s._]+/g, '-')
    .replace(/-v\d+(?::\d+)?$/, '')
    .replace(/[-@](?:\d{8}|\d{4}-\d\d-\d\d)$/, '')
}

/** The price book's name where it knows the model, else a spelling without what differs. */
export function modelNames(book: PriceBook): (name: string) => string {
  const bySlug = new Map<string, string>()
  for (const [spelling, rows] of book.byName) {
    const model = rows.at(-1)?.model
    if (model !== undefined && !bySlug.has(modelSlug(spelling))) {
      bySlug.set(modelSlug(spelling), modelSlug(model))
    }
  }
  return (name) => bySlug.get(modelSlug(name)) ?? modelSlug(name)
}
