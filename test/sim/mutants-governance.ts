/** Bugs planted in quotas, runs, loops, kill switches and the walls between environments. */
import type { Mutant } from './mutants-shell.ts'

const stores = ['test/conformance/stores.test.ts']
const quotas = ['test/e2e/quotas.test.ts']
const runs = ['test/e2e/runs.test.ts']
const freezes = ['test/e2e/freezes.test.ts']
const dayBook = ['src/core/day-book.test.ts']
const replicas = ['test/replicas/quotas.test.ts']

export const governanceMutants: readonly Mutant[] = [
  {
    name: 'a conversation counts with each of its calls',
    file: 'src/core/ledger-hold.ts',
    line: 'return isSeated ? 0n : amountOf(rule.unit, amounts)',
    with: 'return amountOf(rule.unit, amounts)',
    seenBy: stores,
  },
  {
    name: 'a conversation whose first call failed is forgotten',
    file: 'src/core/ledger.ts',
    line: "case 'conversations':\n      return line.amount",
    with: "case 'conversations':\n      return state === 'voided' ? 0n : line.amount",
    seenBy: stores,
  },
  {
    name: 'seats are not asked for behind the lock',
    file: 'src/store/postgres/load.ts',
    line: 'rows.loadMarks(found.map(({ id }) => id))',
    with: 'void found',
    seenBy: stores,
  },
  {
    name: 'a quota added later seats each call',
    file: 'src/core/backfill.ts',
    line: 'if (!isSeated) marks.set(seat, { id: seat, value: hold.id })',
    with: 'void 0',
    seenBy: stores,
  },
  {
    name: 'a run has only its own cap',
    file: 'src/gateway/runs.ts',
    line: 'scopes.push({ id: at, attribution: parent.attribution })',
    with: 'void parent',
    seenBy: runs,
  },
  {
    name: 'a run comes from where it says last',
    file: 'src/gateway/runs.ts',
    line: 'const link: RunLink = known ?? {',
    with: 'const link: RunLink = {',
    seenBy: runs,
  },
  {
    name: 'a retry is a repetition',
    file: 'src/gateway/loops.ts',
    line: 'return tries > 0 || Number(attempt ?? 1) > 1',
    with: 'return tries > 99 || Number(attempt ?? 1) > 99',
    seenBy: runs,
  },
  {
    name: 'a circle of agents is not seen',
    file: 'src/core/run.ts',
    line: 'return others && seen - 1 > returns ? agents : null',
    with: 'return others && seen - 9 > returns ? agents : null',
    seenBy: runs,
  },
  {
    name: 'a frozen agent goes on',
    file: 'src/core/freeze.ts',
    line: 'if (isOn && matches(',
    with: 'if (!isOn && matches(',
    seenBy: freezes,
  },
  {
    name: 'other replicas do not hear of a freeze',
    file: 'src/wiring.ts',
    line: "else if (news.kind === 'record') records.put(news.record)",
    with: "else if (news.kind === 'record') void records",
    seenBy: replicas,
  },
  {
    name: 'a soft limit is not said',
    file: 'src/core/account.ts',
    line: 'return isSoft ? thresholdAmount(rule.amount, soft) : eighty',
    with: 'return eighty',
    seenBy: quotas,
  },
  {
    name: 'asking for another environment is not told',
    file: 'src/gateway/told.ts',
    line: "if (problem.param !== 'bursar-environment' || asked === undefined) return",
    with: 'if (asked !== undefined) return',
    seenBy: freezes,
  },
  {
    name: 'what was spent before midnight is spent the day after too',
    file: 'src/core/day-book.ts',
    line: 'const own = posted - seenIn(seen, start)',
    with: 'const own = posted',
    seenBy: dayBook,
  },
  {
    name: 'the last hours of a month are on no day',
    file: 'src/core/day-book.ts',
    line: 'ended !== undefined && ended.period.end > until',
    with: 'ended !== undefined && seen === undefined',
    seenBy: dayBook,
  },
  {
    name: 'who is dearest is asked of rows that are behind',
    file: 'src/store/sqlite-accounts.ts',
    line: '[...this.durableFromRows(rows), ...own]',
    with: 'this.durableFromRows(rows)',
    seenBy: ['test/conformance/outlook.test.ts'],
  },
  {
    name: 'a run whose first call is refused comes from nowhere',
    file: 'src/core/ledger-hold.ts',
    line: 'entry: null, alerts: fired, marks }',
    with: 'entry: null, alerts: fired, marks: marks.slice(marks.length) }',
    seenBy: runs,
  },
  {
    name: 'a chain that is too long is cut off',
    file: 'src/gateway/runs.ts',
    line: 'isTooDeep: at !== null && !isSeen(at)',
    with: 'isTooDeep: false',
    seenBy: runs,
  },
  {
    name: 'a key takes the name of one of another part',
    file: 'src/control/keys.ts',
    line: 'if (namesakes.every((key) => reachesPlace(deps, actor, key))) return',
    with: 'if (namesakes.length >= 0) return',
    seenBy: ['test/e2e/tokens.test.ts'],
  },
]
