/** Holds of a ledger as chance has them, for exports: every way a call may end. */
import fc from 'fast-check'
import type { Hold } from '#core/journal.ts'
import { formatUsd, type Nanos, roundPicosUp } from '#core/money.ts'
import { instant } from '#core/time.ts'
import { meters } from '#core/usage.ts'
import { holdId, nobody } from './ledger.ts'

const name = fc.constantFrom(null, 'care', 'sales', '=HYPERLINK("x")', 'Müller, "Søn"', '研究', 'a')
const line = fc.record({
  meter: fc.constantFrom(...meters),
  quantity: fc.integer({ min: 1, max: 3_000_000 }),
  picos: fc.bigInt({ min: 0n, max: 90_000_000n }),
  multiplier: fc.constantFrom([1n, 1n], [1n, 2n], [11n, 10n], [5n, 2n]),
})

/** Made within the two days after `start`; money within what an invoice of a month has. */
export const holdsArb = (start: number): fc.Arbitrary<Hold> =>
  fc
    .record({
      no: fc.nat(999_999),
      at: fc.nat(48 * 3_600_000 - 1),
      ending: fc.constantFrom(
        'actual',
        'actual',
        'presumed',
        'adjusted',
        'voided',
        'pending',
        'free',
      ),
      lines: fc.uniqueArray(line, { selector: ({ meter }) => meter, minLength: 1, maxLength: 6 }),
      off: fc.bigInt({ min: -5_000_000n, max: 5_000_000n }),
      who: fc.record({
        business_unit: name,
        team: name,
        agent: name,
        environment: name,
        key: name,
      }),
      model: fc.constantFrom('gpt-5-mini', 'claude-haiku-4-5', 'local-llama'),
      provider: fc.constantFrom('openai', 'anthropic', 'house'),
      tier: fc.constantFrom(null, 'standard', 'batch'),
    })
    .map(({ no, at, ending, lines, off, who, model, provider, tier }): Hold => {
      const picos = lines.reduce((sum, { quantity, picos: unit, multiplier: [over, under] }) => {
        const whole = BigInt(quantity) * unit * (over ?? 1n)
        return sum + (whole + (under ?? 1n) - 1n) / (under ?? 1n)
      }, 0n)
      const charged = roundPicosUp(picos)
      const adjusted = (charged + off < 0n ? 0n : charged + off) as Nanos
      const charge = lines.map(({ meter, quantity, picos: unit, multiplier: [over, under] }) => ({
        meter,
        quantity,
        usd_per_million: formatUsd((unit * 1000n) as Nanos),
        ...(over === under ? {} : { multiplier: `${over}/${under}` }),
      }))
      const usage = Object.fromEntries(lines.map(({ meter, quantity }) => [meter, quantity]))
      const isOpen = ending === 'pending' || ending === 'voided'
      const madeAt = instant(start + at)
      return {
        id: holdId(no),
        call: `call_${no}` as Hold['call'],
        state: ending === 'pending' || ending === 'voided' ? ending : 'settled',
        lines: [],
        attribution: { ...nobody, ...who, model, provider },
        amount: charged,
        tokens: 1000,
        outputCap: 100,
        cost:
          isOpen || ending === 'free' ? (0n as Nanos) : ending === 'adjusted' ? adjusted : charged,
        basis: ending === 'presumed' ? 'presumed' : ending === 'voided' ? 'nothing' : 'actual',
        madeAt,
        expiresAt: madeAt,
        endedAt: ending === 'pending' ? null : madeAt,
        facts:
          ending === 'presumed'
            ? { usage: {} }
            : { usage, tier, charge: ending === 'free' ? [] : charge },
      }
    })
