/** Files to a snapshot: read, expand, check the shape, merge, compile. All problems at once. */
import { createHash } from 'node:crypto'
import type { z } from 'zod'
import type { PriceBook } from '#core/price-book.ts'
import { failed, type Result } from '#lib/result.ts'
import { compile } from './compile.ts'
import type { Loaded, Merged, Placed } from './merged.ts'
import {
  budget,
  type BudgetEntry,
  configFile,
  type ConfigFile,
  type QuotaEntry,
  type RunEntry,
} from './document.ts'
import { expand, type Surroundings } from './expand.ts'
import {
  type ConfigProblem,
  didYouMean,
  formatProblem,
  type Path,
  readSource,
  type SourceDocument,
} from './source.ts'

export { type ConfigProblem, formatProblem, type Loaded }

export interface LoadInput extends Surroundings {
  readonly files: readonly { readonly name: string; readonly text: string }[]
  readonly priceBook: PriceBook
}

export function loadSnapshot(input: LoadInput): Result<Loaded, readonly ConfigProblem[]> {
  const problems: ConfigProblem[] = []
  const documents: SourceDocument[] = []
  for (const { name, text } of input.files) {
    const read = readSource(name, text)
    if (read.ok) documents.push(...read.value)
    else problems.push(...read.problem)
  }
  if (problems.length === 0 && documents.every(({ value }) => isEmpty(value))) {
    // A file that is being written, or was cut off, would take every limit away.
    const message = 'there is nothing in it: a config without limits says so, with budgets: []'
    const [first] = input.files
    problems.push({ file: first?.name ?? 'config', line: 1, column: 1, message, hint: null })
  }
  if (problems.length > 0) return failed(problems)
  const merged = merge(documents, input, problems)
  if (problems.length > 0) return failed(problems)
  const hash = createHash('sha256')
  for (const { text } of input.files) hash.update(text)
  const version = hash.update(input.priceBook.version).digest('hex').slice(0, 16)
  return compile(merged, input.priceBook, version)
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === '' || (isMap(value) && Object.keys(value).length === 0)

type Draft = { -readonly [Key in keyof Merged['file']]: ConfigFile[Key] }

function merge(
  documents: readonly SourceDocument[],
  around: Surroundings,
  problems: ConfigProblem[],
): Merged {
  const draft: Draft = {}
  const places = new Map<string, SourceDocument>()
  const budgets: Placed<BudgetEntry>[] = []
  const quotas: Placed<QuotaEntry>[] = []
  const runs: Placed<RunEntry>[] = []
  const notices: string[] = []
  for (const document of documents) {
    const { value, unset } = expand(document.value, around)
    for (const { path, name } of unset) {
      if (mayBeUnset(path)) notices.push(`${path.slice(0, 2).join('.')}: ${name} is not set`)
      else
        problems.push(document.at(path, `${name} is not set`, 'or give it a default: ${NAME:-x}'))
    }
    if (isStandAlone(value)) {
      const list = Array.isArray(value) ? value : [value]
      list.forEach((one: unknown, i) => {
        const under = Array.isArray(value) ? [i] : []
        const entry = checked(budget, one, document, under, problems)
        if (entry !== null) budgets.push(placed(entry, document, under))
      })
      continue
    }
    const file = checked(configFile, value, document, [], problems)
    if (file === null) continue
    const {
      budgets: someBudgets = [],
      quotas: someQuotas = [],
      runs: someRuns = [],
      ...rest
    } = file
    budgets.push(...someBudgets.map((entry, i) => placed(entry, document, ['budgets', i])))
    quotas.push(...someQuotas.map((entry, i) => placed(entry, document, ['quotas', i])))
    runs.push(...someRuns.map((entry, i) => placed(entry, document, ['runs', i])))
    mergeInto(draft, rest, document, places, problems)
  }
  const problem: Merged['problem'] = (path, message, hint = null) => {
    const document = places.get(String(path[0])) ?? documents[0]
    return (
      document?.at(path, message, hint) ?? { file: 'config', line: 1, column: 1, message, hint }
    )
  }
  const readFile = (name: string): string | null => around.readFile(name, ['prices', 'files'])
  return { file: draft, budgets, quotas, runs, problem, readFile, notices: [...new Set(notices)] }
}

/** A channel or provider whose credential is not there is not configured; all else must be. */
function mayBeUnset([first, , third]: Path): boolean {
  if (first === 'outcome_hooks') return third === 'secret'
  return first === 'notify' || (first === 'providers' && third === 'api_key')
}

function placed<Entry>(entry: Entry, document: SourceDocument, under: Path): Placed<Entry> {
  return {
    entry,
    problem: (message, path = [], hint = null) => document.at([...under, ...path], message, hint),
  }
}

/** A budget may stand alone in a file, or a list of them. */
function isStandAlone(value: unknown): boolean {
  if (Array.isArray(value)) return true
  if (typeof value !== 'object' || value === null) return false
  return Object.keys(value).some((key) => /^(budget_\w+_usd|max_usd_per_outcome)$/.test(key))
}

/** Parts may stand in different files; the same part in two is a question nobody should guess. */
function mergeInto(
  draft: Draft,
  rest: Draft,
  document: SourceDocument,
  places: Map<string, SourceDocument>,
  problems: ConfigProblem[],
): void {
  for (const key of Object.keys(rest) as (keyof Draft)[]) {
    const before = draft[key]
    const now = rest[key]
    if (before === undefined) Object.assign(draft, { [key]: now })
    else if (!isMap(before) || !isMap(now))
      problems.push(document.at([key], `"${key}" is defined twice`))
    else {
      const twice = Object.keys(now).find((name) => name in before)
      if (twice !== undefined)
        problems.push(document.at([key, twice], `"${twice}" is defined twice`))
      Object.assign(draft, { [key]: { ...before, ...now } })
    }
    places.set(key, document)
  }
}

const isMap = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  document: SourceDocument,
  under: Path,
  problems: ConfigProblem[],
): z.output<Schema> | null {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues)
    problems.push(...explained(issue, schema, document, under))
  return null
}

