/** What follows from something frozen that is asked again and again: computed once for each. */
export function onceFor<Of extends WeakKey, Value>(compute: (of: Of) => Value): (of: Of) => Value {
  const known = new WeakMap<Of, Value>()
  return (of) => {
    const before = known.get(of)
    if (before !== undefined) return before
    const value = compute(of)
    known.set(of, value)
    return value
  }
}

/** Who asks while it is being worked out gets what comes of that. */
export function sharedWork<Value>(work: () => Promise<Value>): () => Promise<Value> {
  let running: Promise<Value> | null = null
  return () => {
    running ??= work().finally(() => {
      running = null
    })
    return running
  }
}
