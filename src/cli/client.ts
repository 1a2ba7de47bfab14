/** The running server as the CLI sees it. */
export interface Server {
  readonly url: string
  readonly token: string | null
}

/** Ends a command with a code that scripts rely on. */
export class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: ExitCode

  constructor(code: ExitCode, message: string) {
    super(message)
    this.code = code
  }
}

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  findings: 3,
  unauthorized: 4,
  unreachable: 5,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

const timeoutMs = 30_000
/** A month of calls is gone through before there is an answer. */
export const longMs = 10 * 60_000

export async function ask(
  server: Server,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  waitMs = timeoutMs,
): Promise<unknown> {
  const answer = await send(server, method, path, body, waitMs)
  const text = await answer.text()
  if (answer.ok) return JSON.parse(text)
  const detail = detailOf(text) ?? `the server answered ${answer.status}`
  const denied = answer.status === 401 || answer.status === 403
  const usage = answer.status === 400 || answer.status === 422
  throw new ExitError(
    denied ? exitCodes.unauthorized : usage ? exitCodes.usage : exitCodes.failed,
    detail,
  )
}

async function send(
  { url, token }: Server,
  method: string,
  path: string,
  body: unknown,
  waitMs: number,
): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (token !== null) headers.authorization = `Bearer ${token}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  try {
    return await fetch(`${url.replace(/\/$/, '')}/api/v1${path}`, {
      method,
      headers,
      signal: AbortSignal.timeout(waitMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ExitError(
      exitCodes.unreachable,
      `cannot reach Bursar at ${url} (${reason}). Start it with "npm start", or set BURSAR_URL.`,
    )
  }
}

function detailOf(text: string): string | null {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || !('detail' in parsed)) return null
    return typeof parsed.detail === 'string' ? parsed.detail : null
  } catch {
    return null
  }
}
