/** One admitted try: forward, meter, end the hold. The hold ends on every path out of here. */
import type { ProviderTarget } from '#core/snapshot.ts'
import type { Outcome } from '#ports/store.ts'
import type { UpstreamFailure, UpstreamRequest } from '#ports/upstream.ts'
import type { Attempt, Serving } from './call.ts'
import { presumed } from './cost.ts'
import type { GatewayDeps } from './deps.ts'
import { upstreamHeaders } from './headers.ts'
import { type Relay, relayError, relayJson, relayStream } from './relay.ts'
import {
  answerFailure,
  type AttemptDesk,
  type AttemptEnd,
  endCosted,
  endVoid,
  observeFailure,
  type Underway,
} from './underway.ts'

export function attempt(
  desk: AttemptDesk,
  serving: Serving,
  tried: Attempt,
  held: Outcome,
  final: boolean,
): Promise<AttemptEnd> {
  const { deps } = desk
  const { client } = serving
  let over = false
  let drained: AbortController | null = null
  return new Promise((resolve) => {
    const underway: Underway = {
      desk,
      serving,
      attempt: tried,
      held,
      final,
      sentAt: deps.clock.now(),
      exchange: null,
      firstByteAt: null,
      requestId: null,
      finish: (end) => {
        over = true
        drained?.abort()
        resolve(end)
      },
    }
    let relay: Relay | null = null
    const request = requestFor(deps, serving, tried)
    underway.exchange = deps.upstream.send(request, {
      started: (status, headers) => {
        underway.firstByteAt = deps.clock.now()
        underway.requestId = headers['request-id'] ?? headers['x-request-id'] ?? null
        relay = relayFor(underway, status, headers)
      },
      data: (chunk) => relay?.data(chunk),
      ended: () => watch(underway, relay?.ended()),
      failed: (failure) =>
        watch(underway, relay === null ? failedEarly(underway, failure) : relay.failed(failure)),
    })
    client.onGone(() => {
      if (over) return
      drained = new AbortController()
      drain(underway, drained.signal)
    })
  })
}

/** What the provider is sent: the caller's own bytes but for the cap, under our credential. */
function requestFor(deps: GatewayDeps, serving: Serving, tried: Attempt): UpstreamRequest {
  const { path, body } = serving.dialect.rewrite(serving.parsed, {
    model: serving.parsed.model,
    outputCap: tried.outputCap,
  })
  const { provider } = tried.target
  const { origin, basePath } = placeOf(provider)
  return {
    origin,
    path: basePath + path,
    body,
    timeouts: deps.limits.timeouts,
    headers: upstreamHeaders(serving.request.headers, provider, {
      dialect: serving.parsed.endpoint.dialect,
      attemptId: tried.hold.id,
      bodyLength: body.byteLength,
    }),
  }
}

const places = new WeakMap<ProviderTarget, { origin: string; basePath: string }>()

function placeOf(provider: ProviderTarget): { origin: string; basePath: string } {
  let place = places.get(provider)
  if (place === undefined) {
    const { origin, pathname } = new URL(provider.baseUrl)
    place = { origin, basePath: pathname.replace(/\/$/, '') }
    places.set(provider, place)
  }
  return place
}

/**
 * An ending that throws is a bug; it is told, and a hold it left stays until it expires as
 * presumed. The caller is not left waiting for the rest.
 */
function watch({ desk, serving, finish }: Underway, ending: Promise<void> | undefined): void {
  ending?.catch((error: unknown) => {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    desk.deps.observe({ kind: 'unexpected', where: 'ending a call', reason })
    serving.client.destroy()
    finish({ kind: 'answered', paid: true })
  })
}

function relayFor(
  underway: Underway,
  status: number,
  headers: Readonly<Record<string, string>>,
): Relay {
  // A packed stream cannot be metered as it passes: it is read whole and unpacked, or refused.
  const plain = (headers['content-encoding'] ?? 'identity') === 'identity'
  const streamed = plain && (headers['content-type'] ?? '').includes('text/event-stream')
  if (status < 200 || status >= 300) return relayError(underway, status, headers)
  return streamed ? relayStream(underway, status, headers) : relayJson(underway, status, headers)
}

/** The caller hung up. Its answer is read to the end, for that is where the usage stands. */
function drain(underway: Underway, over: AbortSignal): void {
  const {
    desk: {
      deps: { clock, limits },
      drains,
    },
    exchange,
  } = underway
  if (exchange === null || over.aborted) return
  if (!exchange.isSent) return exchange.abort()
  exchange.resume()
  if (drains.count >= limits.drainsMax) return exchange.abort()
  drains.count += 1
  over.addEventListener('abort', () => {
    drains.count -= 1
  })
  clock.sleep(limits.drainMs, over).then(() => exchange.abort())
}

/** No answer began. Unsent costs nothing; what may have arrived may be billed. */
async function failedEarly(underway: Underway, failure: UpstreamFailure): Promise<void> {
  const { serving, final } = underway
  observeFailure(underway, 0, `${failure.reason}: ${failure.detail}`)
  if (!failure.sent) {
    await endVoid(underway, failure.reason)
    const passOn = (): void => answerFailure(underway, failure)
    if (final || serving.client.gone) passOn()
    return underway.finish(
      final || serving.client.gone ? { kind: 'answered', paid: false } : { kind: 'failed', passOn },
    )
  }
  await endCosted(underway, presumed(underway.attempt, failure.reason), 0)
  answerFailure(underway, failure)
  underway.finish({ kind: 'answered', paid: true })
}
