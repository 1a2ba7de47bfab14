/** Which files a person means, and what is in each: by its first bytes, never by its name. */
import { closeSync, globSync, openSync, readSync, statSync } from 'node:fs'
import { gunzipSync, constants } from 'node:zlib'
import { csvReader, separatorOf } from '#bills/csv.ts'

/** Tells a person what to do: the command ends with it. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem'
}

/** A flag is wrong, not a file. */
export class UsageProblem extends Error {
  override readonly name = 'UsageProblem'
}

export interface Source {
  readonly path: string
  readonly bytes: number
  readonly isGzip: boolean
  readonly content:
    | { readonly kind: 'csv'; readonly header: readonly string[]; readonly separator: string }
    | { readonly kind: 'json' }
    | { readonly kind: 'parquet' }
}

/** Paths and patterns → files, each once, in order of their names. */
export function findFiles(patterns: readonly string[]): readonly string[] {
  const found = patterns.flatMap((pattern) => {
    if (isFile(pattern)) return [pattern]
    const matches = globSync(pattern).filter(isFile)
    if (matches.length === 0) throw new FileProblem(`there is no file "${pattern}"`)
    return matches
  })
  return [...new Set(found)].sort()
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** Enough for the longest header: a CUR with all its columns has 12 KB. */
const headBytes = 256 * 1024

export function openSource(path: string): Source {
  const { bytes, head: raw } = headOf(path)
  const isGzip = raw[0] === 0x1f && raw[1] === 0x8b
  const head = isGzip ? unzipHead(path, raw) : raw
  const about = { path, bytes, isGzip }
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') {
    return { ...about, content: { kind: 'parquet' } }
  }
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) {
    throw new FileProblem(`${path} is UTF-16 text: save it as "CSV UTF-8" and try again`)
  }
  if (head.subarray(0, 2).toString('latin1') === 'PK') {
    throw new FileProblem(`${path} is a workbook or a zip file: export it as CSV, or unpack it`)
  }
  const text = withoutMark(head.toString('utf8'))
  if (/^\s*[[{]/.test(text)) return { ...about, content: { kind: 'json' } }
  if (text.trim() === '') throw new FileProblem(`${path} is empty`)
  return { ...about, content: { kind: 'csv', ...headerOf(text) } }
}

/** A byte order mark is no part of the first column's name. */
export const withoutMark = (text: string): string =>
  text.charCodeAt(0) === 0xfeff ? text.slice(1) : text

function headOf(path: string): { readonly bytes: number; readonly head: Buffer } {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(headBytes)
    const length = readSync(file, head, 0, headBytes, 0)
    return { bytes: statSync(path).size, head: head.subarray(0, length) }
  } finally {
    closeSync(file)
  }
}

function unzipHead(path: string, head: Buffer): Buffer {
  try {
    // The head ends amid the stream: what can be had of it is wanted.
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    throw new FileProblem(`${path} begins like a gzip file but cannot be unpacked`)
  }
}

function headerOf(text: string): {
  readonly header: readonly string[]
  readonly separator: string
} {
  const separator = separatorOf(/^[^\r\n]*/.exec(text)?.[0] ?? '')
  let header: readonly string[] | null = null
  const reader = csvReader(separator, (row) => {
    header ??= row
  })
  reader.push(text)
  reader.end()
  return { header: header ?? [], separator }
}
