/**
 * How much is taken in. What is too much is told so at once and costs next to nothing, in this
 * order: calls under way (all, and of one caller), the share of a caller while others wait, the
 * time the event loop has. Money comes last, and is the ledger's.
 */

export interface IntakeLimits {
  /** Calls under way, streams too: fewer than connections, so that the admin side has its own. */
  readonly callsMax: number
  /** Of one key: what one agent gone wild can take of it. */
  readonly callsPerKeyMax: number
  /** Bytes of bodies that are being read or belong to calls under way. */
  readonly bodiesBytesMax: number
  /** Milliseconds of one turn of the event loop in which new calls may begin; the rest wait. */
  readonly turnMs: number
  /** The longest that a call may wait for its turn, and how many may. */
  readonly queueMs: number
  readonly queueMax: number
}

/** Why a call is not taken: too many of all, or of this caller. */
export type TooMuch = 'full' | 'key_full' | 'bodies_full' | 'late'

interface Waiter {
  readonly begin: () => void
  readonly refuse: (why: TooMuch) => void
  readonly since: number
}

/** Where time comes from, and when a turn of the event loop is over. */
export interface Turns {
  now(): number
  afterTurn(next: () => void): void
}

export const loopTurns: Turns = {
  now: () => performance.now(),
  afterTurn: (next) => void setImmediate(next),
}

export class Intake {
  readonly #limits: IntakeLimits
  readonly #turns: Turns
  readonly #ofCaller = new Map<string, number>()
  /** Who waits, by caller: the loud wait behind themselves, not before the others. */
  readonly #lanes = new Map<string, Waiter[]>()
  #waiting = 0
  #underWay = 0
  #bytes = 0
  #turnBegan: number | null = null

  constructor(limits: IntakeLimits, turns: Turns = loopTurns) {
    this.#limits = limits
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
  takeBytes(bytes: number): boolean {
    if (this.#bytes + bytes > this.#limits.bodiesBytesMax) return false
    this.#bytes += bytes
    return true
  }

  giveBytes(bytes: number): void {
    this.#bytes -= bytes
  }

  /**
   * Calls exactly one of the two: `begin` at once or in a later turn, or `refuse`. What has begun
   * is counted until `leave`.
   */
  enter(caller: string, begin: () => void, refuse: (why: TooMuch) => void): void {
    const why = this.tooMuch(caller)
    if (why !== null) return refuse(why)
    this.#ofCaller.set(caller, (this.#ofCaller.get(caller) ?? 0) + 1)
    if (this.#waiting === 0 && this.#hasTime()) {
      this.#underWay += 1
      return begin()
    }
    const lane = this.#lanes.get(caller) ?? []
    this.#lanes.set(caller, lane)
    lane.push({ begin, refuse, since: this.#turns.now() })
    this.#waiting += 1
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
      this.#turns.afterTurn(() => this.#nextTurn())
    }
    return now - this.#turnBegan < this.#limits.turnMs
  }

  #nextTurn(): void {
    this.#turnBegan = null
    if (this.#waiting === 0) return
    this.#hasTime()
    // One at least, however short a turn is to be.
    do this.#beginNext()
    while (this.#waiting > 0 && this.#hasTime())
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
    const last = lane.pop()
    if (lane.length === 0) this.#lanes.delete(caller)
    this.#waiting -= 1
    this.#forget(caller)
    last?.refuse('late')
  }
}
