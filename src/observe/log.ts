/** JSON lines for machines: which observation is worth a line, and at what level. */
import { type Logger, pino } from 'pino'
import { formatUsd, type Nanos } from '#core/money.ts'
import type { Observation } from '#core/observation.ts'
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
        },
        `budget ${budget} crossed ${threshold}`,
      )
    }
    case 'call_ended':
      return log.debug({ ...o, cost: formatUsd(o.cost) }, 'call ended')
    case 'call_refused':
      return log.info(o, 'call refused')
    case 'overage':
      return log.error(
        { ...o, held: formatUsd(o.held), cost: formatUsd(o.cost) },
        'a provider billed more than the bound',
      )
    case 'odd_usage':
    case 'attempt_failed':
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
    case 'started':
    case 'stopping':
    case 'ledger_recovered':
    case 'config_loaded':
      return log.info(o, o.kind)
  }
}
