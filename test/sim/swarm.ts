/**
 * How hostile one world is. Every rate is drawn anew for each seed, and many are zero: a fault that
 * is always there hides those that need a quiet world to show.
 */
export interface Swarm {
  /** Shares of calls the provider ends this way, in the order in which they are tried. */
  readonly unreachable: number
  readonly busy: number
  readonly reset: number
  readonly silent: number
  readonly cut: number
  /** Milliseconds between the events of a stream, at most. */
  readonly streamGapMs: number
  /** Shares of commands: the store fails before it commits, after, is told twice, or late. */
  readonly failBefore: number
  readonly failAfter: number
  readonly duplicate: number
  readonly late: number
  /** Share of callers that hang up. */
  readonly abort: number
  /** Gateways over one store. With one, a new process takes over what the dead one held. */
  readonly gateways: number
  readonly crashes: number
  readonly jumps: number
  /** Times the config is replaced while calls are under way. */
  readonly reloads: number
  /** Times the ledger takes nothing for up to a minute. */
  readonly aways: number
}

export function drawSwarm(chance: () => number): Swarm {
  const rate = (most: number): number => (chance() < 0.3 ? 0 : chance() * most)
  const times = (most: number): number => Math.floor(rate(1) * (most + 1))
  return {
    unreachable: rate(0.15),
    busy: rate(0.2),
    reset: rate(0.15),
    silent: rate(0.2),
    cut: rate(0.2),
    streamGapMs: chance() < 0.2 ? 900_000 : 40_000,
    failBefore: rate(0.05),
    failAfter: rate(0.05),
    duplicate: rate(0.3),
    late: rate(0.2),
    abort: rate(0.4),
    gateways: chance() < 0.6 ? 1 : 2 + Math.floor(chance() * 2),
    crashes: times(3),
    jumps: times(2),
    reloads: times(3),
    aways: times(3),
  }
}

/** Everything goes well: what the second half of a run, after the faults, is driven by. */
export const calm: Swarm = {
  unreachable: 0,
  busy: 0,
  reset: 0,
  silent: 0,
  cut: 0,
  streamGapMs: 1000,
  failBefore: 0,
  failAfter: 0,
  duplicate: 0,
  late: 0,
  abort: 0,
  gateways: 1,
  crashes: 0,
  jumps: 0,
  reloads: 0,
  aways: 0,
}
