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

/** One text for one value (RFC 8785): names in order, no spaces; bigints as `toJson` has them. */
export function canonicalJson(value: unknown): string {
  return canonical(JSON.parse(toJson(value)) as unknown)
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`).join(',')}}`
}
