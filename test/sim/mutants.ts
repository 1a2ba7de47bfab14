/**
 * Bugs planted on purpose: each is a line that somebody could write on a bad day, and each must be
 * seen by a check. `npm run mutants` plants them one by one in a copy; `mutants.md` is what it
 * said.
 */
import { deskMutants } from './mutants-desk.ts'
import { governanceMutants } from './mutants-governance.ts'
import { replicaMutants } from './mutants-replicas.ts'
import { type Mutant, shellMutants } from './mutants-shell.ts'

const ledger = 'src/core/ledger.ts'
const hold = 'src/core/ledger-hold.ts'
const stores = ['test/conformance/stores.test.ts']
const quotes = ['src/core/quote.test.ts', 'src/wire/bounds.test.ts']
const usage = ['test/golden/usage.test.ts']
const time = ['src/core/time.test.ts']
const money = ['src/core/money.test.ts', 'src/core/quote.test.ts']

const coreMutants: readonly Mutant[] = [
  {
    name: 'the limit is passed by one unit',
    file: hold,
    line: 'amountOf(rule.unit, amounts) <= available) continue',
    with: 'amountOf(rule.unit, amounts) <= available + 1_000_000n) continue',
  },
  {
    name: 'pending money does not count',
    file: 'src/core/account.ts',
    line: 'return limit + relief.extra - account.posted - account.pending',
    with: 'return limit + relief.extra - account.posted',
  },
  {
    name: 'posted money does not count',
    file: 'src/core/account.ts',
    line: 'return limit + relief.extra - account.posted - account.pending',
    with: 'return limit + relief.extra - account.pending',
  },
  {
    name: 'one account above the call is skipped',
    file: hold,
    line: 'for (const line of lines) {\n    const { account, rule, relief } = line\n    const available',
    with: 'for (const line of lines.slice(1)) {\n    const { account, rule, relief } = line\n    const available',
    seenBy: stores,
  },
  {
    name: 'a hold is not added to pending',
    file: hold,
    line: 'return post(account, change, paceAfter(line, now))',
    with: 'return post(account, { posted: 0n, pending: 0n }, paceAfter(line, now))',
  },
  {
    name: 'an ending leaves pending behind',
    file: ledger,
    line: 'pending: wasPending ? -line.amount : 0n,',
    with: 'pending: wasPending ? -line.amount / 2n : 0n,',
  },
  {
    name: 'a second ending posts again',
    file: ledger,
    line: "if (hold.state !== 'pending') {\n    const same",
    with: "if (hold.state === 'expired') {\n    const same",
  },
  {
    name: 'a void after the settlement gives the money back',
    file: ledger,
    line: "if (hold.state !== 'pending') return unchanged(state, { status: 'hold_already_resolved', hold })\n  return end(\n    state,\n    { ...hold, facts: { ...hold.facts, ...facts } },",
    with: 'return end(\n    state,\n    { ...hold, facts: { ...hold.facts, ...facts } },',
    seenBy: stores,
  },
  {
    name: 'an orphan is free',
    file: ledger,
    line: "state: 'expired',\n      cost: hold.amount,",
    with: "state: 'expired',\n      cost: 0n as Nanos,",
  },
  {
    name: 'an adjustment posts the whole amount, not the difference',
    file: ledger,
    line: 'posted: posted - (line.posted ?? 0n),',
    with: 'posted,',
  },
  {
    name: 'late usage does not correct what was presumed',
    file: ledger,
    line: "if (hold.basis !== 'presumed' || command.basis !== 'actual') {",
    with: "if (hold.basis !== 'presumed' || command.basis === 'actual') {",
    seenBy: stores,
  },
  {
    name: 'a repeated hold is taken twice',
    file: hold,
    line: 'if (state.hold !== null) return repeatOf(state, state.hold, command)',
    with: "if (state.hold !== null && state.hold.state !== 'pending') return repeatOf(state, state.hold, command)",
  },
  {
    name: 'an override never ends',
    file: 'src/core/override.ts',
    line: "return override.state === 'approved' && now < override.until",
    with: "return override.state === 'approved'",
    seenBy: stores,
  },
  {
    name: 'an override that was only asked for counts',
    file: 'src/core/override.ts',
    line: "return override.state === 'approved' && now < override.until",
    with: 'return now < override.until',
    seenBy: ['src/core/override.test.ts'],
  },
  {
    name: 'a threshold fires on every call',
    file: 'src/core/ladder.ts',
    line: 'if (crossed && !known) {',
    with: 'if (crossed) {',
    seenBy: stores,
  },
  {
    name: 'a throttle never lets go of its first slot',
    file: 'src/core/pace.ts',
    line: 'return { ...throttle, nextAt: instant(from + stepMs(throttle)) }',
    with: 'return throttle',
    seenBy: stores,
  },
  {
    name: 'money is rounded down',
    file: 'src/core/money.ts',
    line: 'return nanos((picos + 999n) / 1000n)',
    with: 'return nanos(picos / 1000n)',
    seenBy: money,
  },
  {
    name: 'money is rounded half up',
    file: 'src/core/money.ts',
    line: 'return nanos((picos + 999n) / 1000n)',
    with: 'return nanos((picos + 500n) / 1000n)',
    seenBy: money,
  },
  {
    name: 'the long-context band begins one token early',
    file: 'src/core/charge.ts',
    line: 'if (prompt > next.abovePromptTokens) band = next',
    with: 'if (prompt >= next.abovePromptTokens) band = next',
    seenBy: ['src/core/quote.test.ts', 'test/conformance/price-oracle.test.ts'],
  },
  {
    name: 'the quote forgets n',
    file: 'src/core/quote.ts',
    line: 'const picosPerOutputToken = output * BigInt(shape.choices)',
    with: 'const picosPerOutputToken = output',
    seenBy: quotes,
  },
  {
    name: 'the quote forgets cache writes',
    file: 'src/core/quote.ts',
    line: 'const text = [...textMeters, ...writeMeters(shape)]',
    with: 'const text = textMeters',
    seenBy: quotes,
  },
  {
    name: 'the quote forgets thinking outside the cap',
    file: 'src/core/quote.ts',
    line: 'atDearest(shape.thinkingOutsideCap * shape.choices',
    with: 'atDearest(0 * shape.choices',
    seenBy: quotes,
  },
  {
    name: 'the quote forgets that tools read the prompt again',
    file: 'src/core/quote.ts',
    line: 'const text = once * (uses + 1)',
    with: 'const text = once',
    seenBy: quotes,
  },
  {
    name: 'hidden input is free',
    file: 'src/core/quote.ts',
    line: 'const once = shape.hiddenInput || uses > 0 ? window',
    with: 'const once = uses > 0 ? window',
    seenBy: quotes,
  },
  {
    name: 'the tier of the answer is ignored',
    file: 'src/core/charge.ts',
    line: 'tier: report.tier ?? context.tier,',
    with: 'tier: context.tier,',
    seenBy: ['src/core/quote.test.ts', 'test/e2e/providers.test.ts', 'test/golden/usage.test.ts'],
  },
  {
    name: 'a day has 24 hours',
    file: 'src/core/time.ts',
    line: 'return { start: midnight(first, timeZone), end: midnight(next, timeZone) }',
    with: "return kind === 'day' ? { start: midnight(first, timeZone), end: instant(midnight(first, timeZone) + 86_400_000) } : { start: midnight(first, timeZone), end: midnight(next, timeZone) }",
    seenBy: time,
  },
  {
    name: 'a period holds its own end',
    file: 'src/core/time.ts',
    line: 'if (last !== undefined && last.start <= at && at < last.end) return last',
    with: 'if (last !== undefined && last.start <= at && at <= last.end) return last',
    seenBy: time,
  },
  {
    name: 'cached tokens are not seen',
    file: 'src/wire/openai-usage.ts',
    line: 'cached_tokens',
    with: 'cached_tokenz',
    seenBy: usage,
  },
]

export const mutants: readonly Mutant[] = [
  ...coreMutants,
  ...shellMutants,
  ...replicaMutants,
  ...governanceMutants,
  ...deskMutants,
]
