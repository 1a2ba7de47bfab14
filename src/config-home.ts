/** The config in its files: read, compiled, watched, and replaced whole. */
import { accessSync, constants, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { formatProblem, type Loaded, loadSnapshot } from '#config/load.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { Surroundings } from '#config/expand.ts'
import type { Path } from '#config/source.ts'
import type { ConfigHome, ConfigText } from '#ports/config-home.ts'
import {
  configFileNames,
  putWhole,
  readConfigFiles,
  readTextFile,
  realOf,
} from '#system/config-files.ts'
import { begin, end, putBack } from '#system/config-journal.ts'
import { loadPriceBook } from '#system/price-files.ts'

const fileName = /^[\w-][\w.-]{0,99}\.ya?ml$/

export function loadTexts(
  texts: readonly ConfigText[],
  around: Surroundings = machine,
): Result<Loaded, readonly string[]> {
  const loaded = loadSnapshot({ files: texts, ...around, priceBook: loadPriceBook() })
  if (loaded.ok) return loaded
  return { ok: false, problem: loaded.problem.map(formatProblem) }
}

const machine: Surroundings = { env: (name) => process.env[name], readFile: readTextFile }

/** `finished` makes of what was loaded what this process runs with. */
export function configHome(path: string, finished: (loaded: Loaded) => Snapshot): ConfigHome {
  const isFolder = statSync(path).isDirectory()
  const compiled = (texts: readonly ConfigText[]): Result<Snapshot, readonly string[]> => {
    const loaded = loadTexts(texts)
    return loaded.ok ? succeeded(finished(loaded.value)) : loaded
  }
  return {
    name: path,
    present: () => {
      try {
        return compiled(readConfigFiles(path))
      } catch (error) {
        return failed([error instanceof Error ? error.message : String(error)])
      }
    },
    read: (texts) => {
      const problems = misplaced(texts, isFolder)
      if (problems.length > 0) return failed(problems)
      const { around, refused } = guarded(referencesOf(path))
      const loaded = loadTexts(inOrder(texts), around)
      if (refused.size > 0) return failed([...refused])
      return loaded.ok ? succeeded(finished(loaded.value)) : loaded
    },
    write: (texts) => {
      const next = placed(texts, path, isFolder)
      requireWritable(path, isFolder)
      return replace(next, path)
    },
    done: () => end(path),
    fingerprint: fingerprinter(path),
  }
}

/** By reference (`NAME` or `file:PATH`): whether it ever stands where values are shown. */
type References = ReadonlyMap<string, boolean>

/** What the present config reads of its machine. */
function referencesOf(path: string): References {
  const found = new Map<string, boolean>()
  const note = (reference: string, at: Path): void => {
    found.set(reference, (found.get(reference) ?? false) || !isSecret(at))
  }
  const around: Surroundings = {
    env: (name, at) => {
      note(name, at)
      return machine.env(name, at)
    },
    readFile: (file, at) => {
      note(`file:${file}`, at)
      return machine.readFile(file, at)
    },
  }
  try {
    loadTexts(readConfigFiles(path), around)
  } catch {
    // Nothing is there now: then nothing of the machine is known to it.
  }
  return found
}

const secretKeys: ReadonlySet<unknown> = new Set([
  'api_key',
  'webhook_url',
  'bot_token',
  'signing_secret',
  'routing_key',
  'workflow_url',
  'smtp',
  'secret',
  'client_secret',
  'url',
])
const isSecret = (at: Path): boolean => secretKeys.has(at.at(-1))

/**
 * What comes from outside may read of the machine what the present config reads, and show of that
 * only what is shown already: else whoever may send a config could read any file or secret.
 */
function guarded(present: References): {
  readonly around: Surroundings
  readonly refused: Set<string>
} {
  const refused = new Set<string>()
  const isAllowed = (reference: string, at: Path): boolean => {
    const isShown = present.get(reference)
    if (isShown === true || (isShown === false && isSecret(at))) return true
    const where = at.join('.')
    refused.add(
      `${where}: \${${reference}} is not in the config of the server${isShown === false ? ' there' : ''}. ` +
        'What is sent to it may not read new files or secrets: put it into the file there.',
    )
    return false
  }
  return {
    refused,
    around: {
      env: (name, at) => (isAllowed(name, at) ? machine.env(name, at) : undefined),
      readFile: (file, at) => (isAllowed(`file:${file}`, at) ? machine.readFile(file, at) : null),
    },
  }
}

function misplaced(texts: readonly ConfigText[], isFolder: boolean): readonly string[] {
  if (texts.length === 0) return ['there is no file in it']
  if (!isFolder && texts.length > 1) {
    return ['the server reads one config file: give one file, not a folder']
  }
  const names = texts.map(({ name }) => basename(name))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) return [`there are two files called ${twice}`]
  return names
    .filter((name) => isFolder && !fileName.test(name))
    .map((name) => `"${name}" is not a name for a config file: write one such as budgets.yaml`)
}

