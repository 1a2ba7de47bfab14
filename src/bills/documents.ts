/** JSON documents → rows of text: pages of the providers' APIs, and objects that are rows. */

type Json = null | boolean | string | readonly Json[] | { readonly [key: string]: Json }

/** JSON, each number as the text it was written in: a float may already be another number. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' ? (context?.source ?? String(value)) : value,
  )
}

/**
 * Numbers of fewer than 16 digits survive a float unchanged, and reading without looking at each
 * value is ten times as fast: so the exact way is taken only where such a number may stand.
 */
export function parseLine(text: string): unknown {
  return /\d[\d.]{14}|\d[eE][-+]?\d/.test(text) ? parseExact(text) : JSON.parse(text)
}

export interface DocumentRows {
  readonly rows: readonly Readonly<Record<string, string>>[]
  /** What the document itself says is wrong or missing. */
  readonly notes: readonly string[]
  /** Totals that it states, and how many of its rows (from the front of those not yet summed). */
  readonly totals: readonly {
    readonly amount: string
    readonly from: number
    readonly to: number
  }[]
}

/** An API's page (or an array of pages) is unfolded; any other object is one row. */
export function rowsOf(document: unknown): DocumentRows {
  const parts = (Array.isArray(document) ? document : [document]).map((one) => {
    if (isObject(one) && Array.isArray(one.ResultsByTime)) return costExplorer(one)
    if (isObject(one) && Array.isArray(one.data)) return page(one)
    return { rows: isObject(one) ? [flat(one)] : [], notes: [], totals: [] }
  })
  const rows: Readonly<Record<string, string>>[] = []
  const totals: { amount: string; from: number; to: number }[] = []
  for (const part of parts) {
    for (const { amount, from, to } of part.totals) {
      totals.push({ amount, from: from + rows.length, to: to + rows.length })
    }
    for (const row of part.rows) rows.push(row)
  }
  return { rows, totals, notes: parts.flatMap(({ notes }) => notes) }
}

type Fields = { readonly [key: string]: unknown }

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Anthropic's and OpenAI's pages: buckets of time, each with results. */
function page(document: Fields): DocumentRows {
  const buckets = (document.data as readonly unknown[]).filter(isObject)
  const rows = buckets.flatMap((bucket) => {
    const { results, result, ...times } = bucket
    const found = results ?? result
    if (!Array.isArray(found)) return [flat(bucket)]
    return found.filter(isObject).map((one) => ({ ...flat(times), ...flat(one) }))
  })
  const more = document.has_more === true
  return {
    rows,
    totals: [],
    notes: more ? ['there are more pages than this: fetch `next_page` too'] : [],
  }
}

const groupNames: Readonly<Record<string, string>> = {
  SERVICE: 'service',
  USAGE_TYPE: 'usagetype',
  RECORD_TYPE: 'recordtype',
  LINKED_ACCOUNT: 'linkedaccount',
}
const metrics = ['UnblendedCost', 'NetUnblendedCost', 'AmortizedCost', 'BlendedCost']

const ungrouped = 'Amazon Bedrock, or what the query was for'

function costExplorer(document: Fields): DocumentRows {
  const groups = Array.isArray(document.GroupDefinitions)
    ? document.GroupDefinitions.filter(isObject)
    : []
  const rows: Record<string, string>[] = []
  const notes = new Set<string>()
  const totals: { amount: string; from: number; to: number }[] = []
  const results = (document.ResultsByTime as readonly unknown[]).filter(isObject)
  for (const { TimePeriod: period, Groups, Total } of results) {
    const about = isObject(period)
      ? { 'period start': textOf(period.Start), 'period end': textOf(period.End) }
      : {}
    const from = rows.length
    const found = Array.isArray(Groups) ? Groups.filter(isObject) : []
    for (const { Keys, Metrics } of found) {
      rows.push({ ...about, ...keysOf(groups, Keys), ...costOf(Metrics) })
    }
    const total = costOf(Total)
    if (total['cost amount'] === undefined) continue
    if (found.length > 0) totals.push({ amount: total['cost amount'], from, to: rows.length })
    else {
      rows.push({ ...about, ...total, service: ungrouped })
      notes.add('not grouped by SERVICE: its whole cost is counted as Bedrock')
    }
  }
  if (textOf(document.NextPageToken) !== '') notes.add('there are more pages than this')
  return { rows, totals, notes: [...notes] }
}

function keysOf(groups: readonly Fields[], keys: unknown): Record<string, string> {
  const found: Record<string, string> = {}
  const tags: Record<string, string> = {}
  const list: readonly unknown[] = Array.isArray(keys) ? keys : []
  list.forEach((key, i) => {
    const { Type, Key } = groups[i] ?? {}
    if (Type === 'TAG') tags[textOf(Key)] = textOf(key).replace(/^[^$]*\$/, '')
    else found[groupNames[textOf(Key)] ?? textOf(Key)] = textOf(key)
  })
  return Object.keys(tags).length === 0 ? found : { ...found, tags: JSON.stringify(tags) }
}

function costOf(of: unknown): Record<string, string> {
  const name = isObject(of) ? metrics.find((one) => of[one] !== undefined) : undefined
  const metric = name === undefined || !isObject(of) ? undefined : of[name]
  if (!isObject(metric)) return {}
  return { 'cost amount': textOf(metric.Amount), 'cost unit': textOf(metric.Unit) }
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** `{a: {b: 1}}` → `{"a.b": "1"}`; a list, or tags under any names, stay JSON. */
function flat(of: Fields, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [key, value] of Object.entries(of)) {
    const name = prefix + key
    if (isObject(value) && !/^(tags|labels|x_tags|.*Details|resource_tags|product)$/i.test(key)) {
      Object.assign(found, flat(value, `${name}.`))
    } else found[name] = textOf(value as Json)
  }
  return found
}
