/** Prometheus metrics. Labels are bounded: models and codes come from our own tables. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Observation } from '#core/observation.ts'
import type { Observe } from '#ports/observer.ts'

export interface Metrics {
  readonly observe: Observe
  text(): Promise<string>
}

export function metricsObserver(openHolds: () => Promise<number>): Metrics {
  const registry = new Registry()
  const registers = [registry]
  // Memory, CPU, event loop delay, collections: the names every Node dashboard knows.
  collectDefaultMetrics({ register: registry })
  const calls = new Counter({
    name: 'bursar_calls_total',
    help: 'Calls served, by model, provider, status and basis',
    labelNames: ['model', 'provider', 'status', 'basis'],
    registers,
  })
  const cost = new Counter({
    name: 'bursar_cost_usd_total',
    help: 'Posted cost in USD; the ledger is exact, this is not',
    labelNames: ['model', 'provider'],
    registers,
  })
  const refused = new Counter({
    name: 'bursar_refused_total',
    help: 'Calls refused, by code',
    labelNames: ['code'],
    registers,
  })
  const own = new Histogram({
    name: 'bursar_own_seconds',
    help: 'Time a call spent in the gateway itself',
    registers,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 15],
  })
  const events = new Counter({
    name: 'bursar_events_total',
    help: 'Everything else, by kind',
    labelNames: ['kind'],
    registers,
  })
  new Gauge({
    name: 'bursar_open_holds',
    help: 'Holds pending in the ledger',
    registers,
    collect: async function () {
      this.set(await openHolds())
    },
  })
  const observe = (o: Observation): void => {
    if (o.kind === 'call_ended') {
      const { model, provider, basis } = o
      calls.inc({ model, provider, status: String(o.status), basis })
      cost.inc({ model, provider }, Number(o.cost) / 1e9)
      own.observe(o.ownMs / 1000)
    } else if (o.kind === 'call_refused') refused.inc({ code: o.code })
    else events.inc({ kind: o.kind })
  }
  return { observe, text: () => registry.metrics() }
}
