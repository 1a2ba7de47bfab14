/** Which column is which, as a person said it: kept, so that it is said once. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { canonical } from '#bills/format.ts'
import type { Mapping } from '#bills/mapped.ts'
import { FileProblem, UsageProblem } from './find.ts'

type Saved = Record<string, Record<string, string>>

export interface Mappings {
  /** For the bills, or for the outcomes: what was said now, over what was kept. */
  readonly for: (side: Side, header: readonly string[]) => Mapping
  /** Keeps what was said now, for files with the headers it was used on. */
  readonly keep: () => void
}

export type Side = 'bill' | 'outcomes'

/** `said` is a list of `their=ours`, or `bill:their=ours` and `outcomes:their=ours`. */
export function openMappings(path: string, said: readonly string[]): Mappings {
  const given = said.map(parse)
  const saved = readSaved(path)
  const used: [string, string, string][] = []
  return {
    for(side, header) {
      const print = fingerprint(header)
      const names = new Set(header.map(canonical))
      const mine = given.filter((one) => one.side === null || one.side === side)
      const found = new Map(Object.entries(saved[print] ?? {}))
      for (const { their, our } of mine) {
        found.set(their, our)
        if (side === 'bill' || names.has(their)) used.push([print, their, our])
      }
      return found
    },
    keep() {
      if (used.length === 0) return
      for (const [print, their, our] of used) saved[print] = { ...saved[print], [their]: our }
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(`${path}.new`, `${JSON.stringify(saved, null, 2)}\n`)
      renameSync(`${path}.new`, path)
    },
  }
}

function parse(text: string) {
  const match = /^(?:(bill|outcomes):)?([^=]+)=([\w-]+)$/.exec(text)
  if (match === null) {
    throw new UsageProblem(`--map "${text}": write their=ours, such as --map api_key=agent`)
  }
  const [, side = null, their = '', our = ''] = match
  return { side: side as Side | null, their: canonical(their), our: our.toLowerCase() }
}

/** Files with the same columns, in whatever order, are of one kind. */
function fingerprint(header: readonly string[]): string {
  const names = header.map(canonical).sort().join('\n')
  return createHash('sha256').update(names).digest('hex').slice(0, 16)
}

function readSaved(path: string): Saved {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return {}
  }
  try {
    return JSON.parse(text) as Saved
  } catch {
    throw new FileProblem(`${path} is not valid JSON: repair or remove it`)
  }
}
