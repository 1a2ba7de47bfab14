/** Typed reads of a parsed body. No coercion: "100" is not a number, and null is not a default. */
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { WireProblem } from './dialect.ts'
import {
  type Json,
  type JsonObject,
  type Limits,
  ordinary,
  type Scanned,
  scanJson,
} from './json-scan.ts'

export type Read<Value> = Result<Value, WireProblem>

export function invalid(param: string | null, message: string): WireProblem {
  return { code: 'invalid_request', param, message }
}

export function unbounded(param: string, message: string): WireProblem {
  return { code: 'unbounded_cost', param, message }
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** The body as strict JSON with no field but the `known` ones. */
export function openBody(
  bytes: Uint8Array,
  known: ReadonlySet<string>,
  limits: Limits = ordinary,
): Read<Scanned> {
  const scanned = scanJson(bytes, limits)
  if (!scanned.ok) return failed(invalid(scanned.problem.path, scanned.problem.message))
  const stranger = onlyKnown(scanned.value.value, known)
  return stranger === null ? scanned : failed(stranger)
}

/** The names a route accepts. What is unknown may cost what nobody has bounded. */
function onlyKnown(body: JsonObject, known: ReadonlySet<string>): WireProblem | null {
  const stranger = Object.keys(body).find((name) => !known.has(name))
  if (stranger === undefined) return null
  return {
    code: 'not_allowed',
    param: stranger.slice(0, 100),
    message: `Field "${stranger.slice(0, 100)}" is not one that Bursar knows how to bound.`,
  }
}

const modelName = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/

export function readModel(value: Json | undefined): Read<string> {
  if (typeof value === 'string' && modelName.test(value)) return succeeded(value)
  return failed(invalid('model', 'model must be a plain model name, up to 128 characters.'))
}

export function readStream(value: Json | undefined): Read<boolean> {
  if (value === undefined || value === null) return succeeded(false)
  if (typeof value === 'boolean') return succeeded(value)
  return failed(invalid('stream', 'stream must be true or false.'))
}

/** A count of tokens; absent or null is null. */
export function readCap(name: string, value: Json | undefined, least = 1): Read<number | null> {
  if (value === undefined || value === null) return succeeded(null)
  if (
    typeof value === 'number' &&
    Number.isSafeInteger(value) &&
    value >= least &&
    value <= 100_000_000
  )
    return succeeded(value)
  return failed(invalid(name, `${name} must be a whole number of at least ${least}.`))
}

export function readChoices(name: string, value: Json | undefined): Read<number> {
  if (value === undefined || value === null) return succeeded(1)
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= 8) {
    return succeeded(value)
  }
  return failed(invalid(name, `${name} must be a whole number from 1 to 8.`))
}

export function textOr(value: Json | undefined): string | null {
  return typeof value === 'string' && value !== '' && value.length <= 128 ? value : null
}

/** Visits every object below `value`, parents first, without recursion. */
export function visitObjects(value: Json, visit: (object: JsonObject) => void): void {
  const waiting: Json[] = [value]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue
    if (isList(next)) waiting.push(...next)
    else if (isObject(next)) {
      visit(next)
      waiting.push(...Object.values(next))
    }
  }
}

/** Tags from a metadata object: short strings only. */
export function tagsOf(value: Json | undefined): Readonly<Record<string, string>> {
  if (!isObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 32)
      .filter((entry): entry is [string, string] => textOr(entry[1]) !== null),
  )
}

export function opening(text: string): string {
  return text.slice(0, 1024)
}

/**
 * Tokens of ordinary text: about one in four bytes. JSON's own punctuation, names and escapes count
 * as bytes of the body but hardly as tokens, so callers pass the text alone where they can.
 */
export function likelyTokens(textBytes: number): number {
  return Math.ceil(textBytes / 4)
}

/** UTF-8 bytes of every string below `value`. */
export function textBytesOf(value: Json): number {
  let bytes = 0
  const waiting: Json[] = [value]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next === 'string') bytes += Buffer.byteLength(next)
    else if (isList(next)) waiting.push(...next)
    else if (isObject(next)) waiting.push(...Object.values(next))
  }
  return bytes
}

/** A hundred times the largest context window: beyond it a number counts nothing that happened. */
const tallyMax = 1_000_000_000

/** A count as a provider reports it; null where it is not one. */
export function tally(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= tallyMax
    ? value
    : null
}

/** A part that may be left out; null where it is, and where what stands there is no count. */
export function counted(from: Reported, name: string, oddities: string[]): number | null {
  const value = from[name]
  if (value === undefined || value === null) return null
  const found = tally(value)
  if (found === null) oddities.push(`${name} is not a count`)
  return found
}

export type Reported = { readonly [key: string]: unknown }

export function reported(value: unknown): Reported | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Reported)
    : null
}

export function parseAnswer(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch {
    return null
  }
}

const saidMax = 256

/** A name that a provider gave. It is logged and kept, so its length is bounded. */
export const stringOr = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value.slice(0, saidMax) : null

const odditiesMax = 16

/** What did not add up, over the events of a stream: the first few say it all. */
export function withOddities(
  before: readonly string[],
  more: readonly string[],
): readonly string[] {
  if (more.length === 0 || before.length >= odditiesMax) return before
  return [...before, ...more].slice(0, odditiesMax)
}
