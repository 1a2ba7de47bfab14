/** Records that every call or request asks for, in memory, with what changes of them. */
import type { ControlRecord, RecordKind } from '#core/record.ts'
import type { ControlStore } from '#ports/store.ts'

/** Few of each, and asked for often; other kinds are read where they are needed. */
const kept: readonly RecordKind[] = ['freeze', 'review', 'token', 'month', 'pace']

export interface RecordRing {
  /** Values by id. */
  readonly all: (kind: RecordKind) => ReadonlyMap<string, unknown>
  /** Written here or heard of: true from the next call on. */
  readonly put: (record: ControlRecord) => void
}

export async function recordRing(store: Pick<ControlStore, 'records'>): Promise<RecordRing> {
  const maps = new Map<RecordKind, Map<string, unknown>>()
  for (const kind of kept) {
    const records = await store.records(kind)
    maps.set(kind, new Map(records.map(({ id, value }) => [id, value])))
  }
  const none: ReadonlyMap<string, unknown> = new Map()
  return {
    all: (kind) => maps.get(kind) ?? none,
    put: ({ kind, id, value }) => {
      if (value === null) maps.get(kind)?.delete(id)
      else maps.get(kind)?.set(id, value)
    },
  }
}
