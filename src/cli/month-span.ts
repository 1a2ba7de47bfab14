/** A month as people write it, and the times that the API asks for. */
import { parseInstant, periodAt, toIso } from '#core/time.ts'
import { ExitError, exitCodes } from './client.ts'

interface Said {
  readonly month?: string
  readonly from?: string
  readonly to?: string
}

/** `from` and `to` of a query; a month is one of UTC. */
export function monthSpan({ month, from, to }: Said): Readonly<Record<string, string>> {
  if (month === undefined) {
    return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  }
  const start = /^\d{4}-\d{2}$/.test(month) ? parseInstant(`${month}-01T00:00:00Z`) : null
  if (start === null) throw new ExitError(exitCodes.usage, `"${month}" is not a month: 2026-10`)
  if (from !== undefined || to !== undefined) {
    throw new ExitError(exitCodes.usage, 'say --month, or --from and --to')
  }
  return { from: toIso(start), to: toIso(periodAt('month', 'UTC', start).end) }
}
