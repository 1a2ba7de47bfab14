/** A provider that answers, refuses, hangs up, forgets its usage, and keeps its own bill. */
import { strict as assert } from 'node:assert'
import { picosPerUnit } from '#core/money.ts'
import type { PriceBook, PriceRow } from '#core/price-book.ts'
import type { Clock } from '#ports/clock.ts'
import type { Swarm } from './swarm.ts'
import type { Upstream, UpstreamListener, UpstreamRequest } from '#ports/upstream.ts'

const rates = {
  input: picosPerUnit(3_000_000n),
  cache_read: picosPerUnit(300_000n),
  output: picosPerUnit(15_000_000n),
}
const row: PriceRow = {
  vendor: 'openai',
  model: 'sim-1',
  from: null,
  until: null,
  bands: [{ abovePromptTokens: -1, rates }],
  geos: {},
  tiers: { standard: { numerator: 1n, denominator: 1n } },
  contextWindow: 100_000,
  maxOutputTokens: 4000,
  source: 'simulation',
  checked: '2026-01-01',
}
export const priceBook: PriceBook = {
  version: 'sim',
  rows: [row],
  byName: new Map([['sim-1', [row]]]),
}

/** Answers, refuses, hangs up, forgets its usage; and writes down what it will charge. */
export class BillingProvider implements Upstream {
  readonly bill = new Map<string, bigint>()
  readonly #clock: Clock
  readonly #chance: () => number
  readonly #swarm: () => Swarm

  constructor(clock: Clock, chance: () => number, swarm: () => Swarm) {
    this.#clock = clock
    this.#chance = chance
    this.#swarm = swarm
  }

  send(request: UpstreamRequest, listener: UpstreamListener) {
    let over = false
    let cut: (() => void) | null = null
    const end = (work: () => void): void => {
      if (over) return
      over = true
      work()
    }
    const play = async (): Promise<void> => {
      const { unreachable, busy, reset } = this.#swarm()
      const fate = this.#chance()
      await this.#clock.sleep(Math.floor(this.#chance() * 3000))
      if (over) return
      if (fate < unreachable) {
        return end(() => listener.failed({ sent: false, reason: 'connect', detail: 'refused' }))
      }
      if (fate < unreachable + busy) return end(() => this.#refuse(listener))
      const usage = this.#charge(request)
      if (fate < unreachable + busy + reset) {
        return end(() => listener.failed({ sent: true, reason: 'broken', detail: 'reset' }))
      }
      await this.#answer(request, listener, usage, end, () => over)
    }
    void play()
    return {
      isSent: true,
      pause: () => {},
      resume: () => {},
      abort: () => {
        cut?.()
        cut = null
        end(() => listener.failed({ sent: true, reason: 'aborted', detail: 'aborted' }))
      },
    }
  }

  #refuse(listener: UpstreamListener): void {
    listener.started(529, { 'content-type': 'application/json' })
    listener.data(Buffer.from('{"error":{"message":"busy"}}'))
    listener.ended()
  }

  /** From here on the provider charges, whatever becomes of the answer. */
  #charge(request: UpstreamRequest): { prompt: number; cached: number; output: number } {
    const body = JSON.parse(Buffer.from(request.body).toString()) as {
      max_completion_tokens?: number
      max_tokens?: number
    }
    const cap = body.max_completion_tokens ?? body.max_tokens ?? row.maxOutputTokens
    const prompt = 1 + Math.floor(this.#chance() * 60)
    const cached = Math.floor(this.#chance() * prompt)
    const output = 1 + Math.floor(this.#chance() * (cap - 1))
    const picos =
      BigInt(prompt - cached) * rates.input +
      BigInt(cached) * rates.cache_read +
      BigInt(output) * rates.output
    const attempt = request.headers['x-client-request-id'] ?? assert.fail('no attempt id')
    assert.ok(!this.bill.has(attempt), 'an attempt is sent once')
    this.bill.set(attempt, (picos + 999n) / 1000n)
    return { prompt, cached, output }
  }

  async #answer(
    request: UpstreamRequest,
    listener: UpstreamListener,
    usage: { prompt: number; cached: number; output: number },
    end: (work: () => void) => void,
    isOver: () => boolean,
  ): Promise<void> {
    const said = {
      prompt_tokens: usage.prompt,
      completion_tokens: usage.output,
      total_tokens: usage.prompt + usage.output,
      prompt_tokens_details: { cached_tokens: usage.cached },
    }
    const swarm = this.#swarm()
    const silent = this.#chance() < swarm.silent
    const cut = this.#chance() < swarm.cut
    if (!Buffer.from(request.body).includes('"stream":true')) {
      const body = { id: 'x', model: 'sim-1', choices: [], ...(silent ? {} : { usage: said }) }
      return end(() => {
        listener.started(200, { 'content-type': 'application/json' })
        listener.data(Buffer.from(JSON.stringify(body)))
        listener.ended()
      })
    }
    listener.started(200, { 'content-type': 'text/event-stream' })
    const event = (value: unknown): Uint8Array => Buffer.from(`data: ${JSON.stringify(value)}\n\n`)
    for (let i = 0; i < 3; i += 1) {
      listener.data(event({ id: 'x', model: 'sim-1', choices: [{ delta: { content: 'a' } }] }))
      await this.#clock.sleep(Math.floor(this.#chance() * swarm.streamGapMs))
      if (isOver()) return
    }
    if (cut) {
      return end(() => listener.failed({ sent: true, reason: 'broken', detail: 'cut' }))
    }
    end(() => {
      if (!silent) listener.data(event({ id: 'x', model: 'sim-1', choices: [], usage: said }))
      listener.data(Buffer.from('data: [DONE]\n\n'))
      listener.ended()
    })
  }

  async close(): Promise<void> {}
}
