/** All documents of all files as one, every entry with the place it was written at. */
import type { Snapshot } from '#core/snapshot.ts'
import type { BudgetEntry, ConfigFile, QuotaEntry, RunEntry } from './document.ts'
import type { ConfigProblem, Path } from './source.ts'

export interface Loaded {
  readonly snapshot: Snapshot
  /** True where no provider has a credential: the simulator answers. */
  readonly simulate: boolean
}

/** Entries with the place they were written at: for messages, and for `origin`. */
export interface Placed<Entry> {
  readonly entry: Entry
  readonly problem: (message: string, path?: Path, hint?: string | null) => ConfigProblem
}

/** All documents of all files as one. */
export interface Merged {
  readonly file: Omit<ConfigFile, 'budgets' | 'quotas' | 'runs'>
  readonly budgets: readonly Placed<BudgetEntry>[]
  readonly quotas: readonly Placed<QuotaEntry>[]
  readonly runs: readonly Placed<RunEntry>[]
  readonly problem: (path: Path, message: string, hint?: string | null) => ConfigProblem
  readonly notices: readonly string[]
  /** The text of a file; null where it cannot be read. */
  readonly readFile: (path: string) => string | null
}
