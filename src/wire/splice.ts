/**
 * Changes to a body without rewriting it: values of top-level members replaced, or members added.
 */
import { type Json, type Scanned, scanJson } from './json-scan.ts'

/** Bytes are JSON already, and stand as they are. */
export type Changes = ReadonlyMap<string, Json | Uint8Array>

/** The caller's bytes with `changes` spliced in. All other bytes are the caller's own. */
export function splice(body: Uint8Array, scanned: Scanned, changes: Changes): Uint8Array {
  if (changes.size === 0) return body
  const edits = [...changes].map(([name, value]) => {
    const text = value instanceof Uint8Array ? textOf(value) : JSON.stringify(value)
    const member = scanned.members.get(name)
    if (member !== undefined) return { start: member.start, end: member.end, text }
    const added = `${JSON.stringify(name)}:${text}`
    // Behind the opening brace, so that a body of any length needs no look at its end.
    const open = openingBrace(body)
    return { start: open, end: open, text: scanned.members.size > 0 ? `${added},` : added }
  })
  edits.sort((a, b) => a.start - b.start)
  const parts: Uint8Array[] = []
  let from = 0
  let added = false
  for (const { start, end, text } of edits) {
    parts.push(body.subarray(from, start))
    // Two members added to an empty object stand at one place and need a comma between them.
    parts.push(
      Buffer.from(start === end && added && scanned.members.size === 0 ? `,${text}` : text),
    )
    added ||= start === end
    from = end
  }
  parts.push(body.subarray(from))
  return Buffer.concat(parts)
}

/** The object in member `name` with `changes` spliced in; a new object where there is none. */
export function spliceWithin(
  body: Uint8Array,
  scanned: Scanned,
  name: string,
  changes: ReadonlyMap<string, Json>,
): Json | Uint8Array {
  const member = scanned.members.get(name)
  const inner = member === undefined ? null : body.subarray(member.start, member.end)
  const known = inner === null ? null : scanJson(inner)
  if (inner === null || known?.ok !== true) return Object.fromEntries(changes)
  return splice(inner, known.value, changes)
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

function openingBrace(body: Uint8Array): number {
  return body.indexOf(0x7b) + 1
}
