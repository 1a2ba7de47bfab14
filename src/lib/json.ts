/** JSON with bigints as `{"$n":"123"}`: for values read back by us alone. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? { $n: String(v) } : v))
}

export function fromJson(text: string): unknown {
  return JSON.parse(text, (_, v: unknown) => {
    const tagged = typeof v === 'object' && v !== null && '$n' in v ? v.$n : undefined
    return typeof tagged === 'string' ? BigInt(tagged) : v
  })
}
