/** Bugs planted in config as code, replay, reviews, bills and their reconciliation. */
import type { Mutant } from './mutants-shell.ts'

const config = ['test/e2e/config.test.ts']
const effect = ['src/core/effect.test.ts']
const replay = ['test/conformance/replay.test.ts']
const reviews = ['src/core/review.test.ts']
const month = ['test/conformance/reconcile.test.ts']
const bills = ['test/e2e/bills.test.ts']

export const deskMutants: readonly Mutant[] = [
  {
    name: 'a lowered budget looks harmless',
    file: 'src/core/effect.ts',
    line: 'const then = climb(rearm(account, rule, now).account, rule, now).account',
    with: 'const then = account',
    seenBy: effect,
  },
  {
    name: 'a diff shows a secret',
    file: 'src/core/config-diff.ts',
    line: "if (isSecret(value)) return exact ? `secret:${value.reveal()}` : '(secret)'",
    with: 'if (isSecret(value)) return value.reveal()',
    seenBy: effect,
  },
  {
    name: 'somebody else’s change is overwritten',
    file: 'src/control/config.ts',
    line: 'if (present.version !== version) {',
    with: 'if (present.version === "") {',
    seenBy: config,
  },
  {
    name: 'a config that is sent may read any file',
    file: 'src/config-home.ts',
    line: 'if (isShown === true || (isShown === false && isSecret(at))) return true',
    with: 'if (at !== null) return true',
    seenBy: config,
  },
  {
    name: 'what is read for a credential may be shown',
    file: 'src/config-home.ts',
    line: 'if (isShown === true || (isShown === false && isSecret(at))) return true',
    with: 'if (isShown !== undefined) return true',
    seenBy: config,
  },
  {
    name: 'two decide on one override',
    file: 'src/control/overrides.ts',
    line: "once: `decided-${after.id.slice('ovr_'.length)}`,",
    with: '',
    seenBy: ['test/e2e/at-once.test.ts'],
  },
  {
    name: 'a replay lifts limits before anybody approved it',
    file: 'src/core/replay.ts',
    line: '({ decidedAt }) => decidedAt !== null && decidedAt <= at,',
    with: '() => true,',
    seenBy: replay,
  },
  {
    name: 'who has no room waits for a slot',
    file: 'src/core/ledger-hold.ts',
    line: 'const paced = isFinal ? null : slowest(lines, now)',
    with: 'const paced = slowest(lines, now)',
    seenBy: ['test/conformance/stores.test.ts'],
  },
  {
    name: 'an empty file takes all limits away',
    file: 'src/config/load.ts',
    line: 'if (problems.length === 0 && documents.every(({ value }) => isEmpty(value))) {',
    with: 'if (problems.length > 99) {',
    seenBy: config,
  },
  {
    name: 'a new budget is not counted for the look ahead',
    file: 'src/control/config-effect.ts',
    line: 'for (const account of counted.accounts) accounts.set(account.key, account)',
    with: 'void counted',
    seenBy: config,
  },
  {
    name: 'files that change are not read again',
    file: 'src/config-in-force.ts',
    line: 'if (!atRest || now === loaded) continue',
    with: 'if (now !== "") continue',
    seenBy: config,
  },
  {
    name: 'a replay forgets that a call ended',
    file: 'src/core/replay.ts',
    line: "if (next.kind === 'ask') ask(replay, next.past, next.at)\n    else end(replay, next.past, next.at)",
    with: "if (next.kind === 'ask') ask(replay, next.past, next.at)",
    seenBy: replay,
  },
  {
    name: 'a replay charges what was voided',
    file: 'src/core/replay.ts',
    line: "past.state === 'voided'\n      ? { kind: 'void', ...id }",
    with: "past.state === 'pending'\n      ? { kind: 'void', ...id }",
    seenBy: replay,
  },
  {
    name: 'a replay reports what came before',
    file: 'src/core/replay.ts',
    line: 'if (at >= from) tally.alerts.push(...alerts)',
    with: 'tally.alerts.push(...alerts)',
    seenBy: replay,
  },
  {
    name: 'nobody else hears of a review that is late',
    file: 'src/core/review.ts',
    line: 'if (state.overdueDays >= escalateAfterDays) {',
    with: 'if (state.overdueDays >= 1000) {',
    seenBy: reviews,
  },
  {
    name: 'traffic past the gateway is taken for ours',
    file: 'src/core/own-keys.ts',
    line: 'if (names.length < 2 ||',
    with: 'if (names.length < 99 ||',
    seenBy: month,
  },
  {
    name: 'a call over midnight is unexplained',
    file: 'src/core/reconcile.ts',
    line: 'variances.push(...presumptions(open), ...classes(open), ...midnights(open))',
    with: 'variances.push(...presumptions(open), ...classes(open))',
    seenBy: month,
  },
  {
    name: 'what was never told is unexplained',
    file: 'src/core/reconcile.ts',
    line: 'variances.push(...presumptions(open), ...classes(open), ...midnights(open))',
    with: 'variances.push(...classes(open), ...midnights(open))',
    seenBy: month,
  },
  {
    name: 'a correction is given to each call whole',
    file: 'src/core/true-up.ts',
    line: 'const share = (purse.left * cost) / purse.weight',
    with: 'const share = purse.left',
    seenBy: month,
  },
  {
    name: 'a corrected call forgets which part was corrected',
    file: 'src/core/metered.ts',
    line: 'cost: (billed?.get(kind) ?? parts[i] ?? 0n) as Nanos,',
    with: 'cost: (parts[i] ?? 0n) as Nanos,',
    seenBy: bills,
  },
  {
    name: 'a newer bill is added to the older one',
    file: 'src/control/bills.ts',
    line: 'for (const what of own) taken.add(`${bill.account} ${what}`)',
    with: 'void taken',
    seenBy: bills,
  },
  {
    name: 'a closed month is changed',
    file: 'src/control/months.ts',
    line: 'if (!closedMonths(deps).has(month)) return',
    with: 'if (closedMonths(deps).size >= 0) return',
    seenBy: bills,
  },
]
