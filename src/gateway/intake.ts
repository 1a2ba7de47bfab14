/**
 * How much is taken in. What is too much is told so early and costs next to nothing, in this order:
 * calls under way (all, and of one caller), the share of a caller while others wait, the time that
 * the event loop and the ledger have. Money comes last, and is the ledger's.
 */

export interface IntakeLimits {
  /** Calls under way, streams too: fewer than connections, so that the admin side has its own. */
  readonly callsMax: number
  /** Of one key: what one agent gone wild can take of it. */
  readonly callsPerKeyMax: number
  /** Bytes of bodies that are being read or belong to calls under way. */
  readonly bodiesBytesMax: number
  /** Of one key, and of all who have none: their guesses shut nobody out. */
  readonly bodiesBytesPerKeyMax: number
  readonly bodiesBytesStrangersMax: number
  /** Milliseconds of one turn of the event loop in which new calls may begin; the rest wait. */
  readonly turnMs: number
  /** Commands not yet durable, beyond which a new call waits before the ledger and not in it. */
  readonly backlogMax: number
  /** Where one has waited for so long, or so many wait, a new one makes the loudest give one up. */
  readonly queueMs: number
  readonly queueMax: number
  /** The longest that anybody waits for a turn: a ledger that is stuck has none to give. */
  readonly waitMs: number
}

/** All who show no key that we know are one caller: a guess is not worth a place in the queue. */
export const stranger = 'stranger'

/** Why a call is not taken: too many of all, or of this caller. */
export type TooMuch = 'full' | 'key_full' | 'bodies_full' | 'late'

interface Waiter {
  readonly begin: () => void
  readonly refuse: (why: TooMuch) => void
  readonly since: number
}

/** Where time comes from, and when to go on. */
export interface Turns {
  now(): number
  /** Once this turn of the event loop is over. */
  afterTurn(next: () => void): void
  /** In a moment: there is nothing to do until then. */
  later(next: () => void): void
}

export const loopTurns: Turns = {
  now: () => performance.now(),
  afterTurn: (next) => void setImmediate(next),
  later: (next) => void setTimeout(next, 2),
}

export class Intake {
  readonly #limits: IntakeLimits
  readonly #turns: Turns
  readonly #ofCaller = new Map<string, number>()
  readonly #bytesOf = new Map<string, number>()
  /** Who waits, by caller: the loud wait behind themselves, not before the others. */
  readonly #lanes = new Map<string, Waiter[]>()
  #waiting = 0
  #underWay = 0
  #bytes = 0
  #turnBegan: number | null = null
  #scheduled = false
  readonly #isBusy: () => boolean

  /** `isBusy`: the ledger has enough to do, so that what begins now would only wait there. */
  constructor(limits: IntakeLimits, isBusy: () => boolean, turns: Turns = loopTurns) {
    this.#limits = limits
    this.#isBusy = isBusy
    this.#turns = turns
  }

  get underWay(): number {
    return this.#underWay + this.#waiting
  }

