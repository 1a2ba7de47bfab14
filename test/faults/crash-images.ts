/**
 * What a power cut may leave of a file. A workload's writes are recorded by strace; an image is
 * what was synced, plus any part of what was not, in any order, some of it torn at a sector.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Event =
  | { readonly kind: 'write'; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'sync'; readonly file: string }
  | { readonly kind: 'truncate'; readonly file: string; readonly size: number }
  | { readonly kind: 'remove'; readonly file: string }
  | { readonly kind: 'said'; readonly text: string }

export const canTrace = spawnSync('strace', ['-V']).status === 0

/** Runs the writer under strace and returns what it did to the ledger's files, in order. */
export function record(folder: string, commits: number, mode: 'full' | 'normal'): readonly Event[] {
  const out = join(folder, `trace-${mode}`)
  const path = join(folder, `${mode}.db`)
  const writer = new URL('crash-writer.ts', import.meta.url).pathname
  const traced = 'trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink'
  const args = ['-f', '-y', '-xx', '-s', '200000', '-e', traced, '-o', out]
  const normal = new URL('crash-normal.ts', import.meta.url).pathname
  const control = mode === 'normal' ? ['--import', normal] : []
  spawnSync('strace', [...args, process.execPath, ...control, writer, path, String(commits)])
  const events = wholeCalls(readFileSync(out, 'latin1').split('\n')).flatMap((line) =>
    eventOf(line, path),
  )
  rmSync(out)
  return events
}

/** A call that another thread's interrupted is printed in two halves: put together again. */
function wholeCalls(lines: readonly string[]): readonly string[] {
  const begun = new Map<string, string>()
  return lines.flatMap((line) => {
    const [pid = ''] = line.split(' ')
    const half = /^(.*) <unfinished \.\.\.>$/.exec(line)
    if (half !== null) {
      begun.set(pid, half[1] ?? '')
      return []
    }
    const rest = /^\d+ +<\.\.\. \w+ resumed>(.*)$/.exec(line)
    return [rest === null ? line : (begun.get(pid) ?? '') + (rest[1] ?? '')]
  })
}

const bytesOf = (text: string): Buffer => Buffer.from(text.replaceAll('\\x', ''), 'hex')

function eventOf(line: string, path: string): readonly Event[] {
  const call = /^\d+ +(\w+)\((.*)\) += (\d+)/.exec(line)
  if (call === null) return []
  const [, name = '', args = ''] = call
  if (name === 'unlink') {
    const file = bytesOf(/^"([^"]*)"/.exec(args)?.[1] ?? '').toString()
    return file.startsWith(path) ? [{ kind: 'remove', file: file.slice(path.length) }] : []
  }
  const on = /^(\d+)<([^>]*)>/.exec(args)
  const named = on?.[2] ?? ''
  const full = named.startsWith('\\x') ? bytesOf(named).toString() : named
  if (name === 'write' && on?.[1] === '1') {
    return [{ kind: 'said', text: bytesOf(/"([^"]*)"/.exec(args)?.[1] ?? '').toString() }]
  }
  const file = full.slice(path.length)
  if (!full.startsWith(path) || !['', '-wal', '-journal'].includes(file)) return []
  if (name === 'fsync' || name === 'fdatasync') return [{ kind: 'sync', file }]
  if (name === 'ftruncate') return [{ kind: 'truncate', file, size: Number(args.split(', ')[1]) }]
  if (name !== 'pwrite64') return []
  const data = /"([^"]*)", (\d+), (\d+)$/.exec(args)
  if (data === null) throw new Error(`a write that cannot be read: ${line.slice(0, 200)}`)
  return [{ kind: 'write', file, at: Number(data[3]), bytes: bytesOf(data[1] ?? '') }]
}

interface Kept {
  synced: Buffer
  pending: Event[]
}

/** A disk while the recorded writes go by: what is synced, and what only the cache has. */
export class Disk {
  readonly #files = new Map<string, Kept>()

  hear(event: Event): void {
    if (event.kind === 'said') return
    if (event.kind === 'remove') {
      this.#files.delete(event.file)
      return
    }
    const kept = this.#files.get(event.file) ?? { synced: Buffer.alloc(0), pending: [] }
    this.#files.set(event.file, kept)
    if (event.kind !== 'sync') kept.pending.push(event)
    else {
      kept.synced = after(kept.synced, kept.pending)
      kept.pending = []
    }
  }

  /** What may be there when the power goes now. */
  image(chance: () => number): Map<string, Buffer> {
    const out = new Map<string, Buffer>()
    for (const [file, { synced, pending }] of this.#files) {
      const survivors = pending.filter(() => chance() < 0.5).toSorted(() => chance() - 0.5)
      const torn = survivors.map((one) => (chance() < 0.3 ? tornOf(one, chance) : one))
      out.set(file, after(synced, torn))
    }
    return out
  }
}

/** The file after these: copied once, however many there are. */
function after(content: Buffer, events: readonly Event[]): Buffer {
  const room = Math.max(content.length, ...events.map(endOf))
  const whole = Buffer.alloc(room)
  content.copy(whole)
  let size = content.length
  for (const event of events) {
    if (event.kind === 'write') event.bytes.copy(whole, event.at)
    // What a file is shortened by is gone: where it grows again, there are zeros.
    if (event.kind === 'truncate') whole.fill(0, event.size)
    size = event.kind === 'truncate' ? event.size : Math.max(size, endOf(event))
  }
  return whole.subarray(0, size)
}

function endOf(event: Event): number {
  if (event.kind === 'truncate') return event.size
  return event.kind === 'write' ? event.at + event.bytes.length : 0
}

function tornOf(event: Event, chance: () => number): Event {
  if (event.kind !== 'write') return event
  const sectors = Math.ceil(event.bytes.length / 512)
  return { ...event, bytes: event.bytes.subarray(0, Math.floor(chance() * sectors) * 512) }
}

export function lay(folder: string, name: string, files: ReadonlyMap<string, Buffer>): string {
  const path = join(folder, name)
  for (const [file, bytes] of files) writeFileSync(`${path}${file}`, bytes)
  return path
}
