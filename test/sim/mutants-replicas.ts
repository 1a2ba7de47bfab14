/** Bugs planted where many processes share a ledger, or it is away, or its rules change. */
import type { Mutant } from './mutants-shell.ts'

const postgres = 'src/store/postgres'
const stores = ['test/conformance/stores.test.ts']
const exact = ['test/replicas/exact.test.ts']
const news = ['test/replicas/news.test.ts']
const rollout = ['test/replicas/rollout.test.ts']
const degrade = ['test/replicas/degrade.test.ts']
const migrate = ['test/replicas/migrate.test.ts']
const journal = ['src/system/ending-journal.test.ts']

export const replicaMutants: readonly Mutant[] = [
  {
    name: 'accounts are read, and not locked',
    file: `${postgres}/load.ts`,
    line: 'key = any($1) order by key for update',
    with: 'key = any($1) order by key',
    seenBy: exact,
  },
  {
    name: 'what is pending stays in the replica',
    file: `${postgres}/write.ts`,
    line: 'pending = v.pending, fired',
    with: 'pending = a.pending, fired',
    seenBy: stores,
  },
  {
    name: 'sums of an hour are written over',
    file: `${postgres}/write.ts`,
    line: 'calls = s.calls + excluded.calls',
    with: 'calls = excluded.calls',
    seenBy: stores,
  },
  {
    name: 'a place that nobody needed is left',
    file: `${postgres}/write.ts`,
    line: 'if (emptyPlaces.length > 0) {',
    with: 'if (emptyPlaces.length > 1_000_000) {',
    seenBy: stores,
  },
  {
    name: 'nobody listens for news',
    file: `${postgres}/watch.ts`,
    line: "client.on('notification', () => void this.#askSoon())",
    with: "client.on('notification', () => {})",
    seenBy: news,
  },
  {
    name: 'nobody asks for news that were lost',
    file: `${postgres}/watch.ts`,
    line: 'setInterval(() => void this.#askSoon(), askEveryMs)',
    with: 'setInterval(() => {}, askEveryMs)',
    seenBy: news,
  },
  {
    name: 'a channel is served by every replica',
    file: `${postgres}/control-rows.ts`,
    line: `where (r.json::json ->> 'until')::bigint <= $3 or r.json::json ->> 'holder' = $4`,
    with: `where $3::bigint is not null or $4 = ''`,
    seenBy: ['test/replicas/alerts.test.ts'],
  },
  {
    name: 'a routed alert is routed again',
    file: `${postgres}/control-rows.ts`,
    line: "? 'do nothing'",
    with: "? 'do update set state = excluded.state, next_at = excluded.next_at'",
    seenBy: stores,
  },
  {
    name: 'a rule that others know is not counted',
    file: `${postgres}/adopt.ts`,
    line: 'known.epoch <= own',
    with: 'known.epoch <= own + 1',
    seenBy: rollout,
  },
  {
    name: 'what is in flight is asked for too early',
    file: `${postgres}/store.ts`,
    line: 'await this.#ledger.add(nothing, () => {})\n    const starts',
    with: 'const starts',
    seenBy: rollout,
  },
  {
    name: 'what is in flight is not asked for',
    file: 'src/jobs/adoption.ts',
    line: 'while (counted.length > 0) {',
    with: 'while (counted.length > 1000) {',
    seenBy: rollout,
  },
  {
    name: 'a frozen replica keeps its locks',
    file: `${postgres}/connection.ts`,
    line: 'idle_in_transaction_session_timeout=1000',
    with: 'idle_in_transaction_session_timeout=60000',
    seenBy: degrade,
  },
  {
    name: 'an answer waits until the ledger is back',
    file: 'src/gateway/books.ts',
    line: 'kept = true\n        resolve(null)',
    with: 'kept = true',
    seenBy: degrade,
  },
  {
    name: 'a replica does not wait for its database',
    file: 'src/store/open.ts',
    line: 'if (!(error instanceof StoreUnavailable)) throw error',
    with: 'throw error',
    seenBy: degrade,
  },
  {
    name: 'a kept ending is never told',
    file: 'src/jobs/endings.ts',
    line: 'for (const ending of left) {',
    with: 'for (const ending of left.slice(1)) {',
  },
  {
    name: 'a kept ending is forgotten at once',
    file: 'src/system/ending-journal.ts',
    line: 'else put.run(hold, toJson(ending))',
    with: 'else drop.run(hold)',
    seenBy: journal,
  },
  {
    name: 'a damaged journal is dropped',
    file: 'src/system/ending-journal.ts',
    line: 'renameSync(this.#path, aside)',
    with: 'renameSync(this.#path, `${this.#path}.gone`)',
    seenBy: journal,
  },
  {
    name: 'half a ledger is good enough',
    file: `${postgres}/store.ts`,
    line: 'await refuseHalfMoved(client)',
    with: 'void refuseHalfMoved',
    seenBy: migrate,
  },
  {
    name: 'a move leaves the keys their old secret',
    file: `${postgres}/move-in.ts`,
    line: 'await bringSecret(client, folder)',
    with: 'void bringSecret',
    seenBy: migrate,
  },
]
