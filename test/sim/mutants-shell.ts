/** Bugs planted around the rules: in what keeps the books, sends, stores and examines. */
export interface Mutant {
  readonly name: string
  readonly file: string
  /** Occurs once in the file; replaced by `with`. */
  readonly line: string
  readonly with: string
  /** Test files that should see it; none: the simulation alone. */
  readonly seenBy?: readonly string[]
}

const execute = 'src/store/execute.ts'
const books = 'src/gateway/books.ts'
const attempt = 'src/gateway/attempt.ts'
const relay = 'src/gateway/relay.ts'
const stores = ['test/conformance/stores.test.ts']
const disk = ['test/faults/disk.test.ts']
const behind = ['test/conformance/behind.test.ts']
const accounts = 'src/store/sqlite-accounts.ts'
const rows = 'src/store/sqlite-rows.ts'
const batch = ['test/faults/lost-batch.test.ts']
const doctor = ['test/e2e/doctor.test.ts']
const table = ['test/faults/hostile-protocol.test.ts']
const gateway = ['test/e2e/gateway.test.ts', 'test/e2e/evasion.test.ts']

export const shellMutants: readonly Mutant[] = [
  {
    name: 'a settlement lands in the period of its end',
    file: execute,
    line: '.map((key) => rows.account(key))',
    with: '.map((key) => rows.account(key.replace(/\\|\\d+/, `|${Math.floor(now / 3_600_000) * 3_600_000}`) as AccountKey))',
  },
  {
    name: 'the entry is not written',
    file: execute,
    line: 'if (applied.entry !== null) rows.addEntry(applied.entry)',
    with: "if (applied.entry !== null && applied.entry.kind !== 'expire') rows.addEntry(applied.entry)",
  },
  {
    name: 'the alert is not written with its crossing',
    file: execute,
    line: 'for (const alert of applied.alerts) rows.addAlert(alert)',
    with: 'void applied.alerts',
    seenBy: stores,
  },
  {
    name: 'a failed ledger lets the call through',
    file: 'src/gateway/admit.ts',
    line: "if (outcome === null) return { kind: 'refused', refusal: unavailable(serving), outcome }",
    with: "if (outcome === null) return { kind: 'admitted', attempt: { target, quote: command.quote, hold: { ...command.hold, id: command.hold.hold, amount: 0n, tokens: 0, lines: [], outputCap: command.quote.outputCap } as never, outputCap: null, clampedTo: null }, outcome: { result: { status: 'applied' }, accounts: [], overrides: [], alerts: [] } as never }",
    seenBy: disk,
  },
  {
    name: 'an abandoned hold stays',
    file: books,
    line: 'run.then(undo, undo).catch(',
    with: 'run.catch(',
  },
  {
    name: 'an ending is tried once',
    file: books,
    line: 'await this.#deps.clock.sleep(waitMs)\n',
    with: "await this.#deps.clock.sleep(waitMs)\n          throw new Error('given up')\n",
  },
  {
    name: 'a timeout after sending is free',
    file: attempt,
    line: 'if (!failure.sent) {',
    with: "if (!failure.sent || failure.reason === 'broken') {",
  },
  {
    name: 'a refusal of the provider is paid for',
    file: relay,
    line: 'const outcome = await endVoid(underway, `upstream ${status}`)',
    with: 'const outcome = await endCosted(underway, presumed(underway.attempt, `upstream ${status}`), status)',
    seenBy: ['test/e2e/gateway.test.ts', 'test/e2e/providers.test.ts'],
  },
  {
    name: 'a broken stream is charged what was seen',
    file: relay,
    line: ': presumed(attempt, `stream ${failure.reason}`, report)',
    with: ': costOf(serving, attempt, { ...report, usage: { counts: {}, reasoningTokens: 0 } })',
  },
  {
    name: 'a stream that ends early counts as whole',
    file: relay,
    line: ": presumed(attempt, 'the stream ended early', report)",
    with: ': { ...presumed(attempt, "", report), cost: 0n as typeof attempt.hold.amount }',
    seenBy: ['test/faults/raw-provider.test.ts'],
  },
  {
    name: 'an answer without usage is free',
    file: 'src/gateway/cost.ts',
    line: "if (usage === null) return presumed(attempt, 'the answer has no usage', report)",
    with: 'if (usage === null) return known(zero, { counts: {}, reasoningTokens: 0 }, report, [])',
  },
  {
    name: 'what was presumed costs nothing',
    file: 'src/gateway/cost.ts',
    line: 'cost: attempt.hold.amount,',
    with: 'cost: zero,',
  },
  {
    name: 'the cap is held and not sent',
    file: attempt,
    line: 'outputCap: tried.outputCap,',
    with: 'outputCap: null,',
  },
  {
    name: 'the ledger is not synced (NORMAL)',
    file: 'src/store/sqlite-connection.ts',
    line: 'pragma synchronous = full',
    with: 'pragma synchronous = normal',
    seenBy: batch,
  },
  {
    name: 'nobody is sent away, however late',
    file: 'src/gateway/intake.ts',
    line: 'if (this.#isLate()) this.#shed()',
    with: '',
    seenBy: ['src/gateway/intake.test.ts'],
  },
  {
    name: 'a call that has ended keeps the place of its key',
    file: 'src/gateway/intake.ts',
    line: 'if (left > 0) this.#ofCaller.set(caller, left)',
    with: 'if (left >= 0) return',
    seenBy: ['src/gateway/intake.test.ts'],
  },
  {
    name: 'acknowledged before the commit',
    file: 'src/store/group-commit.ts',
    line: 'for (const { work } of jobs) batch.values.push(work())',
    with: 'for (const { work, resolve } of jobs) resolve(work())',
    seenBy: disk,
  },
  {
    name: 'a failed batch leaves its transaction open',
    file: 'src/store/sqlite-writer.ts',
    line: '      this.#rollback()\n      throw error',
    with: '      throw error',
    seenBy: stores,
  },
  {
    name: 'a failed batch is called durable',
    file: 'src/store/sqlite-thread.ts',
    line: 'return error instanceof Error ? error.message : String(error)',
    with: 'return null',
    seenBy: disk,
  },
  {
    name: 'the end of a thread that died is told of the batch of its successor',
    file: 'src/store/batch-writer.ts',
    line: 'if (this.#worker !== worker) return\n',
    with: '',
    seenBy: ['test/faults/dying-thread.test.ts'],
  },
  {
    name: 'rows in memory outlive the batch that came to nothing',
    file: 'src/store/sqlite-transaction.ts',
    line: 'rollback: () => rows.forget(),',
    with: 'rollback: () => {},',
    seenBy: batch,
  },
  {
    name: 'changed accounts are not written',
    file: accounts,
    line: 'if (tellsMoreThanEntries(kept)) {',
    with: 'if (kept.durable !== null) {',
    seenBy: behind,
  },
  {
    name: 'a stage that changed is left to the entries',
    file: accounts,
    line: 'amount !== durable.amount || fired !== durable.fired || throttle !== durable.throttle',
    with: 'amount !== durable.amount || throttle !== durable.throttle',
    seenBy: behind,
  },
  {
    name: 'a row is given entries that it has',
    file: 'src/store/sqlite-behind.ts',
    line: 'if (row === null || seq <= row.as_of) continue',
    with: 'if (row === null) continue',
    seenBy: behind,
  },
  {
    name: 'a pace is not counted again from the entries',
    file: 'src/core/fold.ts',
    line: "const isAdmission = kind === 'hold' && hasPace(standing)",
    with: "const isAdmission = kind === 'adjust' && hasPace(standing)",
    seenBy: behind,
  },
  {
    name: 'all rows are said to have what one of them lacks',
    file: accounts,
    line: 'plan.carriedUpTo = since - 1',
    with: 'plan.carriedUpTo = since',
    seenBy: behind,
  },
  {
    name: 'readers are shown rows as they are',
    file: accounts,
    line: 'return (kept === undefined ? null : shown(kept, hasLanded)) ?? accountFromRow(row)',
    with: 'return kept === undefined || hasLanded ? accountFromRow(row) : accountFromRow(row)',
    seenBy: behind,
  },
  {
    name: 'what a failed batch gave an account stays',
    file: accounts,
    line: 'else kept.account = kept.durable',
    with: 'else kept.durable = kept.account',
    seenBy: behind,
  },
  {
    name: 'an account that a failed batch made is found again',
    file: accounts,
    line: 'if (next !== null && next.account.key === key && !next.isGone) {',
    with: 'if (next !== null && next.account.key === key) {',
    seenBy: batch,
  },
  {
    name: 'memory is trusted whatever has reached the file',
    file: accounts,
    line: 'if (this.#counters !== null && (plan === null || this.#isLost(plan))) {',
    with: 'if (this.#counters !== null) {',
    seenBy: batch,
  },
  {
    name: 'what was done on top of a failed batch stays',
    file: accounts,
    line: 'for (const kept of this.#changed) this.#takeBack(kept)',
    with: '',
    seenBy: behind,
  },
  {
    name: 'who was on top of a failed batch is left out',
    file: 'src/store/group-commit.ts',
    line: 'if (open !== null) this.#queue.unshift(...open.jobs)',
    with: 'if (open !== null) this.#queue.push(...open.jobs)',
    seenBy: behind,
  },
  {
    name: 'two failed batches give back the numbers of one',
    file: accounts,
    line: 'Object.assign(this.#counters, plan?.before ?? this.#before)',
    with: 'Object.assign(this.#counters, this.#before)',
    seenBy: behind,
  },
  {
    name: 'readers are shown what is not sent yet',
    file: accounts,
    line: 'kept.durable = kept.sent\n',
    with: 'kept.durable = kept.account\n',
    seenBy: behind,
  },
  {
    name: 'a hold on its way to the disk is not found',
    file: rows,
    line: 'this.#touched.get(id) ?? this.#touchedBefore.get(id)',
    with: 'this.#touched.get(id)',
    seenBy: behind,
  },
  {
    name: 'a mark on its way to the disk is not found',
    file: rows,
    line: 'this.#marks.has(id) || this.#marksBefore.has(id) ||',
    with: 'this.#marks.has(id) ||',
    seenBy: behind,
  },
  {
    name: 'a ledger is closed with rows behind',
    file: 'src/store/sqlite.ts',
    line: 'await this.#commits.add(null, () => this.#rows.accounts.carryAll()).catch(() => {})',
    with: '',
    seenBy: behind,
  },
  {
    name: 'doctor counts rows that lack entries as they are',
    file: 'src/store/sqlite-inspect.ts',
    line: 'yield upToDate(row, behind)',
    with: 'yield row',
    seenBy: behind,
  },
  {
    name: 'a commit may take for ever',
    file: books,
    line: 'if (commit.deadline > clock.now()) break',
    with: 'break',
    seenBy: disk,
  },
  {
    name: 'a start leaves what was open',
    file: 'src/wiring.ts',
    line: 'await expireHolds({ ...deps, rules: () => rules }, before)',
    with: 'await expireHolds({ ...deps, rules: () => rules }, instant(0))',
    seenBy: doctor,
  },
  {
    name: 'two processes share a ledger',
    file: 'src/store/sqlite.ts',
    line: 'this.#lock = inMemory ? null : lock(`${path}.lock`)',
    with: 'this.#lock = null',
    seenBy: stores,
  },
  {
    name: 'doctor does not look at holds',
    file: 'src/store/recounted.ts',
    line: 'if (hold !== null) note(checkHold(count, hold, entries))',
    with: 'if (hold !== null) void entries',
    seenBy: doctor,
  },
  {
    name: 'doctor passes over a gap',
    file: 'src/core/recount.ts',
    line: 'if (recount.gapless && seq !== expected) {',
    with: 'if (seq < expected) {',
    seenBy: doctor,
  },
  {
    name: 'a backup is restored unchecked',
    file: 'src/store/sqlite-inspect.ts',
    line: 'if ((await checksumOf(from)) !== expected) {',
    with: "if ((await checksumOf(from)) === '') {",
    seenBy: doctor,
  },
  {
    name: 'of two headers the first counts',
    file: 'src/gateway/http.ts',
    line: '(headers[name]?.length ?? 0) > 1',
    with: '(headers[name]?.length ?? 0) > 2',
    seenBy: ['test/faults/raw-client.test.ts', ...table],
  },
  {
    name: 'a packed body is forwarded unread',
    file: 'src/gateway/http.ts',
    line: "return encoding === 'identity' && !",
    with: "return encoding !== '' && !",
    seenBy: [...gateway, ...table],
  },
  {
    name: 'the key of the provider comes back in its error',
    file: relay,
    line: 'const body = withoutSecret(',
    with: 'const body = ((bytes: Buffer, _secret: string | undefined) => bytes)(',
    seenBy: ['test/faults/canaries.test.ts'],
  },
  {
    name: 'a change that has reached the file though nobody knew is made again',
    file: 'src/store/sqlite-changes.ts',
    line: 'if (rows.hasAudit(audit)) return',
    with: 'void rows.hasAudit(audit)',
    seenBy: batch,
  },
]
