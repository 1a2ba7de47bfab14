import { expect, test } from 'vitest'
import type { Client } from '#ports/client.ts'
import { Replays, type Slot, type SlotId } from './replays.ts'

const body = Buffer.from('{}')
const now = 1_800_000_000_000

function slotOf(slot: Slot): SlotId {
  if (slot.kind !== 'fresh') throw new Error(slot.kind)
  return slot.of
}

/** Answers a call whole. */
function answer(replays: Replays, of: SlotId, text = 'ok', type = 'application/json'): void {
  const sink: Client = {
    gone: false,
    started: false,
    start: () => {},
    write: () => true,
    end: () => {},
    destroy: () => {},
    onDrain: () => {},
    onGone: () => {},
  }
  const client = replays.recording(sink, of)
  client.start(200, { 'content-type': type })
  client.write(Buffer.from(text))
  client.end()
}

test('one key makes none of another key be forgotten', () => {
  const replays = new Replays({ entriesPerKeyMax: 3, entriesMax: 100 })
  answer(replays, slotOf(replays.claim('a', '/', 'order', body, now)))
  for (let no = 0; no < 50; no += 1) {
    answer(replays, slotOf(replays.claim('b', '/', String(no), body, now)))
  }
  expect(replays.claim('a', '/', 'order', body, now).kind).toBe('replay')
  // Of its own, the oldest went.
  expect(replays.claim('b', '/', '49', body, now).kind).toBe('replay')
  expect(replays.claim('b', '/', '46', body, now).kind).toBe('fresh')
})

test('a call under way is not forgotten: there is no room for another instead', () => {
  const replays = new Replays({ entriesPerKeyMax: 2, entriesMax: 3 })
  const first = slotOf(replays.claim('a', '/', '1', body, now))
  replays.claim('a', '/', '2', body, now)
  expect(replays.claim('a', '/', '3', body, now).kind).toBe('too_many')
  replays.claim('b', '/', '1', body, now)
  expect(replays.claim('c', '/', '1', body, now).kind).toBe('too_many')
  expect(replays.claim('a', '/', '1', body, now).kind).toBe('in_flight')
  answer(replays, first)
  expect(replays.claim('c', '/', '1', body, now).kind).toBe('fresh')
})

test('what cost nothing may be made again, what was paid for may not', () => {
  const replays = new Replays()
  replays.close(slotOf(replays.claim('a', '/', '1', body, now)), false)
  replays.close(slotOf(replays.claim('a', '/', '1', body, now)), true)
  expect(replays.claim('a', '/', '1', body, now).kind).toBe('not_replayable')
})

test('answers go by their size, and streams are not kept', () => {
  const replays = new Replays({ answerBytesMax: 10, allBytesMax: 25 })
  const kinds = ['1234567890', '1234567890', '12345678901', '1234567890'].map((text, no) => {
    const name = String(no)
    answer(replays, slotOf(replays.claim('a', '/', name, body, now)), text)
    return () => replays.claim('a', '/', name, body, now).kind
  })
  expect(kinds.map((kind) => kind())).toEqual([
    'not_replayable',
    'replay',
    'not_replayable',
    'replay',
  ])
  answer(replays, slotOf(replays.claim('a', '/', 's', body, now)), 'x', 'text/event-stream')
  expect(replays.claim('a', '/', 's', body, now).kind).toBe('not_replayable')
})
