/** The control plane's HTTP side: `/api/v1`, health and metrics. */
import { Hono } from 'hono'
import type { z } from 'zod'
import { StoreUnavailable } from '#ports/store.ts'
import { alertRoutes } from './alerts.ts'
import { forecastRoutes } from './forecast.ts'
import { auditRoutes } from './audit.ts'
import { mountAuth } from './auth.ts'
import { channelRoutes } from './channels.ts'
import { outcomeRoutes } from './outcomes.ts'
import { reportRoutes } from './reports.ts'
import { budgetRoutes } from './budgets.ts'
import { callRoutes } from './calls.ts'
import { configRoutes } from './config.ts'
import type { Actor, ControlDeps } from './deps.ts'
import { focusRoutes } from './focus.ts'
import { freezeRoutes } from './freezes.ts'
import { type Identifier, identifier, identityRoutes } from './identity.ts'
import { keyRoutes } from './keys.ts'
import { openApi } from './openapi.ts'
import { overrideRoutes } from './overrides.ts'
import { forbidden, problemBody, ProblemError } from './problem.ts'
import { monthRoutes } from './month.ts'
import { notLeads, type Route } from './route.ts'
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
  ...unitCostRoutes,
  ...forecastRoutes,
  ...focusRoutes,
  ...monthRoutes,
  ...configRoutes,
  ...replayRoutes,
  ...aboutRoutes,
  ...auditRoutes,
  ...identityRoutes,
  ...tokenRoutes,
  ...sessionRoutes,
]

const bodyBytesMax = 1024 * 1024
const repliesKept = 10_000

export function controlApp(deps: ControlDeps): Hono {
  const app = new Hono()
  const replies = new Map<string, Reply>()
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

/** The body, read no further than it may be long. */
async function textOf(request: Request): Promise<string> {
  if (Number(request.headers.get('content-length') ?? 0) > bodyBytesMax) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength
    if (length > bodyBytesMax) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

interface Reply {
  readonly fingerprint: string
  readonly status: number
  readonly body: string
}

interface Desk {
  readonly deps: ControlDeps
  readonly identify: Identifier
  readonly replies: Map<string, Reply>
}

function mount(app: Hono, { deps, identify, replies }: Desk, route: Route): void {
  const path = `/api/v1${route.path.replace(/\{(\w+)\}/g, ':$1')}`
  app.on(route.method.toUpperCase(), path, async (c) => {
    const actor = await identify(c.req.raw)
    requireRole(actor, route.allows)
    const text = route.body === null ? '' : await textOf(c.req.raw)
    const again = c.req.header('idempotency-key')
    const slot =
      again === undefined || route.method === 'get' ? null : `${actor.id} ${c.req.path} ${again}`
    const before = slot === null ? undefined : replies.get(slot)
    if (before !== undefined) {
      if (before.fingerprint !== text) throw mismatch()
      c.header('idempotent-replayed', 'true')
      return c.body(before.body, before.status as 200, { 'content-type': 'application/json' })
    }
    const value = await route.handle({
      deps,
      actor,
      params: c.req.param() as Record<string, string>,
      query: route.query === null ? {} : checked(route.query, c.req.query(), 'query'),
      body: route.body === null ? {} : checked(route.body, jsonOf(text), 'body'),
    })
    const body = JSON.stringify(value)
    if (slot !== null) keep(replies, slot, { fingerprint: text, status: route.status, body })
    return c.body(body, route.status, { 'content-type': 'application/json' })
  })
}

function keep(replies: Map<string, Reply>, slot: string, reply: Reply): void {
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
