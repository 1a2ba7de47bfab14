/** Providers as written to targets: kinds from names, origins cleaned, credentials wrapped. */
import type { ProviderKind, ProviderTarget } from '#core/snapshot.ts'
import { secret } from '#lib/secret.ts'
import type { Merged } from './merged.ts'
import { type ConfigProblem, didYouMean } from './source.ts'

const kinds: readonly ProviderKind[] = [
  'openai',
  'anthropic',
  'google',
  'openai_compatible',
  'simulator',
]
const byName: Readonly<Record<string, ProviderKind>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'google',
  gemini: 'google',
  simulator: 'simulator',
}
const origins: Readonly<Partial<Record<ProviderKind, string>>> = {
  openai: 'https://api.openai.com',
  anthropic: 'https://api.anthropic.com',
  google: 'https://generativelanguage.googleapis.com',
}

export interface Providers {
  readonly targets: readonly ProviderTarget[]
  readonly hasCredential: boolean
}

export function compileProviders(
  merged: Merged,
  problems: ConfigProblem[],
  notices: string[],
): Providers {
  const { providers = {}, environments } = merged.file
  const targets: ProviderTarget[] = []
  for (const [name, written] of Object.entries(providers)) {
    const path = ['providers', name]
    const kind = written.kind ?? byName[name]
    if (kind === undefined) {
      problems.push(merged.problem(path, `provider "${name}" needs a kind: ${kinds.join(', ')}`))
      continue
    }
    const baseUrl = cleaned(written.base_url ?? origins[kind])
    if (baseUrl === null) {
      problems.push(
        merged.problem(
          [...path, 'base_url'],
          `provider "${name}" needs a base_url that starts with http:// or https://`,
        ),
      )
      continue
    }
    for (const environment of written.environments ?? []) {
      if (environments?.includes(environment) === true) continue
      problems.push(
        merged.problem(
          [...path, 'environments'],
          `environment "${environment}" is not declared`,
          didYouMean(environment, environments ?? []),
        ),
      )
    }
    const free = written.free === 'true'
    const key = written.api_key ?? ''
    const needsKey = kind !== 'openai_compatible' && kind !== 'simulator' && !free
    if (kind === 'openai_compatible' && (written.models ?? []).length === 0) {
      notices.push(`providers.${name}: list the models it serves (models: [...]), else none is`)
    }
    if (key === '' && needsKey) {
      notices.push(`providers.${name}: has no api_key, so it is left out`)
      continue
    }
    targets.push({
      name,
      kind,
      baseUrl,
      credential: key === '' ? null : secret(key),
      environments: written.environments ?? null,
      models: written.models ?? [],
      free,
      retries: Number(written.retries ?? '0'),
    })
  }
  const hasCredential = targets.some(
    ({ credential, kind }) => credential !== null || kind === 'simulator',
  )
  return { targets, hasCredential }
}

/** Without the version: paths bring their own. */
function cleaned(url: string | undefined): string | null {
  if (url === undefined || !/^https?:\/\/[^/\s]+/.test(url)) return null
  try {
    return new URL(url).href.replace(/\/+$/, '').replace(/\/v1(beta)?$/, '')
  } catch {
    return null
  }
}
