/**
 * OTLP as protobuf. The library reads the encoding; the numbers of the few fields that are read
 * stand here, from opentelemetry-proto 1.x, which may only add to them.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
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

/** The problem is for the caller. */
export function decodeProto(signal: Signal, body: Uint8Array): Result<Decoded, string> {
  const records: TelemetryRecord[] = []
  let left = 0
  try {
    for (const resource of messages(body, 1)) {
      for (const scope of messages(resource, 2)) {
        for (const item of messages(scope, 2)) {
          if (records.length < recordsMax) records.push(recordOf(signal, item))
          else left += 1
        }
      }
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return failed(`the body is not OTLP protobuf: ${reason.slice(0, 200)}`)
  }
  return succeeded({ records, left })
}

type Field = (reader: BinaryReader, wire: WireType) => void

/** Calls `fields` by number; others are passed over. Throws where the bytes make no sense. */
function read(bytes: Uint8Array, fields: Readonly<Record<number, Field>>): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag()
    // Groups nest without a length: nobody sends them, and reading them is recursion.
    if (wire === WireType.StartGroup || wire === WireType.EndGroup) throw new Error('a group')
    const field = Object.hasOwn(fields, number) ? fields[number] : undefined
    if (field === undefined) reader.skip(wire, number)
    else field(reader, wire)
  }
}

function* messages(bytes: Uint8Array, number: number): Iterable<Uint8Array> {
  const found: Uint8Array[] = []
  read(bytes, { [number]: (reader, wire) => void found.push(bytesOf(reader, wire)) })
  yield* found
}

function bytesOf(reader: BinaryReader, wire: WireType): Uint8Array {
  if (wire !== WireType.LengthDelimited) throw new Error('a field of the wrong type')
  return reader.bytes()
}

/** Text of at most so many characters; longer: empty. */
function textOf(reader: BinaryReader, wire: WireType): string {
  const bytes = bytesOf(reader, wire)
  return bytes.byteLength > valueMax ? '' : new TextDecoder().decode(bytes)
}

const hexOf = (bytes: Uint8Array): string =>
  [...bytes.subarray(0, 32)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

function nanosOf(reader: BinaryReader, wire: WireType): number {
  if (wire !== WireType.Bit64) throw new Error('a time of the wrong type')
  return Number(reader.fixed64()) / 1e6
}

interface Draft {
  name: string
  event: string
  body: string
  traceId: string
  spanId: string
  start: number
  end: number
  readonly attributes: Map<string, Scalar>
}

function recordOf(signal: Signal, bytes: Uint8Array): TelemetryRecord {
  const draft: Draft = {
    name: '',
    event: '',
    body: '',
    traceId: '',
    spanId: '',
    start: 0,
    end: 0,
    attributes: new Map(),
  }
  read(bytes, signal === 'traces' ? spanFields(draft) : logFields(draft))
  const { traceId, spanId, attributes, start, end } = draft
  if (signal === 'traces') {
    return { signal, name: draft.name, traceId, spanId, startMs: start, endMs: end, attributes }
  }
  const at = start === 0 ? end : start
  const name = draft.event || draft.body
  return { signal, name, traceId, spanId, startMs: at, endMs: at, attributes }
}

function set(draft: Draft, values: Partial<Draft>): void {
  Object.assign(draft, values)
}

function spanFields(draft: Draft): Readonly<Record<number, Field>> {
  return {
    1: (reader, wire) => set(draft, { traceId: hexOf(bytesOf(reader, wire)) }),
    2: (reader, wire) => set(draft, { spanId: hexOf(bytesOf(reader, wire)) }),
    5: (reader, wire) => set(draft, { name: textOf(reader, wire) }),
    7: (reader, wire) => set(draft, { start: nanosOf(reader, wire) }),
    8: (reader, wire) => set(draft, { end: nanosOf(reader, wire) }),
    9: (reader, wire) => addAttribute(draft, bytesOf(reader, wire)),
  }
}

/** `end` is the time at which it was observed. */
function logFields(draft: Draft): Readonly<Record<number, Field>> {
  return {
    1: (reader, wire) => set(draft, { start: nanosOf(reader, wire) }),
    5: (reader, wire) => {
      const body = scalarOf(bytesOf(reader, wire))
      if (typeof body === 'string') draft.body = body
    },
    6: (reader, wire) => addAttribute(draft, bytesOf(reader, wire)),
    9: (reader, wire) => set(draft, { traceId: hexOf(bytesOf(reader, wire)) }),
    10: (reader, wire) => set(draft, { spanId: hexOf(bytesOf(reader, wire)) }),
    11: (reader, wire) => set(draft, { end: nanosOf(reader, wire) }),
    12: (reader, wire) => set(draft, { event: textOf(reader, wire) }),
  }
}

function addAttribute({ attributes }: Draft, bytes: Uint8Array): void {
  let key = ''
  let value: Uint8Array | null = null
  read(bytes, {
    1: (reader, wire) => {
      key = textOf(reader, wire)
    },
    2: (reader, wire) => {
      value = bytesOf(reader, wire)
    },
  })
  if (!isWanted(key) || value === null) return
  const scalar = scalarOf(value)
  if (scalar !== null) attributes.set(key, scalar)
}

/** Lists, maps and bytes are passed over: nothing that is read is one. */
function scalarOf(bytes: Uint8Array): Scalar | null {
  let scalar: Scalar | null = null
  const varint = (wire: WireType): void => {
    if (wire !== WireType.Varint) throw new Error('a number of the wrong type')
  }
  read(bytes, {
    1: (reader, wire) => {
      const text = bytesOf(reader, wire)
      if (text.byteLength <= valueMax) scalar = new TextDecoder().decode(text)
    },
    2: (reader, wire) => {
      varint(wire)
      scalar = reader.bool()
    },
    3: (reader, wire) => {
      varint(wire)
      scalar = Number(reader.int64())
    },
    4: (reader, wire) => {
      if (wire !== WireType.Bit64) throw new Error('a number of the wrong type')
      scalar = reader.double()
    },
  })
  return scalar
}

/** `Export...ServiceResponse` with its partial success; empty where everything was taken. */
export function encodeTaken(rejected: number, message: string): Uint8Array {
  const writer = new BinaryWriter()
  if (rejected === 0 && message === '') return writer.finish()
  const partial = new BinaryWriter()
  if (rejected > 0) partial.tag(1, WireType.Varint).int64(rejected)
  if (message !== '') partial.tag(2, WireType.LengthDelimited).string(message)
  return writer.tag(1, WireType.LengthDelimited).bytes(partial.finish()).finish()
}

/** `google.rpc.Status`. */
export function encodeStatus(code: number, message: string): Uint8Array {
  const writer = new BinaryWriter()
  return writer
    .tag(1, WireType.Varint)
    .int32(code)
    .tag(2, WireType.LengthDelimited)
    .string(message)
    .finish()
}
