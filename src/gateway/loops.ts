/**
 * Agents that go round in circles: the same call again and again, a chain of agents that comes back
 * to its start, an SDK that tries and tries. Counted by each replica for itself.
 */
import { crc32 } from 'node:zlib'
import { circleIn, type LoopRule, loopRulesFor, type RunScope } from '#core/run.ts'
import type { Instant } from '#core/time.ts'
import type { Serving } from './call.ts'

export interface Loop {
  readonly kind: 'identical_calls' | 'retries' | 'returns'
  /** Evidence in words, for the refusal and the alert. */
  readonly evidence: string
  readonly run: string
}

const tracesKept = 20_000

/** When calls of one kind came, newest last. */
type Trace = Instant[]

export class Loops {
  /** Twice as many are kept at most: those asked for longest ago are forgotten together. */
  #traces = new Map<string, Trace>()
  #older = new Map<string, Trace>()

  /** Null: nothing that goes round. Counts the call, also where it is refused. */
  found(rules: readonly LoopRule[], serving: Serving, runs: readonly RunScope[]): Loop | null {
    const [own] = runs
    if (rules.length === 0 || own === undefined) return null
    const { principal, request } = serving
    const retry = isRetry(request.headers)
    for (const [at, rule] of loopRulesFor(rules, principal.attribution).entries()) {
      const loop =
        this.#circle(rule, runs) ??
        (retry
          ? this.#many('retries', rule.retries, rule, `${at}|${own.id}`, serving)
          : this.#many(
              'identical_calls',
              rule.identicalCalls,
              rule,
              `${at}|${own.id}|${bodyOf(rule, serving)}`,
              serving,
            ))
      if (loop !== null) return { ...loop, run: own.id }
    }
    return null
  }

  #circle({ returns }: LoopRule, runs: readonly RunScope[]): Omit<Loop, 'run'> | null {
    const circle = returns === null ? null : circleIn(runs, returns)
    if (circle === null) return null
    return {
      kind: 'returns',
      evidence: `agents call each other in a circle: ${circle.join(' > ')}`,
    }
  }

  #many(
    kind: 'identical_calls' | 'retries',
    most: number | null,
    { withinMs }: LoopRule,
    trace: string,
    { at }: Serving,
  ): Omit<Loop, 'run'> | null {
    if (most === null) return null
    const recent = this.#trace(`${kind}|${trace}`)
    while (recent[0] !== undefined && recent[0] <= at - withinMs) recent.shift()
    recent.push(at)
    // More than it takes to tell is nothing to keep.
    if (recent.length > most + 1) recent.shift()
    if (recent.length <= most) return null
    const what = kind === 'retries' ? 'retries' : 'calls with the same body'
    return { kind, evidence: `more than ${most} ${what} within ${withinMs / 1000} s` }
  }

  #trace(key: string): Trace {
    const known = this.#traces.get(key)
    if (known !== undefined) return known
    if (this.#traces.size >= tracesKept) {
      this.#older = this.#traces
      this.#traces = new Map()
    }
    const trace = this.#older.get(key) ?? []
    this.#traces.set(key, trace)
    return trace
  }
}

/**
 * Tells bodies of one run apart: who makes two that differ look the same stops itself alone, so a
 * sum does, at a tenth of a digest's price.
 */
const bodyOf = ({ identicalCalls }: LoopRule, { request: { body } }: Serving): string =>
  identicalCalls === null ? '' : `${body.byteLength}-${crc32(body)}`

/** The makers' SDKs count their tries; AWS's says which attempt it is. */
function isRetry(headers: Serving['request']['headers']): boolean {
  const tries = Number(headers['x-stainless-retry-count']?.[0] ?? 0)
  const attempt = /attempt=(\d+)/.exec(headers['amz-sdk-request']?.[0] ?? '')?.[1]
  return tries > 0 || Number(attempt ?? 1) > 1
}
