/** `outcome_hooks:` to hooks. One without a secret is not there: anybody could call it. */
import { type HookPaths, type OutcomeHook, usualHooks, type When } from '#core/outcome-hook.ts'
import { secret } from '#lib/secret.ts'
import type { Merged } from './merged.ts'
import { type ConfigProblem, didYouMean } from './source.ts'

type Written = NonNullable<Merged['file']['outcome_hooks']>[string]

export function compileOutcomeHooks(
  merged: Merged,
  types: readonly string[],
  problems: ConfigProblem[],
  notices: string[],
): readonly OutcomeHook[] {
  const entries = Object.entries(merged.file.outcome_hooks ?? {})
  return entries.flatMap(([name, entry]) => {
    const refuse = (field: string, message: string, hint: string | null = null): void => {
      problems.push(merged.problem(['outcome_hooks', name, field], message, hint))
    }
    if (!types.includes(entry.type)) {
      refuse('type', `no outcome type "${entry.type}"`, didYouMean(entry.type, types))
    }
    if (entry.kind === 'hubspot' && !(entry.url ?? '').startsWith('http')) {
      refuse('url', 'HubSpot signs the address it calls: write it, as https://bursar.acme.com/...')
    }
    if (entry.secret === '') {
      notices.push(`outcome_hooks.${name}: it has no secret, so it is not there`)
      return []
    }
    return [hookOf(name, entry)]
  })
}

function hookOf(name: string, entry: Written): OutcomeHook {
  const usual = usualHooks[entry.kind]
  const links = ['conversation', 'run', 'call', 'agent', 'tenant'] as const
  // Who says where it is linked means just that.
  const own = links.some((one) => one !== 'agent' && entry[one] !== undefined)
  const link = (one: (typeof links)[number]): string | null =>
    entry[one] ?? (own ? null : (usual.paths[one] ?? null))
  const paths: HookPaths = {
    id: entry.id ?? usual.paths.id,
    at: entry.at ?? usual.paths.at ?? null,
    conversation: link('conversation'),
    run: link('run'),
    call: link('call'),
    agent: link('agent'),
    tenant: link('tenant'),
    value: entry.value_usd ?? null,
  }
  return {
    name,
    kind: entry.kind,
    secret: secret(entry.secret),
    url: entry.url ?? null,
    type: entry.type,
    attestedBy: entry.attested_by ?? 'system',
    when: entry.when === undefined ? usual.when : whenOf(entry.when),
    reversedWhen:
      entry.reversed_when === 'never'
        ? null
        : entry.reversed_when !== undefined
          ? whenOf(entry.reversed_when)
          : // What undoes another condition than the usual one is not the usual thing either.
            entry.when === undefined
            ? usual.reversedWhen
            : null,
    paths,
  }
}

function whenOf(written: NonNullable<Exclude<Written['when'], undefined>>): When {
  return Object.fromEntries(
    Object.entries(written).map(([path, values]) => [
      path,
      typeof values === 'string' ? [values] : values,
    ]),
  )
}
