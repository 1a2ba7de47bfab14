/** The house rules a machine can keep, as functions of a file's name and text. */
import { parseAst } from 'rolldown/parseAst'

/** Rooms from the ground up: a room imports from itself and from rooms below, never from above. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  core: ['lib'],
  ports: ['core', 'lib'],
  wire: ['core', 'lib'],
  config: ['core', 'lib'],
  bills: ['core', 'lib'],
  files: ['bills', 'core', 'lib'],
  store: ['ports', 'core', 'lib'],
  upstream: ['ports', 'core', 'lib'],
  notify: ['ports', 'core', 'lib'],
  identity: ['ports', 'core', 'lib'],
  observe: ['ports', 'core', 'lib'],
  system: ['config', 'ports', 'core', 'lib'],
  gateway: ['wire', 'ports', 'core', 'lib'],
  control: ['ports', 'core', 'lib'],
  jobs: ['ports', 'core', 'lib'],
  cli: ['core', 'lib'],
  simulator: ['core', 'lib'],
}

const pure = new Set(['lib', 'core', 'wire', 'config', 'bills'])
/** What the pure rooms may not say. Time, chance and the outside world come in as arguments. */
const impure =
  /\b(Date\.now|new Date\(\)|Temporal\.Now|Math\.random|process\.|console\.|setTimeout|setImmediate|fetch\(|await |node:fs|node:net|node:http)/
/** Rooms whose classes hold a resource or a stream's state. */
const classRooms = new Set([
  'system',
  'store',
  'upstream',
  'identity',
  'gateway',
  'control',
  'cli',
  'ports',
  'simulator',
  'wire',
  'files',
])

export const limits = { columns: 100, fileLines: 400, functionLines: 60 }

export function roomOf(name: string): string {
  return name.startsWith('src/') ? (name.split('/')[1] ?? '') : ''
}

/** Faults of one file, each as `name:line: what`. */
export function faultsOf(name: string, text: string): readonly string[] {
  const lines = text.split('\n')
  const at = (line: number, what: string): string => `${name}:${line}: ${what}`
  const found: string[] = []
  if (lines.length - 1 > limits.fileLines)
    found.push(at(1, `longer than ${limits.fileLines} lines`))
  lines.forEach((line, i) => {
    for (const what of lineFaults(name, line)) found.push(at(i + 1, what))
  })
  for (const to of importsOf(text)) {
    const what = arrowFault(name, to)
    if (what !== null) found.push(`${name}: ${what}`)
  }
  // A `describe` is a chapter, not a function, and a simulated world is one story.
  for (const { line, length } of name.startsWith('test/') ? [] : functionsOf(text)) {
    if (length > limits.functionLines) found.push(at(line, `a function of ${length} lines`))
  }
  return found
}

function lineFaults(name: string, line: string): readonly string[] {
  // The rules and the examples they are tried on are full of what they forbid.
  if (name.startsWith('test/tidy/')) return []
  const faults: string[] = []
  const code = line.replace(/'(?:[^'\\]|\\.)*'|`[^`]*`/g, "''").replace(/^\s*(\*|\/\/|\/\*).*$/, '')
  // A pattern or a literal cannot be broken; prose and code can.
  const whole = /^\s*(\/\^|test\(|`|'|alerts:|- |(line|with): )|https?:\/\//.test(line)
  if (line.length > limits.columns && !whole) {
    faults.push(`over ${limits.columns} columns`)
  }
  if (/(: any\b|as any\b|<any>|@ts-ignore|@ts-expect-error|\benum )/.test(code)) {
    faults.push('escapes the type checker')
  }
  if (/\b(TODO|FIXME|XXX)\b/.test(line)) faults.push('leaves something undone')
  const room = roomOf(name)
  const isTest = name.endsWith('.test.ts')
  if (pure.has(room) && !isTest && impure.test(code + (/import .*'node:/.test(line) ? line : ''))) {
    faults.push('reaches outside in a pure room')
  }
  if (room !== '' && !classRooms.has(room) && /^(export )?class /.test(code)) {
    faults.push('a class where no resource is held')
  }
  if (room !== '' && room !== 'cli' && /\bconsole\./.test(code))
    faults.push('writes to the console')
  if (/^export default /.test(code) && name !== 'vitest.config.ts') faults.push('a default export')
  if (isTest && /\b(it|test|describe)\.(skip|only|todo)\b/.test(code))
    faults.push('a test left out')
  return faults
}

export function importsOf(text: string): readonly string[] {
  return [...text.matchAll(/^(?:import|export)\b[^'"]*?from '([^']+)'|^import '([^']+)'/gm)].map(
    ([, from, bare]) => from ?? bare ?? '',
  )
}

function arrowFault(name: string, to: string): string | null {
  const room = roomOf(name)
  if (!name.startsWith('src/')) return null
  if (to.startsWith('../')) return `leaves its room by "${to}": use #room/file.ts`
  const target = /^#(\w+)\//.exec(to)?.[1]
  // Files of src itself (main, wiring) stand above all rooms.
  if (target === undefined || room.endsWith('.ts')) return null
  if (name.endsWith('.test.ts') && (target === 'test' || target === 'system')) return null
  const allowed = [room, ...(rooms[room] ?? [])]
  return allowed.includes(target) ? null : `an arrow up, ${room} -> ${target}`
}

interface Located {
  readonly line: number
  readonly length: number
}

/** Functions and their lengths in lines, from the syntax tree. */
function functionsOf(text: string): readonly Located[] {
  const starts = lineStarts(text)
  const lineOf = (offset: number): number => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }
  const found: Located[] = []
  const waiting: unknown[] = [parseAst(text, { lang: 'ts' })]
  while (waiting.length > 0) {
    const node = waiting.pop()
    if (typeof node !== 'object' || node === null) continue
    if (Array.isArray(node)) {
      waiting.push(...node)
      continue
    }
    const { type, start, end } = node as { type?: unknown; start?: unknown; end?: unknown }
    if (
      typeof type === 'string' &&
      /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(type) &&
      typeof start === 'number' &&
      typeof end === 'number'
    ) {
      found.push({ line: lineOf(start), length: lineOf(end) - lineOf(start) + 1 })
    }
    waiting.push(...Object.values(node))
  }
  return found
}

function lineStarts(text: string): readonly number[] {
  const starts = [0]
  for (let i = text.indexOf('\n'); i !== -1; i = text.indexOf('\n', i + 1)) starts.push(i + 1)
  return starts
}

/** Import cycles among files, each as the path that closes it. */
export function cyclesOf(files: ReadonlyMap<string, string>): readonly string[] {
  const edges = new Map(
    [...files].map(([name, text]) => [name, importsOf(text).flatMap((to) => resolved(name, to))]),
  )
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const visit = (name: string, path: readonly string[]): void => {
    if (state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      cycles.push([...path.slice(path.indexOf(name)), name].join(' -> '))
      return
    }
    state.set(name, 'open')
    for (const next of edges.get(name) ?? []) visit(next, [...path, name])
    state.set(name, 'done')
  }
  for (const name of files.keys()) visit(name, [])
  return cycles
}

function resolved(from: string, to: string): readonly string[] {
  if (to.startsWith('./')) return [from.replace(/[^/]+$/, '') + to.slice(2)]
  const room = /^#(\w+)\/(.+)$/.exec(to)
  if (room === null) return []
  const [, name = '', rest = ''] = room
  return name === 'test'
    ? [`test/${rest}`]
    : name === 'src'
      ? [`src/${rest}`]
      : [`src/${name}/${rest}`]
}

/** Paths in backticks that a page of prose names and that do not exist. */
export function deadPaths(text: string, exists: (path: string) => boolean): readonly string[] {
  const named = [
    ...text.matchAll(/`((?:src|test|docs|prices|examples|scripts|bench)\/[\w./*-]+)`/g),
  ]
  return named.map(([, path]) => path ?? '').filter((path) => !path.includes('*') && !exists(path))
}
