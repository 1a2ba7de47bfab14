/** The control plane's HTTP side: `/api/v1`, health and metrics. */
import { type Context, Hono } from 'hono'
import type { z } from 'zod'
import { StoreUnavailable } from '#ports/store.ts'
import { alertRoutes } from './alerts.ts'
import { forecastRoutes } from './forecast.ts'
import { auditRoutes } from './audit.ts'
import { mountAuth } from './auth.ts'
import { channelRoutes } from './channels.ts'
import { cloudEventRoutes } from './cloud-events.ts'
import { mountOutcomeHooks } from './outcome-hooks.ts'
import { outcomeRoutes } from './outcomes.ts'
import { reportRoutes } from './reports.ts'
import { budgetRoutes } from './budgets.ts'
import { billRoutes } from './bills.ts'
import { textWithin } from './body.ts'
import { callRoutes } from './calls.ts'
import { configRoutes } from './config.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { observedRoutes } from './observed.ts'
import { priceRoutes } from './prices.ts'
import { focusRoutes } from './focus.ts'
import { freezeRoutes } from './freezes.ts'
import { type Identifier, identifier, identityRoutes } from './identity.ts'
import { keyRoutes } from './keys.ts'
import { openApi } from './openapi.ts'
import { monthRoutes } from './months.ts'
import { overrideRoutes } from './overrides.ts'
import { forbidden, problemBody, ProblemError } from './problem.ts'
import { monthReportRoutes } from './month.ts'
import { notLeads, type Route } from './route.ts'
import { reconcileRoutes } from './reconcile.ts'
import { replayRoutes } from './replays.ts'
import { reviewRoutes } from './reviews.ts'
import { sessionRoutes } from './sessions.ts'
import { tokenRoutes } from './tokens.ts'
import { mountSlack } from './slack.ts'
import { aboutRoutes } from './about.ts'
import { unitCostRoutes } from './unit-cost.ts'

export const routes: readonly Route[] = [
  ...keyRoutes,
  ...budgetRoutes,
  ...reviewRoutes,
  ...overrideRoutes,
  ...freezeRoutes,
  ...callRoutes,
  ...alertRoutes,
  ...channelRoutes,
  ...reportRoutes,
  ...outcomeRoutes,
  ...cloudEventRoutes,
  ...unitCostRoutes,
  ...forecastRoutes,
  ...billRoutes,
  ...reconcileRoutes,
  ...focusRoutes,
  ...monthRoutes,
  ...monthReportRoutes,
  ...configRoutes,
  ...replayRoutes,
  ...aboutRoutes,
  ...priceRoutes,
  ...observedRoutes,
  ...auditRoutes,
  ...identityRoutes,
  ...tokenRoutes,
  ...sessionRoutes,
]

const bodyBytesMax = 1024 * 1024
const repliesKept = 10_000

export function controlApp(deps: ControlDeps): Hono {
  const app = new Hono()
  const replies = new Map<string, Kept>()
  const identify = identifier(deps)
  app.use(async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
    c.header('x-content-type-options', 'nosniff')
    c.header('referrer-policy', 'no-referrer')
    c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
  })
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', (c) => {
    const { ready, reason } = deps.health()
    return c.json({ ready, reason }, ready ? 200 : 503)
  })
  app.get('/metrics', async (c) => {
    requireRole(await identify(c.req.raw), notLeads)
    return c.text(await deps.metrics())
  })
  app.get('/api/openapi.json', (c) => c.json(openApi(routes)))
  for (const route of routes) mount(app, { deps, identify, replies }, route)
  mountAuth(app, deps, identify)
  mountSlack(app, deps)
  mountOutcomeHooks(app, deps)
  app.notFound((c) =>
    c.json(
      problemBody({
        status: 404,
        code: 'not_found',
        title: 'Not found',
        detail: `There is nothing at ${c.req.path}: see /api/openapi.json.`,
      }),
      404,
    ),
  )
  app.onError((error) => answerError(deps, error))
  return app
}

interface Reply {
  readonly status: number
  readonly body: string
}

interface Kept {
  readonly fingerprint: string
  readonly reply: Promise<Reply>
}

interface Desk {
  readonly deps: ControlDeps
  readonly identify: Identifier
  readonly replies: Map<string, Kept>
}

