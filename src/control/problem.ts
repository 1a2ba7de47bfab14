/** Errors of the control API: RFC 9457, with a code that scripts can rely on. */
export interface Problem {
  readonly status: number
  readonly code: string
  readonly title: string
  /** What is wrong and what to do about it. */
  readonly detail: string
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
}

/** Thrown by handlers, answered by `app.ts`. The one place where an expected case is thrown. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

export function notFound(what: string, id: string): ProblemError {
  return new ProblemError({
    status: 404,
    code: 'not_found',
    title: 'Not found',
    detail: `There is no ${what} "${id}".`,
  })
}

export function forbidden(code: string, detail: string): ProblemError {
  return new ProblemError({ status: 403, code, title: 'Forbidden', detail })
}

export function conflict(code: string, detail: string): ProblemError {
  return new ProblemError({ status: 409, code, title: 'Conflict', detail })
}

export function invalid(path: string, message: string): ProblemError {
  return new ProblemError({
    status: 400,
    code: 'invalid_request',
    title: 'Invalid request',
    detail: `${path}: ${message}`,
    errors: [{ path, message }],
  })
}

export function problemBody(problem: Problem): Record<string, unknown> {
  const { status, code, title, detail, errors } = problem
  return {
    type: `https://bursar.dev/errors#${code}`,
    title,
    status,
    code,
    detail,
    ...(errors === undefined ? {} : { errors }),
  }
}
