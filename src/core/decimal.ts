/**
 * Exact decimals of any length. A provider's bill has lines of more than nine places (one token of
 * a cheap model), and Bursar must add them up to the last digit of the invoice, so ledger money
 * (`Nanos`) is too coarse for them. No float is ever made on the way.
 */
import { assert } from '#lib/assert.ts'
import { type Nanos, nanos } from './money.ts'

/** `digits / 10^places`. `places` is never negative; trailing zeros carry no meaning. */
export interface Decimal {
  readonly digits: bigint
  readonly places: number
}

export const decimalZero: Decimal = { digits: 0n, places: 0 }

/** Beyond this an exponent is a mistake or an attack: no price has 60 places. */
const placesMax = 60

const shape = /^([-+]?)(\d{1,60})?(?:\.(\d{0,60}))?(?:[eE]([-+]?\d{1,2}))?$/

/** "-12.50", "1.5e-7", ".5" → exactly that. Null when it is not a plain number. */
export function parseDecimal(text: string): Decimal | null {
  const match = shape.exec(text)
  if (match === null) return null
  const [, sign, whole = '', fraction = '', exponent = '0'] = match
  if (whole === '' && fraction === '') return null
  const size = BigInt(whole + fraction)
  const places = fraction.length - Number(exponent)
  if (places > placesMax || places < -placesMax) return null
  const digits = sign === '-' ? -size : size
  return places >= 0 ? { digits, places } : { digits: digits * powerOfTen(-places), places: 0 }
}

const powers: bigint[] = [1n]

/** 10^n, from memory: sums of millions of lines need it each time. */
function powerOfTen(n: number): bigint {
  for (let have = powers.length; have <= n; have += 1) powers.push((powers.at(-1) ?? 1n) * 10n)
  return powers[n] ?? 1n
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.places === b.places) return { digits: a.digits + b.digits, places: a.places }
  const [coarse, fine] = a.places < b.places ? [a, b] : [b, a]
  const digits = coarse.digits * powerOfTen(fine.places - coarse.places) + fine.digits
  return { digits, places: fine.places }
}

export const negateDecimal = (a: Decimal): Decimal => ({ digits: -a.digits, places: a.places })

export const subtractDecimals = (a: Decimal, b: Decimal): Decimal =>
  addDecimals(a, negateDecimal(b))

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  return { digits: a.digits * b.digits, places: a.places + b.places }
}

export const timesWhole = (a: Decimal, n: bigint): Decimal => ({
  digits: a.digits * n,
  places: a.places,
})

/** Negative, zero or positive, as `a` is below, equal to or above `b`. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const { digits } = subtractDecimals(a, b)
  return digits < 0n ? -1 : digits > 0n ? 1 : 0
}

export const isZero = (a: Decimal): boolean => a.digits === 0n

/** `a / by` to `places` decimals, halves away from zero: for showing, never for adding up. */
export function divideDecimal(a: Decimal, by: bigint, places: number): Decimal {
  assert(by > 0n, 'a divisor is positive')
  const scaled = a.digits * powerOfTen(places)
  const whole = by * powerOfTen(a.places)
  const size = scaled < 0n ? -scaled : scaled
  const rounded = (2n * size + whole) / (2n * whole)
  return { digits: scaled < 0n ? -rounded : rounded, places }
}

/** "1.5", "-0.25", "3": without trailing zeros, so equal amounts are equal strings. */
export function formatDecimal({ digits, places }: Decimal): string {
  const sign = digits < 0n ? '-' : ''
  const text = (digits < 0n ? -digits : digits).toString().padStart(places + 1, '0')
  const cut = text.length - places
  const fraction = text.slice(cut).replace(/0+$/, '')
  return `${sign}${text.slice(0, cut)}${fraction === '' ? '' : `.${fraction}`}`
}

/** The nearest nano-dollar, for showing and for intervals; exact sums stay decimals. */
export function nearestNanos(a: Decimal): Nanos {
  return nanos(divideDecimal(a, 1n, 9).digits)
}

/** For statistics only. */
export const approximately = (a: Decimal): number => Number(formatDecimal(a))
