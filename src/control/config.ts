/** Config as code: what is in force, what a new one would change and do, and putting it there. */
import { z } from 'zod'
import { type ConfigChange, configDiff } from '#core/config-diff.ts'
import { configWarnings } from '#core/config-warnings.ts'
import { type Effect, effectLines, isHarsh } from '#core/effect.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { ConfigHome } from '#ports/config-home.ts'
import { changed } from './audited.ts'
import { effectsNow } from './config-effect.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { conflict, ProblemError } from './problem.ts'
import { admins, declare, notLeads, type Route } from './route.ts'
import { usd } from './shapes.ts'

const configShape = z.object({
  version: z.string(),
  /** Where it is read from; null: the demo that is built in. */
  source: z.string().nullable(),
  /** Why what is there now is not in force; null: it is. */
  problem: z.string().nullable(),
  price_book: z.string(),
  organization: z.string(),
  timezone: z.string(),
  environments: z.array(z.string()),
  providers: z.array(
    z.object({
      name: z.string(),
      kind: z.string(),
      base_url: z.string(),
      environments: z.array(z.string()).nullable(),
      free: z.boolean(),
    }),
  ),
  notices: z.array(z.string()),
})

export const configTexts = z
  .array(z.strictObject({ name: z.string().min(1).max(500), text: z.string() }))
  .min(1)
  .max(1000)

const changeShape = z.object({
  kind: z.enum(['added', 'removed', 'changed']),
  part: z.string(),
  id: z.string(),
  name: z.string(),
  fields: z.array(
    z.object({ field: z.string(), before: z.string().nullable(), after: z.string().nullable() }),
  ),
})

const effectShape = z.object({
  budget: z.string(),
  name: z.string(),
  value: z.string().nullable(),
  before: z.string(),
  after: z.string(),
  /** True: calls that pass now would be slowed or refused. */
  harsh: z.boolean(),
  used: z.string(),
  amount: z.string(),
  concerns: z.array(z.string()),
})

const diffShape = z.object({
  /** Of the config in force: `apply` wants it back, so that nobody's change is lost. */
  version: z.string(),
  next_version: z.string(),
  changes: z.array(changeShape),
  effects: z.array(effectShape),
  /** The effects in words, the hardest first. */
  summary: z.array(z.string()),
  /** What else would be refused that passes now. */
  warnings: z.array(z.string()),
  notices: z.array(z.string()),
  unknown: z.string().nullable(),
})

const applyBody = z.strictObject({
  files: configTexts,
  /** The version that the diff was made against. */
  version: z.string(),
  reason: z.string().trim().min(3, 'say why, in at least 3 characters').max(500),
  /** Said where calls that pass now would be slowed or refused. */
  accept: z.boolean().optional(),
})

export const configRoutes: readonly Route[] = [
  declare({
    method: 'get',
    path: '/config',
    summary: 'The config in force, without its secrets',
    allows: notLeads,
    answer: configShape,
    handle: async ({ deps }) => showConfig(deps),
  }),
  declare({
    method: 'post',
    path: '/config/diff',
    summary: 'What a new config would change, and what that would do now',
    allows: admins,
    body: z.strictObject({ files: configTexts }),
    answer: diffShape,
    handle: async ({ deps, body }) => {
      const present = deps.snapshot()
      return showDiff(deps, present, readTexts(deps, body.files))
    },
  }),
  declare({
    method: 'post',
    path: '/config/apply',
    summary: 'Put a new config in force, in the place of the present files',
    allows: admins,
    body: applyBody,
    answer: diffShape,
    handle: async ({ deps, actor, body }) => applyConfig(deps, actor, body),
  }),
]

function showConfig(deps: ControlDeps): z.infer<typeof configShape> {
  const snapshot = deps.snapshot()
  return {
    version: snapshot.version,
    source: deps.config.home?.name ?? null,
    problem: deps.config.problem(),
    price_book: snapshot.priceBook.version,
    organization: snapshot.organization,
    timezone: snapshot.timeZone,
    environments: [...snapshot.environments],
    notices: [...snapshot.notices],
    providers: snapshot.providers.map(({ name, kind, baseUrl, environments, free }) => ({
      name,
      kind,
      base_url: baseUrl,
      environments: environments === null ? null : [...environments],
      free,
    })),
  }
}

function homeOf({ config }: ControlDeps): ConfigHome {
  if (config.home !== null) return config.home
  throw conflict('no_config_file', 'The demo runs without a file: write bursar.yaml, and restart.')
}

type Texts = z.infer<typeof configTexts>