function explained(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  document: SourceDocument,
  under: Path,
): readonly ConfigProblem[] {
  const path = [...under, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path)
    return issue.keys.map((key) =>
      document.at([...path, key], `unknown key "${key}"`, didYouMean(key, known)),
    )
  }
  if (issue.code === 'invalid_key') {
    return [document.at(path, `"${String(path.at(-1))}" is not a name that can stand here`)]
  }
  const where = issue.path.length === 0 ? 'the document' : String(issue.path.at(-1))
  if (issue.code === 'invalid_union') {
    const [deep] = issue.errors.flat().filter(({ path: inner }) => inner.length > 0)
    return [
      document.at(
        [...path, ...(deep?.path ?? [])],
        `${where}: ${deep?.message ?? 'not one of the forms allowed here'}`,
      ),
    ]
  }
  const message =
    issue.code === 'invalid_format' || issue.code === 'custom'
      ? `write ${issue.message.replace(/^write /, '')}`
      : issue.message
  return [document.at(path, `${where}: ${message}`)]
}

/** The keys a strict object at `path` knows. */
function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  let at: unknown = schema
  for (const part of path) at = stepInto(unwrapped(at), part)
  const shape = shapeOf(unwrapped(at))
  return shape === null ? [] : Object.keys(shape)
}

function shapeOf(schema: unknown): Record<string, unknown> | null {
  const found =
    typeof schema === 'object' && schema !== null && 'shape' in schema ? schema.shape : null
  return typeof found === 'object' ? (found as Record<string, unknown> | null) : null
}

interface Inner {
  readonly _zod: { readonly def: Readonly<Record<string, unknown>> }
}

function unwrapped(schema: unknown): unknown {
  const def = (schema as Inner | undefined)?._zod?.def
  if (def === undefined) return schema
  if (def.type === 'optional') return unwrapped(def.innerType)
  if (def.type === 'union' && Array.isArray(def.options)) {
    return def.options.map(unwrapped).find((option) => shapeOf(option) !== null) ?? schema
  }
  return schema
}

function stepInto(schema: unknown, part: PropertyKey): unknown {
  const shape = shapeOf(schema)
  if (shape !== null) return shape[String(part)]
  const def = (schema as Inner | undefined)?._zod?.def
  return def?.element ?? def?.valueType
}
