/** YAML text to plain values, safely, with the place of every node kept for messages. */
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Scalar,
  visit,
} from 'yaml'
import { failed, type Result, succeeded } from '#lib/result.ts'

export interface ConfigProblem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
  readonly hint: string | null
}

export type Path = readonly PropertyKey[]

/** One YAML document of a file, every scalar still the text that was written. */
export interface SourceDocument {
  readonly file: string
  readonly value: unknown
  /** The problem `message` at the node of `path`, or at the nearest one above it. */
  at(path: Path, message: string, hint?: string | null): ConfigProblem
}

const bytesMax = 1024 * 1024
const depthMax = 32

export function readSource(
  file: string,
  text: string,
): Result<readonly SourceDocument[], readonly ConfigProblem[]> {
  const lines = new LineCounter()
  const place = (offset: number, message: string, hint: string | null = null): ConfigProblem => {
    const { line, col } = lines.linePos(offset)
    // Before anything is read there are no lines yet.
    return { file, line: Math.max(1, line), column: Math.max(1, col), message, hint }
  }
  const unsafe = unsafeIn(text)
  if (unsafe !== null) return failed([place(0, unsafe)])
  // Every scalar stays text: 25000.50 is an amount of money, not a float.
  const documents = parseAllDocuments(shielded(text), {
    lineCounter: lines,
    // It would compare each key with all others: `faultsOf` looks for those that are there twice.
    uniqueKeys: false,
    schema: 'failsafe',
    strict: true,
    // Its warnings go to standard error by themselves, and quote what they warn of.
    logLevel: 'error',
  })
  if (!Array.isArray(documents)) return succeeded([])
  const problems: ConfigProblem[] = []
  for (const document of documents) {
    for (const { offset, message } of faultsOf(document)) problems.push(place(offset, message))
  }
  if (problems.length > 0) return failed(problems)
  return succeeded(
    documents
      .filter(({ contents }) => contents !== null)
      .map((document) => ({
        file,
        value: document.toJS({ maxAliasCount: 0 }),
        at: (path: Path, message: string, hint: string | null = null) => {
          for (let length = path.length; length > 0; length -= 1) {
            const offset = offsetOf(document, path.slice(0, length))
            if (offset !== null) return place(offset, message, hint)
          }
          return place(document.range[0], message, hint)
        },
      })),
  )
}

type Document = ReturnType<typeof parseAllDocuments>[number]

/** What must not reach the parser at all. */
function unsafeIn(text: string): string | null {
  if (Buffer.byteLength(text) > bytesMax) return 'larger than 1 MiB'
  if (deepest(text) > depthMax * 2) return 'nested too deep'
  return /[\ue000\ue001]/.test(text) ? 'has private-use characters' : null
}

interface Fault {
  readonly offset: number
  readonly message: string
}

/** The first syntax error (what follows it is mostly its echo), aliases, and tags. */
function faultsOf(document: Document): readonly Fault[] {
  const found: Fault[] = []
  const [error] = document.errors
  if (error !== undefined) {
    const message = error.message.split(/ at line|\n/)[0] ?? 'not valid YAML'
    found.push({ offset: error.pos[0], message })
  }
  visit(document, {
    Map: (_key, { items }) => {
      for (const key of repeated(items)) {
        found.push({ offset: key.range?.[0] ?? 0, message: 'Map keys must be unique' })
      }
    },
    Pair: (_key, { key }) => {
      if (isScalar(key) || isAlias(key)) return
      const offset = isMap(key) || isSeq(key) ? (key.range?.[0] ?? 0) : 0
      found.push({ offset, message: 'a name must be plain text' })
    },
    Node: (_key, node) => {
      const offset = node.range?.[0] ?? 0
      if (isAlias(node)) found.push({ offset, message: 'aliases are not allowed' })
      else if ('tag' in node && node.tag !== undefined && !plainTag.test(node.tag)) {
        found.push({ offset, message: `tag ${node.tag} is not allowed` })
      }
    },
  })
  return found
}

function repeated(items: readonly { readonly key: unknown }[]): readonly Scalar[] {
  const seen = new Set<unknown>()
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return []
    const isRepeated = seen.has(key.value)
    seen.add(key.value)
    return isRepeated ? [key] : []
  })
}

const plainTag = /^tag:yaml.org,2002:(str|map|seq)$/

/** Where the key of a map entry stands, or an item of a list. */
function offsetOf(document: Document, path: Path): number | null {
  const parent =
    path.length === 1
      ? document.contents
      : document.getIn(path.slice(0, -1) as (string | number)[], true)
  const last = path.at(-1)
  if (isMap(parent)) {
    const pair = parent.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(last),
    )
    return pair !== undefined && isScalar(pair.key) ? (pair.key.range?.[0] ?? null) : null
  }
  const node = document.getIn(path as (string | number)[], true)
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : null
}

/**
 * `${NAME}` may stand unquoted between braces, where YAML would take its own braces for a map: they
 * are swapped for characters of the same width that mean nothing to it.
 */
function shielded(text: string): string {
  return text.replace(/\$\{([^}\n]*)\}/g, '\ue000\ue000$1\ue001')
}

/** A cheap bound of the nesting, before a parser recurses into it. */
function deepest(text: string): number {
  let depth = 0
  let worst = 0
  for (const character of text) {
    if (character === '[' || character === '{') worst = Math.max(worst, ++depth)
    else if (character === ']' || character === '}') depth -= 1
  }
  const indent = Math.max(0, ...text.split('\n', 20_000).map((line) => line.search(/\S/)))
  return Math.max(worst, Math.ceil(indent / 2))
}

/** The known name nearest to what was written, or null when none is near. */
export function didYouMean(written: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.max(1, Math.floor(written.length / 3)) + 1
  for (const name of known) {
    const distance = editDistance(written.toLowerCase(), name.toLowerCase())
    if (distance < least) {
      least = distance
      best = name
    }
  }
  return best === null ? null : `did you mean "${best}"?`
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replace))
    }
    row = next
  }
  return row[b.length] ?? 0
}

export function formatProblem({ file, line, column, message, hint }: ConfigProblem): string {
  return `${file}:${line}:${column}: ${message}${hint === null ? '' : ` (${hint})`}`
}
