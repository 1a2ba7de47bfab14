/** A route as data: served by `app.ts`, described by `openapi.ts`, from one declaration. */
import type { z } from 'zod'
import type { Role } from '#core/role.ts'
import type { Actor, ControlDeps } from './deps.ts'

export interface Asked<Body, Query> {
  readonly deps: ControlDeps
  readonly actor: Actor
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  readonly body: Body
  readonly header: (name: string) => string | undefined
}

export interface Route {
  readonly method: 'get' | 'post'
  /** Below `/api/v1`, with `{name}` for parameters. */
  readonly path: string
  readonly summary: string
  /** Who may use it; a lead within his subtree, which the handler sees to. Nobody else may. */
  readonly allows: readonly Role[]
  readonly status: 200 | 201
  readonly body: z.ZodType | null
  readonly query: z.ZodType | null
  readonly answer: z.ZodType
  readonly handle: (asked: Asked<unknown, unknown>) => Promise<unknown>
}

/** Whom a route is for, in the ways that occur. */
export const everybody: readonly Role[] = ['admin', 'finops', 'lead', 'viewer']
/** It shows the whole installation, or cannot be cut to a subtree. */
export const notLeads: readonly Role[] = ['admin', 'finops', 'viewer']
/** It changes something, and can be cut to a subtree. */
export const notViewers: readonly Role[] = ['admin', 'finops', 'lead']
/** It changes something for all. */
export const stewards: readonly Role[] = ['admin', 'finops']
export const admins: readonly Role[] = ['admin']

interface Declared<Body extends z.ZodType, Query extends z.ZodType> {
  readonly method: 'get' | 'post'
  readonly path: string
  readonly summary: string
  readonly allows: readonly Role[]
  readonly status?: 200 | 201
  readonly body?: Body
  readonly query?: Query
  readonly answer: z.ZodType
  readonly handle: (asked: Asked<z.output<Body>, z.output<Query>>) => Promise<unknown>
}

/** The handler's types come from the schemas, which have parsed the input before it is called. */
export function declare<Body extends z.ZodType, Query extends z.ZodType>(
  declared: Declared<Body, Query>,
): Route {
  const {
    method,
    path,
    summary,
    allows,
    status = 200,
    body = null,
    query = null,
    answer,
  } = declared
  const handle = declared.handle as Route['handle']
  return { method, path, summary, allows, status, body, query, answer, handle }
}
