import { assert } from '#lib/assert.ts'

declare const unit: unique symbol

/** Ledger money: nano-USD. An int64 of it holds 9.2 billion dollars. */
export type Nanos = bigint & { readonly [unit]: 'nano_usd' }

/** A unit price: pico-USD per unit, so $0.000001 per million tokens is still a whole number. */
export type PicosPerUnit = bigint & { readonly [unit]: 'pico_usd_per_unit' }

/** An exact multiplier, such as 11/10 for a regional surcharge. */
export interface Ratio {
  readonly numerator: bigint
  readonly denominator: bigint
}

export const nanosMax = 9_223_372_036_854_775_807n

export function nanos(value: bigint): Nanos {
  assert(value <= nanosMax && value >= -nanosMax, 'beyond int64', value)
  return value as Nanos
}

export const picosPerUnit = (value: bigint): PicosPerUnit => value as PicosPerUnit
export const zero = nanos(0n)
export const add = (a: Nanos, b: Nanos): Nanos => nanos(a + b)
export const subtract = (a: Nanos, b: Nanos): Nanos => nanos(a - b)
export const max = (a: Nanos, b: Nanos): Nanos => (a > b ? a : b)
export const min = (a: Nanos, b: Nanos): Nanos => (a < b ? a : b)

/** The only rounding in the system: once per charge, up, so that we never under-count. */
export function roundPicosUp(picos: bigint): Nanos {
  assert(picos >= 0n, 'cost is never negative')
  return nanos((picos + 999n) / 1000n)
}

/** "12.50" → 12_500_000_000n nano-USD. Null when not a plain decimal of at most 9 places. */
export function parseUsd(text: string): Nanos | null {
  const match = /^(-?)(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text)
  if (match === null) return null
  const [, sign = '', whole = '', fraction = ''] = match
  const size = BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))
  return nanos(sign === '-' ? -size : size)
}

/** "2.50" dollars per million units → 2_500_000n pico-USD per unit. */
export function parseUsdPerMillion(text: string): PicosPerUnit | null {
  const match = /^(\d{1,6})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) return null
  const [, whole = '', fraction = ''] = match
  return picosPerUnit(BigInt(whole + fraction.padEnd(6, '0')))
}

/** 2_500_000n pico-USD per unit → "2.5" dollars per million units. */
export function formatUsdPerMillion(picos: PicosPerUnit): string {
  const digits = picos.toString().padStart(7, '0')
  const fraction = digits.slice(-6).replace(/0+$/, '')
  return fraction === '' ? digits.slice(0, -6) : `${digits.slice(0, -6)}.${fraction}`
}

/** "1.1" → 11/10. Null when not a plain non-negative decimal of at most 9 places. */
export function parseRatio(text: string): Ratio | null {
  const match = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text)
  if (match === null) return null
  const [, whole = '', fraction = ''] = match
  return { numerator: BigInt(whole + fraction), denominator: 10n ** BigInt(fraction.length) }
}

export const one: Ratio = { numerator: 1n, denominator: 1n }

/** `amount x ratio`, rounded down: for limits, where down is the safe side. */
export function scaleDown(amount: Nanos, by: Ratio): Nanos {
  return nanos((amount * by.numerator) / by.denominator)
}

/** The API's form of money: always nine places, so that equal amounts are equal strings. */
export function formatUsd(amount: Nanos): string {
  const sign = amount < 0n ? '-' : ''
  const digits = (amount < 0n ? -amount : amount).toString().padStart(10, '0')
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** For people: "$1,203.11", or as many places as it takes to show a small amount. */
export function formatUsdShort(amount: Nanos): string {
  const sign = amount < 0n ? '-' : ''
  const size = amount < 0n ? -amount : amount
  const places = size === 0n || size >= 10_000_000n ? 2 : size >= 10_000n ? 6 : 9
  const step = 10n ** BigInt(9 - places)
  const rounded = ((size + step / 2n) / step) * step
  const [whole = '', fraction = ''] = formatUsd(rounded as Nanos).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return `${sign}$${grouped}.${fraction.slice(0, places)}`
}

/** `part / whole` in percent with one decimal, rounded down, as text: "83.1". */
export function formatPercent(part: bigint, whole: bigint): string {
  if (whole <= 0n) return part > 0n ? '100.0' : '0.0'
  const tenths = (part * 1000n) / whole
  const sign = tenths < 0n ? '-' : ''
  const size = tenths < 0n ? -tenths : tenths
  return `${sign}${size / 10n}.${size % 10n}`
}
