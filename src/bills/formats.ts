/** The formats there are, and which one a file is in: by its columns, never by its name. */
import { isDimension } from '#core/bill-line.ts'
import { anthropicCost, anthropicCostCsv, anthropicUsage } from './anthropic.ts'
import { awsCostExplorer, awsCur } from './aws.ts'
import { azureCost } from './azure.ts'
import { focus } from './focus.ts'
import { canonical, type Format } from './format.ts'
import { lookUp } from './values.ts'
import { gcpExport } from './gcp.ts'
import { type Mapping, mappedFormat } from './mapped.ts'
import { openaiCosts, openaiOtherUsage, openaiUsage } from './openai.ts'

const formats: readonly Format[] = [
  anthropicCostCsv,
  anthropicCost,
  anthropicUsage,
  openaiCosts,
  openaiUsage,
  openaiOtherUsage,
  awsCur,
  awsCostExplorer,
  azureCost,
  gcpExport,
  focus,
]

/** Names of a file's columns as its format calls them, in the file's order. */
export function namesIn(format: Format, header: readonly string[]): readonly string[] {
  return header.map((column) => {
    const name = canonical(column)
    return lookUp(format.aliases ?? {}, name) ?? name
  })
}

/** Null when no format has these columns, and the mapping does not make one. */
export function recognise(header: readonly string[], mapping: Mapping): Format | null {
  const fits = (format: Format): boolean => {
    const has = new Set(namesIn(format, header))
    return format.needs.every((name) => has.has(name))
  }
  const found = formats.find(fits)
  if (found !== undefined) return found
  const made = mappedFormat(mapping)
  return made !== null && fits(made) ? made : null
}

/** Canonical columns that must be told apart to read rows and to group them by `wanted`. */
export function columnsFor(
  format: Format,
  wanted: readonly string[],
  mapping: Mapping,
): ReadonlySet<string> {
  const found = new Set(format.always)
  if (format.currency !== null) found.add(format.currency)
  const tags = format.dimensions.tags ?? []
  for (const name of wanted) {
    const columns = lookUp(format.dimensions, name) ?? (isDimension(name) ? [] : tags)
    for (const column of columns) found.add(column)
  }
  for (const [their, our] of mapping) {
    if (!wanted.includes(our)) continue
    found.add(lookUp(format.aliases ?? {}, their) ?? their)
    for (const column of tags) found.add(column)
  }
  return found
}
