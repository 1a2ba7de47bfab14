/** Group commit on PostgreSQL: the commands of a turn fetch, lock, run and write together. */
import { GroupCommit } from '#store/group-commit.ts'
import { type Connection, failureOf, ledgerConnection } from './connection.ts'
import { fetchRows, type Need } from './load.ts'
import { type AccountNumbers, PostgresRows } from './rows.ts'
import { writeRows } from './write.ts'

export class Ledger {
  readonly #numbers: AccountNumbers
  readonly #connection: Connection
  readonly #commits: GroupCommit<Need>
  #rows: PostgresRows

  constructor(url: string, numbers: AccountNumbers, onCommit?: (jobs: number) => void) {
    this.#numbers = numbers
    this.#rows = new PostgresRows(numbers)
    this.#connection = ledgerConnection(url)
    this.#commits = new GroupCommit(
      {
        // The next fetches rows that the last has locked.
        overlaps: () => false,
        begin: (needs, _again, ready) => settled(this.#begin(needs), ready),
        commit: (done) => settled(this.#commit(), done),
        // Whatever it was in the middle of: a new connection is in the middle of nothing.
        rollback: () => this.#connection.drop(),
      },
      onCommit,
    )
  }

  /** Runs `work` in the next transaction, over rows that `need` names. */
  add<Value>(need: Need, work: (rows: PostgresRows) => Value): Promise<Value> {
    return this.#commits.add(need, () => work(this.#rows))
  }

  async close(): Promise<void> {
    await this.#commits.drained()
    await this.#connection.close()
  }

  async #begin(needs: readonly Need[]): Promise<void> {
    const client = await this.#connection.use()
    this.#rows = new PostgresRows(this.#numbers)
    const begun = client.query('begin')
    const fetched = fetchRows(client, this.#rows, needs)
    await Promise.all([begun, fetched])
  }

  async #commit(): Promise<void> {
    await writeRows(await this.#connection.use(), this.#rows)
    this.#rows.committed()
  }
}

function settled(work: Promise<void>, done: (failure: Error | null) => void): void {
  work.then(
    () => done(null),
    (error: unknown) => done(failureOf(error)),
  )
}
