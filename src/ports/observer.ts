import type { Observation } from '#core/observation.ts'

/** The only way anything is logged or counted. Must not throw. */
export type Observe = (observation: Observation) => void
