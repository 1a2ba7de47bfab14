/** Reconciliations as they are kept: small enough to be a record each. */
import type { ControlDeps } from './deps.ts'

export interface KeptVariance {
  readonly cause: string
  readonly provider: string
  readonly model: string | null
  readonly day: string | null
  readonly kind: string | null
  readonly amount: string
  readonly detail: string
}

export interface Kept {
  readonly id: string
  readonly month: string
  readonly metered: string
  readonly billed: string
  readonly unexplainedPercent: string
  /** By cause, USD. */
  readonly causes: Readonly<Record<string, string>>
  /** The largest. */
  readonly variances: readonly KeptVariance[]
  readonly variancesTotal: number
  readonly ownKeys: Readonly<Record<string, readonly string[]>>
  /** What was said of them; null: inferred. */
  readonly saidKeys: readonly string[] | null
  readonly foreignLines: number
  readonly by: string
  readonly at: number
  readonly acceptedAt: number | null
  readonly acceptedBy: string | null
  /** Calls that were corrected, and by how much in all. */
  readonly corrected: number
  readonly correctedUsd: string
}

/** The newest first. */
export async function reconciliationsOf({
  store,
}: Pick<ControlDeps, 'store'>): Promise<readonly Kept[]> {
  const records = await store.records('reconciliation')
  return records.map(({ value }) => value as Kept).sort((a, b) => b.at - a.at)
}
