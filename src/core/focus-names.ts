/** Providers, their services and the makers of models, as FOCUS names them. */
import type { Providers } from './focus-columns.ts'
import type { Vendor } from './price-book.ts'
import type { ProviderKind, Snapshot } from './snapshot.ts'

const makers: Readonly<Record<Vendor, string>> = {
  anthropic: 'Anthropic',
  openai: 'OpenAI',
  google: 'Google',
}

const services: Readonly<Partial<Record<ProviderKind, readonly [string, string]>>> = {
  anthropic: ['Anthropic', 'Claude API'],
  openai: ['OpenAI', 'OpenAI API'],
  google: ['Google', 'Gemini API'],
}

/**
 * Of a provider and a model of the ledger, either of which the config may no longer have. A
 * provider that only speaks the protocol of another is called what the config calls it.
 */
export function providersOf(
  snapshot: Pick<Snapshot, 'providers' | 'priceBook'>,
): (provider: string | null, model: string | null) => Providers {
  const kinds = new Map(snapshot.providers.map(({ name, kind }) => [name, kind]))
  return (provider, model) => {
    const name = provider ?? 'unknown'
    const [company, service] = services[kinds.get(name) ?? 'simulator'] ?? [name, name]
    const row = model === null ? undefined : snapshot.priceBook.byName.get(model)?.[0]
    return {
      provider: company,
      publisher: row === undefined ? company : makers[row.vendor],
      service,
    }
  }
}