  /** What a call would be refused for before a byte of its body is read; null: nothing. */
  tooMuch(caller: string): TooMuch | null {
    const { callsMax, callsPerKeyMax } = this.#limits
    if (this.underWay >= callsMax) return 'full'
    return (this.#ofCaller.get(caller) ?? 0) >= callsPerKeyMax ? 'key_full' : null
  }

  /** Room for the bytes of a body. False: there is none, and nothing was taken. */
  takeBytes(caller: string, bytes: number): boolean {
    const { bodiesBytesMax, bodiesBytesPerKeyMax, bodiesBytesStrangersMax } = this.#limits
    const most = caller === stranger ? bodiesBytesStrangersMax : bodiesBytesPerKeyMax
    const own = (this.#bytesOf.get(caller) ?? 0) + bytes
    if (own > most || this.#bytes + bytes > bodiesBytesMax) return false
    this.#bytesOf.set(caller, own)
    this.#bytes += bytes
    return true
  }

  giveBytes(caller: string, bytes: number): void {
    this.#bytes -= bytes
    const left = (this.#bytesOf.get(caller) ?? 0) - bytes
    if (left > 0) this.#bytesOf.set(caller, left)
    else this.#bytesOf.delete(caller)
  }

  /**
   * Calls exactly one of the two: `begin` at once or in a later turn, or `refuse`. What has begun
   * is counted until `leave`.
   */
  enter(caller: string, begin: () => void, refuse: (why: TooMuch) => void): void {
    const why = this.tooMuch(caller)
    if (why !== null) return refuse(why)
    this.#ofCaller.set(caller, (this.#ofCaller.get(caller) ?? 0) + 1)
    if (this.#waiting === 0 && !this.#isBusy() && this.#hasTime()) {
      this.#underWay += 1
      return begin()
    }
    const lane = this.#lanes.get(caller) ?? []
    this.#lanes.set(caller, lane)
    lane.push({ begin, refuse, since: this.#turns.now() })
    this.#waiting += 1
    this.#schedule()
    if (this.#isLate()) this.#shed()
  }

  leave(caller: string): void {
    this.#underWay -= 1
    this.#forget(caller)
  }

  #forget(caller: string): void {
    const left = (this.#ofCaller.get(caller) ?? 0) - 1
    if (left > 0) this.#ofCaller.set(caller, left)
    else this.#ofCaller.delete(caller)
  }

  /** A turn begins with the first call of it. */
  #hasTime(): boolean {
    const now = this.#turns.now()
    if (this.#turnBegan === null) {
      this.#turnBegan = now
      this.#schedule()
    }
    return now - this.#turnBegan < this.#limits.turnMs
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const next = (): void => this.#nextTurn()
    if (this.#turnBegan === null && this.#isBusy()) this.#turns.later(next)
    else this.#turns.afterTurn(next)
  }

  #nextTurn(): void {
    this.#scheduled = false
    this.#turnBegan = null
    // One at least where anything may begin, however short a turn is to be.
    for (let first = true; this.#waiting > 0 && !this.#isBusy(); first = false) {
      if (!this.#hasTime() && !first) break
      this.#beginNext()
    }
    if (this.#waiting > 0 && this.#isBusy()) this.#giveUp()
    if (this.#waiting > 0) this.#schedule()
  }

  #giveUp(): void {
    const before = this.#turns.now() - this.#limits.waitMs
    for (const [caller, lane] of this.#lanes) {
      while (lane[0] !== undefined && lane[0].since < before)
        this.#refuse(caller, lane, lane.shift())
    }
  }

  /** The lanes take turns: a map keeps the order in which they were put there. */
  #beginNext(): void {
    const [first] = this.#lanes
    if (first === undefined) return
    const [caller, lane] = first
    const next = lane.shift()
    this.#lanes.delete(caller)
    if (lane.length > 0) this.#lanes.set(caller, lane)
    if (next === undefined) return
    this.#waiting -= 1
    this.#underWay += 1
    next.begin()
  }

  #isLate(): boolean {
    if (this.#waiting > this.#limits.queueMax) return true
    const [[next] = []] = this.#lanes.values()
    return next !== undefined && this.#turns.now() - next.since > this.#limits.queueMs
  }

  /** The newest of whoever has most: nobody is sent away for the noise of another. */
  #shed(): void {
    let loudest: [string, Waiter[]] | null = null
    for (const entry of this.#lanes) {
      if (loudest === null || entry[1].length > loudest[1].length) loudest = entry
    }
    if (loudest === null) return
    const [caller, lane] = loudest
    this.#refuse(caller, lane, lane.pop())
  }

  #refuse(caller: string, lane: readonly Waiter[], waiter: Waiter | undefined): void {
    if (lane.length === 0) this.#lanes.delete(caller)
    this.#waiting -= 1
    this.#forget(caller)
    waiter?.refuse('late')
  }
}
