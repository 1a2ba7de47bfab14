/**
 * OTLP as JSON: 64-bit numbers are strings there, ids are hex. What is unknown is passed over, as
 * the specification asks; what has the wrong shape is said.
 */
import { failed, type Result, succeeded } from '#lib/result.ts'
import {
  type Decoded,
  isWanted,
  recordsMax,
  type Scalar,
  type Signal,
  type TelemetryRecord,
  valueMax,
} from './telemetry.ts'

type Node = Readonly<Record<string, unknown>>

/** The names under which each signal nests: resource, scope, record. */
const nesting = {
  traces: ['resourceSpans', 'scopeSpans', 'spans'],
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
} as const

/** The problem is for the caller: what has the wrong shape. */
export function decodeJson(signal: Signal, text: string): Result<Decoded, string> {
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    return failed('the body is not valid JSON')
  }
  if (!isNode(root)) return failed('the body is not an object')
  const [resources, scopes, items] = nesting[signal]
  const records: TelemetryRecord[] = []
  let left = 0
  for (const [i, resource] of listOf(root[resources]).entries()) {
    if (!isNode(resource)) return failed(`${resources}[${i}] is not an object`)
    for (const [j, scope] of listOf(resource[scopes]).entries()) {
      if (!isNode(scope)) return failed(`${resources}[${i}].${scopes}[${j}] is not an object`)
      for (const [k, item] of listOf(scope[items]).entries()) {
        if (!isNode(item)) {
          return failed(`${resources}[${i}].${scopes}[${j}].${items}[${k}] is not an object`)
        }
        if (records.length < recordsMax) records.push(recordOf(signal, item))
        else left += 1
      }
    }
  }
  return succeeded({ records, left })
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

function recordOf(signal: Signal, item: Node): TelemetryRecord {
  const attributes = attributesOf(item.attributes)
  const ids = { traceId: hexOf(item.traceId), spanId: hexOf(item.spanId) }
  if (signal === 'traces') {
    const [startMs, endMs] = [msOf(item.startTimeUnixNano), msOf(item.endTimeUnixNano)]
    return { signal, name: textOf(item.name), ...ids, startMs, endMs, attributes }
  }
  const body = isNode(item.body) ? textOf(item.body.stringValue) : ''
  const name = textOf(item.eventName) || body
  const at = msOf(isSet(item.timeUnixNano) ? item.timeUnixNano : item.observedTimeUnixNano)
  return { signal, name, ...ids, startMs: at, endMs: at, attributes }
}

const isSet = (nanos: unknown): boolean => nanos !== undefined && nanos !== '0' && nanos !== 0

const textOf = (value: unknown): string =>
  typeof value === 'string' && value.length <= valueMax ? value : ''

const hexOf = (value: unknown): string => textOf(value).toLowerCase()

function msOf(nanos: unknown): number {
  if (typeof nanos === 'number')
    return Number.isSafeInteger(Math.trunc(nanos / 1e6)) ? nanos / 1e6 : NaN
  return typeof nanos === 'string' && /^\d{1,20}$/.test(nanos) ? Number(nanos) / 1e6 : NaN
}

function attributesOf(list: unknown): TelemetryRecord['attributes'] {
  const out = new Map<string, Scalar>()
  for (const one of listOf(list)) {
    if (!isNode(one) || typeof one.key !== 'string' || !isWanted(one.key)) continue
    const value = isNode(one.value) ? scalarOf(one.value) : null
    if (value !== null) out.set(one.key, value)
  }
  return out
}

function scalarOf({ stringValue, intValue, doubleValue, boolValue }: Node): Scalar | null {
  if (typeof stringValue === 'string') return stringValue.length <= valueMax ? stringValue : null
  if (typeof boolValue === 'boolean') return boolValue
  const number = intValue ?? doubleValue
  if (typeof number === 'number') return number
  return typeof number === 'string' && /^-?\d{1,19}$/.test(number) ? Number(number) : null
}
