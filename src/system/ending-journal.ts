/** The journal of endings: a file of lines, empty again once the ledger has them all. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import type { Ending } from '#core/journal.ts'
import type { HoldId } from '#lib/id.ts'
import { fromJson, toJson } from '#lib/json.ts'
import type { EndingJournal } from '#ports/ending-journal.ts'

export interface EndingFile extends EndingJournal {
  /** What an earlier process kept and the ledger may not have. */
  readonly left: readonly Ending[]
  close(): void
}

type Line = { readonly keep: Ending } | { readonly forget: HoldId }

export function endingFile(path: string): EndingFile {
  const left = leftIn(path)
  // What a power cut left of a line would be glued to the next one.
  if (left.length === 0 && existsSync(path)) truncateSync(path)
  const waiting = new Set(left.map(({ hold }) => hold))
  let file: number | null = null
  const append = (line: Line): number => {
    file ??= openSync(path, 'a', 0o600)
    writeSync(file, `${toJson(line)}\n`)
    return file
  }
  return {
    left,
    keep: (ending) => {
      fsyncSync(append({ keep: ending }))
      waiting.add(ending.hold)
    },
    forget: (hold) => {
      if (!waiting.delete(hold)) return
      // Not synced: an ending that is told twice changes nothing.
      const open = append({ forget: hold })
      if (waiting.size === 0) ftruncateSync(open, 0)
    },
    close: () => {
      if (file !== null) closeSync(file)
      file = null
    },
  }
}

function leftIn(path: string): readonly Ending[] {
  if (!existsSync(path)) return []
  const left = new Map<HoldId, Ending>()
  for (const text of readFileSync(path, 'utf8').split('\n')) {
    const line = lineFrom(text)
    if (line === null) continue
    if ('keep' in line) left.set(line.keep.hold, line.keep)
    else left.delete(line.forget)
  }
  return [...left.values()]
}

/** Null: nothing, or what a power cut left of the last line. */
function lineFrom(text: string): Line | null {
  try {
    return text === '' ? null : (fromJson(text) as Line)
  } catch {
    return null
  }
}