function mount(app: Hono, { deps, identify, replies }: Desk, route: Route): void {
  const path = `/api/v1${route.path.replace(/\{(\w+)\}/g, ':$1')}`
  app.on(route.method.toUpperCase(), path, async (c) => {
    const actor = await identify(c.req.raw)
    requireRole(actor, route.allows)
    const text = route.body === null ? '' : await textWithin(c.req.raw, bodyBytesMax)
    if (text === null) throw tooLarge()
    const again = c.req.header('idempotency-key')
    const slot =
      again === undefined || route.method === 'get' ? null : `${actor.id} ${c.req.path} ${again}`
    const run = async (): Promise<Reply> => {
      const value = await route.handle({
        deps,
        actor,
        params: c.req.param() as Record<string, string>,
        query: route.query === null ? {} : checked(route.query, c.req.query(), 'query'),
        body: route.body === null ? {} : checked(route.body, bodyOf(c, text), 'body'),
        header: (name) => c.req.header(name),
      })
      return { status: route.status, body: JSON.stringify(value) }
    }
    const { reply, isReplayed } = await once(replies, slot, text, run)
    if (isReplayed) c.header('idempotent-replayed', 'true')
    return c.body(reply.body, reply.status as 200, { 'content-type': 'application/json' })
  })
}

/** The same key at once is one request: the second waits for the answer of the first. */
async function once(
  replies: Desk['replies'],
  slot: string | null,
  text: string,
  run: () => Promise<Reply>,
): Promise<{ readonly reply: Reply; readonly isReplayed: boolean }> {
  if (slot === null) return { reply: await run(), isReplayed: false }
  const before = replies.get(slot)
  if (before !== undefined) {
    if (before.fingerprint !== text) throw mismatch()
    return { reply: await before.reply, isReplayed: true }
  }
  const reply = run()
  keep(replies, slot, { fingerprint: text, reply })
  try {
    return { reply: await reply, isReplayed: false }
  } catch (error) {
    // What failed may be tried again under its key.
    replies.delete(slot)
    throw error
  }
}

function keep(replies: Map<string, Kept>, slot: string, reply: Kept): void {
  if (replies.size >= repliesKept) {
    const [oldest] = replies.keys()
    if (oldest !== undefined) replies.delete(oldest)
  }
  replies.set(slot, reply)
}

function requireRole({ name, role }: Actor, allows: Route['allows']): void {
  if (allows.includes(role)) return
  const whom = allows.join(', ')
  throw forbidden('role_not_allowed', `${name} has the role ${role}; this is for: ${whom}.`)
}

/** A CSV may be sent as it is, where a route takes one. */
function bodyOf(c: Context, text: string): unknown {
  const type = c.req.header('content-type') ?? ''
  return type.startsWith('text/csv') ? { csv: text } : jsonOf(text)
}

function jsonOf(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw new ProblemError({
      status: 400,
      code: 'invalid_request',
      title: 'Invalid request',
      detail: 'Not valid JSON.',
    })
  }
}

function checked(schema: z.ZodType, value: unknown, where: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map(({ path, message }) => ({
    path: path.join('.') || where,
    message,
  }))
  throw new ProblemError({
    status: 400,
    code: 'invalid_request',
    title: 'Invalid request',
    errors,
    detail: errors.map(({ path, message }) => `${path}: ${message}`).join('; '),
  })
}

function tooLarge(): ProblemError {
  return new ProblemError({
    status: 413,
    code: 'too_large',
    title: 'Too large',
    detail: 'The body is larger than 1 MiB.',
  })
}

function mismatch(): ProblemError {
  return new ProblemError({
    status: 422,
    code: 'idempotency_mismatch',
    title: 'Idempotency-Key reused',
    detail: 'This Idempotency-Key was used with another body: use a new key.',
  })
}

function answerError(deps: ControlDeps, error: Error): Response {
  const problem = error instanceof ProblemError ? error.problem : unexpected(deps, error)
  return new Response(JSON.stringify(problemBody(problem)), {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json' },
  })
}

function unexpected(deps: ControlDeps, error: Error): ProblemError['problem'] {
  if (error instanceof StoreUnavailable) {
    return {
      status: 503,
      code: 'ledger_unavailable',
      title: 'Ledger unavailable',
      detail: 'The ledger cannot be written or read now: nothing was changed. Try again.',
    }
  }
  deps.observe({ kind: 'unexpected', where: 'control API', reason: error.stack ?? error.message })
  return {
    status: 500,
    code: 'internal',
    title: 'Internal error',
    detail: 'Something unexpected happened; it has been logged.',
  }
}