/** Under the names that they were sent with, in the order in which they will be read. */
function inOrder(texts: readonly ConfigText[]): readonly ConfigText[] {
  return texts
    .map(({ name, text }) => ({ name: basename(name), text }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function placed(
  texts: readonly ConfigText[],
  path: string,
  isFolder: boolean,
): readonly ConfigText[] {
  return texts.map(({ name, text }) => ({
    name: isFolder ? join(path, basename(name)) : path,
    text,
  }))
}

/**
 * Each file is replaced whole: a reader sees the old or the new one. In a folder those that are
 * given no more go, and what was there before keeps a copy ending in `.previous`.
 */
function replace(texts: readonly ConfigText[], path: string): () => void {
  begin(path, texts)
  const ours = new Map(texts.map(({ name, text }) => [name, text]))
  // What somebody else has written meanwhile is theirs.
  const isOurs = (name: string): boolean =>
    existsSync(name) ? readFileSync(name, 'utf8') === ours.get(name) : !ours.has(name)
  const undo = (): void => putBack(path, isOurs)
  try {
    for (const { name, text } of readConfigFiles(path)) {
      putWhole(`${realOf(name)}.previous`, text)
      if (!ours.has(name)) rmSync(name)
    }
    for (const { name, text } of texts) putWhole(name, text)
  } catch (error) {
    undo()
    throw error
  }
  return undo
}

function requireWritable(path: string, isFolder: boolean): void {
  const folder = isFolder ? path : dirname(realOf(path))
  try {
    accessSync(folder, constants.W_OK)
    if (!isFolder) accessSync(path, constants.W_OK)
  } catch {
    throw new Error(
      `the config at ${path} cannot be written by Bursar: change it where it comes from ` +
        '(a repository, a ConfigMap), and it is read again by itself',
    )
  }
}

/**
 * Names, times, sizes and inodes of the files and of those they refer to. Asked for again and
 * again, because no watcher sees a ConfigMap's links change, or a file on a network.
 */
function fingerprinter(path: string): () => string {
  // The texts are read only where they may say something new.
  let known: { readonly stamps: string; readonly named: readonly string[] } | null = null
  return () => {
    try {
      const stamps = configFileNames(path).map(stampOf).join('\n')
      if (known?.stamps !== stamps) known = { stamps, named: filesNamedIn(readConfigFiles(path)) }
      return [stamps, ...known.named.map(stampOf)].join('\n')
    } catch (error) {
      return `unreadable: ${error instanceof Error ? error.message : String(error)}`
    }
  }
}

const filesNamedIn = (texts: readonly ConfigText[]): readonly string[] =>
  texts.flatMap(({ text }) =>
    [...text.matchAll(/\$\{\s*file:([^}$\n]{1,1000})\}/g)].map((match) => (match[1] ?? '').trim()),
  )

function stampOf(path: string): string {
  if (!existsSync(path)) return `${path} is not there`
  // The time of its change too: who may read it may have changed, and nothing else.
  const { ctimeNs, mtimeNs, size, ino } = statSync(path, { bigint: true })
  return `${path} ${ctimeNs} ${mtimeNs} ${size} ${ino}`
}
