/** Webhooks of helpdesks and CRMs: believed where their maker signed them, booked once. */
import type { Context, Hono } from 'hono'
import { parseUsd } from '#core/money.ts'
import { type HookNews, type OutcomeHook, readHook } from '#core/outcome-hook.ts'
import type { OutcomeEvent } from '#core/outcome.ts'
import { isSigned } from '#lib/hook-signatures.ts'
import { textWithin } from './body.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { book } from './outcome-desk.ts'
import { ProblemError } from './problem.ts'

const bodyBytesMax = 1024 * 1024

export function mountOutcomeHooks(app: Hono, deps: ControlDeps): void {
  app.post('/api/hooks/:name', (c) => answer(deps, c))
}

async function answer(deps: ControlDeps, c: Context): Promise<Response> {
  const hook = deps.snapshot().outcomeHooks.find(({ name }) => name === c.req.param('name'))
  const body = await textWithin(c.req.raw, bodyBytesMax)
  const request = {
    header: (name: string) => c.req.header(name),
    body: body ?? '',
    url: hook?.url ?? c.req.url,
    now: deps.clock.now(),
  }
  // One answer for a wrong name and a wrong signature: nobody finds out which there are.
  if (hook === undefined || body === null || !isSigned(hook.kind, hook.secret.reveal(), request)) {
    return c.json({ detail: 'There is no such hook, or it was not signed with its secret.' }, 401)
  }
  const message = jsonOf(body)
  if (message === undefined) return c.json({ detail: 'Not valid JSON.' }, 400)
  const told = { booked: 0, known: 0, problems: [] as string[] }
  for (const news of readHook(hook, message)) await take(deps, hook, news, told)
  // What can never be booked is not to be sent again, or it would be for ever.
  return c.json(told, 200)
}

interface Told {
  booked: number
  known: number
  readonly problems: string[]
}

async function take(
  deps: ControlDeps,
  hook: OutcomeHook,
  news: HookNews,
  told: Told,
): Promise<void> {
  try {
    const done = await booked(deps, hook, news)
    if (done) told.booked += 1
    else told.known += 1
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    told.problems.push(`${news.subject}: ${error.problem.detail}`)
  }
}

/** A ticket may be resolved, reopened and resolved again, and each is told more than once. */
const turnsMax = 100

/** False: it was known, or is older than what is. */
async function booked(deps: ControlDeps, hook: OutcomeHook, news: HookNews): Promise<boolean> {
  const at = news.at ?? deps.clock.now()
  let open: OutcomeEvent | null = null
  let free = ''
  for (let turn = 1; turn <= turnsMax; turn += 1) {
    free = `${hook.name}:${news.subject}${turn === 1 ? '' : `#${turn}`}`
    const claimed: OutcomeEvent | null = await deps.store.outcomeEvent(free)
    if (claimed === null) break
    const reversed = await deps.store.outcomeEvent(`${free}:reversed`)
    if (at <= (reversed ?? claimed).at) return false
    open = reversed === null ? claimed : null
    if (open !== null) break
  }
  const actor = hookActor(hook)
  if (news.kind === 'reversal') {
    if (open === null) return false
    const said = { reverses: open.id, at, cause: 'reopened' }
    return !(await book(deps, actor, said, hook.kind)).repeated
  }
  if (open !== null) return false
  const value = news.value === null ? null : parseUsd(news.value)
  const said = {
    id: free,
    type: hook.type,
    at,
    ...news.link,
    attestedBy: hook.attestedBy,
    ...(value === null || value < 0n ? {} : { value }),
  }
  return !(await book(deps, actor, said, hook.kind)).repeated
}

function hookActor({ name, kind }: OutcomeHook): Actor {
  return {
    id: `hook:${name}`,
    name: `${name} (${kind} webhook)`,
    person: `hook:${name}`,
    via: 'token',
    role: 'finops',
    subtree: null,
    expiresAt: null,
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
