/** JSON lines for machines: which observation is worth a line, and at what level. */
import { type Logger, pino } from 'pino'
import { formatUsd, type Nanos } from '#core/money.ts'
import type { Observation } from '#core/observation.ts'
import type { RefusalCode } from '#core/refusal.ts'
import type { Observe } from '#ports/observer.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export function logObserver(level: LogLevel): Observe {
  // Standard error: standard output belongs to what a command was asked for.
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: false }),
  )
  return (observation) => write(log, observation)
}

/**
 * Refusals whose sentence repeats what was sent: a path with a key in it, a name out of a prompt.
 * The caller has the sentence; with its call id, what is logged is enough to find it.
 */
const quotesCaller: ReadonlySet<RefusalCode> = new Set(['invalid_request', 'not_found'])

function write(log: Logger, o: Observation): void {
  switch (o.kind) {
    case 'alert': {
      const { id, budget, value, threshold, posted, amount, unit, kind } = o.alert
      const show = (n: bigint): string => (unit === 'usd' ? formatUsd(n as Nanos) : String(n))
      return log.warn(
        {
          kind: 'alert',
          alert: id,
          of: kind,
          budget,
          value,
          threshold,
          posted: show(posted),
          limit: show(amount),
          actions: o.alert.actions.map((action) => action.kind),
          details: o.alert.details,
        },
        kind === 'threshold' ? `budget ${budget} crossed ${threshold}` : `${kind} ${threshold}`,
      )
    }
    case 'call_ended':
      return log.debug({ ...o, cost: formatUsd(o.cost) }, 'call ended')
    case 'call_refused': {
      const { message, ...rest } = o
      return log.info(quotesCaller.has(o.code) ? rest : { ...rest, message }, 'call refused')
    }
    case 'overage':
      return log.error(
        { ...o, held: formatUsd(o.held), cost: formatUsd(o.cost) },
        'a provider billed more than the bound',
      )
    case 'sign_in_failed':
    case 'odd_usage':
    case 'attempt_failed':
    case 'config_changed':
    case 'cross_use':
    case 'holds_expired':
    case 'notification_failed':
      return log.warn(o, o.kind)
    case 'config_refused':
    case 'ledger_failed':
    case 'unexpected':
      return log.error(o, o.kind)
    case 'account_touched':
    case 'committed':
      return
    case 'digest_sent':
    case 'started':
    case 'stopping':
    case 'ledger_recovered':
    case 'config_loaded':
      return log.info(o, o.kind)
  }
}