/** Throws with every problem of the texts. */
export function readTexts(deps: ControlDeps, texts: Texts): Snapshot {
  const read = homeOf(deps).read(texts)
  if (read.ok) return read.value
  throw new ProblemError({
    status: 422,
    code: 'invalid_config',
    title: 'The config is not good',
    detail: read.problem.join('\n'),
    errors: read.problem.map((message) => ({ path: 'files', message })),
  })
}

async function showDiff(
  deps: ControlDeps,
  present: Snapshot,
  next: Snapshot,
): Promise<z.infer<typeof diffShape>> {
  const { effects, unknown } = await effectsNow(deps, present, next)
  return {
    version: present.version,
    next_version: next.version,
    changes: configDiff(present, next).map(showChange),
    effects: effects.map(showEffect),
    summary: [...effectLines(effects)],
    warnings: [...configWarnings(present, next)],
    notices: [...next.notices],
    unknown,
  }
}

function showChange({ kind, part, id, name, fields }: ConfigChange): z.infer<typeof changeShape> {
  return { kind, part, id, name, fields: fields.map((field) => ({ ...field })) }
}

function showEffect(effect: Effect): z.infer<typeof effectShape> {
  const { rule, value, before, after, account, concerns } = effect
  const shown = (amount: bigint): string => (rule.unit === 'usd' ? usd(amount) : String(amount))
  return {
    budget: rule.id,
    name: rule.name,
    value,
    before,
    after,
    harsh: isHarsh(effect),
    used: shown(account.posted + account.pending),
    amount: shown(rule.amount),
    concerns: [...concerns],
  }
}

const applying = new WeakMap<ControlDeps, Promise<unknown>>()

/** One at a time: the second one's version is not in force any more. */
async function applyConfig(
  deps: ControlDeps,
  actor: Actor,
  body: z.infer<typeof applyBody>,
): Promise<z.infer<typeof diffShape>> {
  const before = applying.get(deps) ?? Promise.resolve()
  const own = before.then(() => applyAlone(deps, actor, body))
  applying.set(
    deps,
    own.catch(() => {}),
  )
  return own
}

async function applyAlone(
  deps: ControlDeps,
  actor: Actor,
  { files, version, reason, accept }: z.infer<typeof applyBody>,
): Promise<z.infer<typeof diffShape>> {
  const home = homeOf(deps)
  const present = deps.snapshot()
  const next = readTexts(deps, files)
  requireCurrent(home, present, version)
  const diff = await showDiff(deps, present, next)
  const isHarshNow = diff.effects.some(({ harsh }) => harsh) || diff.warnings.length > 0
  if (accept !== true && isHarshNow) {
    const what = [...diff.summary, ...diff.warnings].join('; ')
    throw conflict('needs_accept', `Calls that pass now would not: say accept. ${what}`)
  }
  // Counting took a while: whoever was faster has the next version.
  requireCurrent(home, deps.snapshot(), version)
  // Told before it is done: what comes into force is in the audit log, whatever happens meanwhile.
  await noteConfig(deps, actor, 'config.applied', { reason, version, diff })
  let undo = (): void => {}
  let problem: string | null
  try {
    undo = home.write(files)
    problem = await deps.config.reload()
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error)
  }
  if (problem === null) {
    home.done()
    return diff
  }
  undo()
  await deps.config.reload()
  await noteConfig(deps, actor, 'config.apply_failed', { reason: problem, version, diff })
  throw conflict('not_applied', `It was not put in force, and the files are as before: ${problem}.`)
}

async function noteConfig(
  deps: ControlDeps,
  actor: Actor,
  action: string,
  about: {
    readonly reason: string
    readonly version: string
    readonly diff: z.infer<typeof diffShape>
  },
): Promise<void> {
  const { reason, version, diff } = about
  const after = { version: diff.next_version, changes: diff.changes }
  const note = { action, subject: diff.next_version, reason, before: { version }, after }
  await changed(deps, actor, { kind: 'note' }, note)
}

function requireCurrent(home: ConfigHome, present: Snapshot, version: string): void {
  if (present.version !== version) {
    throw conflict(
      'version_changed',
      `The config in force is ${present.version}, not ${version}: somebody changed it. Look at the diff again.`,
    )
  }
  const onDisk = home.present()
  if (onDisk.ok && onDisk.value.version === version) return
  throw conflict(
    'file_changed',
    `${home.name} holds changes that are not in force, and they would be lost: ` +
      'see the problem in GET /api/v1/config, or reload first.',
  )
}
