/** From decoded telemetry to observed calls: attributed to the key that sent it, and priced. */
import type { VirtualKey } from '#core/key.ts'
import { netLookup } from '#core/costing.ts'
import { type ObservedCall, observedCost } from '#core/observed.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Instant, instant } from '#core/time.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { HeaderClaims } from '#wire/claims.ts'
import { type GenAiCall, readGenAi, tokensOf } from '#wire/genai.ts'
import type { TelemetryRecord } from '#wire/telemetry.ts'
import { principalOf } from './identify.ts'

export interface Sender {
  readonly snapshot: Snapshot
  readonly key: VirtualKey
  readonly headers: HeaderClaims
  readonly now: Instant
}

export interface Told {
  readonly calls: readonly ObservedCall[]
  /** Records that tell of a call which cannot be counted, and why, of the first. */
  readonly rejected: number
  readonly message: string
}

/** Older than this is in no report that anybody still reads; later than now is a wrong clock. */
const oldestMs = 400 * 86_400_000
const aheadMs = 3_600_000

export function observe(records: readonly TelemetryRecord[], sender: Sender): Told {
  const calls: ObservedCall[] = []
  const problems: string[] = []
  for (const record of records) {
    const read = readGenAi(record)
    const made = !read.ok || read.value === null ? read : observedOf(read.value, sender)
    if (!made.ok) problems.push(`${nameOf(record)}: ${made.problem}`)
    else if (made.value !== null) calls.push(made.value as ObservedCall)
  }
  return { calls, rejected: problems.length, message: problems[0] ?? '' }
}

/** A span's name is its operation and model; what is not plain is not repeated. */
const nameOf = ({ name, signal }: TelemetryRecord): string =>
  /^[\w ./:-]{1,80}$/.test(name) ? name : signal === 'traces' ? 'a span' : 'a log record'

function observedOf(call: GenAiCall, sender: Sender): Result<ObservedCall, string> {
  const { snapshot, key, headers, now } = sender
  if (call.startMs > now + aheadMs) return failed('it starts in the future: set the clock')
  if (call.startMs < now - oldestMs) return failed('it is more than 400 days old')
  const hints = call.agent === null ? headers.hints : { ...headers.hints, agent: call.agent }
  const { user, conversation } = call
  const body = { user, conversation, tags: {} }
  const principal = principalOf(snapshot, key, { ...headers, hints }, body)
  if (!principal.ok) return failed(principal.problem.message)
  const at = instant(call.startMs)
  const provider = call.provider ?? 'unknown'
  const found = observedCost(call, netLookup(snapshot, provider, at))
  return succeeded({
    id: call.id,
    response: call.responseId,
    at,
    endedAt: instant(call.endMs),
    seenAt: now,
    attribution: {
      ...principal.value.attribution,
      provider,
      model: found?.model ?? call.model,
    },
    tokens: tokensOf(call.usage),
    cost: found?.cost ?? null,
    facts: {
      dialect: call.dialect,
      asked: call.asked,
      served: call.model,
      tier: call.tier,
      usage: call.usage.counts,
      reasoningTokens: call.usage.reasoningTokens,
      conversation: principal.value.conversation,
      key: key.id,
      priceVersion: snapshot.priceBook.version,
    },
  })
}
