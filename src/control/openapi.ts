/**
 * OpenAPI 3.1 from the routes themselves, so that the description cannot drift from what is served.
 */
import { z } from 'zod'
import type { Route } from './route.ts'

export function openApi(routes: readonly Route[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = `/api/v1${route.path}`
    paths[path] = { ...paths[path], [route.method]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Bursar control API', version: '1' },
    servers: [{ url: '/' }],
    security: [{ admin: [] }, { session: [] }],
    components: {
      securitySchemes: {
        admin: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'bursar_session' },
      },
    },
    paths,
  }
}

function operation(route: Route): Record<string, unknown> {
  const { path, summary, allows, status, body, query, answer } = route
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  return {
    summary,
    // Who may use it: the table of docs/roles.md, for programs.
    'x-bursar-roles': allows,
    parameters: [
      ...names.map((name) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      })),
      ...(query === null ? [] : queryParameters(query)),
    ],
    ...(body === null
      ? {}
      : {
          requestBody: { required: true, content: { 'application/json': { schema: json(body) } } },
        }),
    responses: {
      [status]: { description: 'Done', content: { 'application/json': { schema: json(answer) } } },
      default: {
        description: 'What went wrong (RFC 9457)',
        content: { 'application/problem+json': { schema: { type: 'object' } } },
      },
    },
  }
}

function queryParameters(query: z.ZodType): readonly Record<string, unknown>[] {
  const { properties = {}, required = [] } = json(query) as {
    properties?: Record<string, unknown>
    required?: string[]
  }
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }))
}

function json(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return rest
}
