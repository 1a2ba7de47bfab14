/** A CSV of outcomes to what its rows say. Every row is either read or told with its line. */
import { z } from 'zod'
import type { OutcomeSaid } from '#core/outcome-claim.ts'
import { attesters } from '#core/outcome.ts'
import { parseCsv } from '#lib/csv.ts'
import type { ImportRow } from './outcome-desk.ts'
import { saidOf } from './outcome-said.ts'
import { invalid, ProblemError } from './problem.ts'

/** Our fields, and what else they are called by those who export them. */
const fields: Readonly<Record<string, readonly string[]>> = {
  id: ['outcome_id', 'ticket_id', 'case_id', 'lead_id', 'task_id'],
  type: ['outcome_type', 'outcome'],
  at: ['resolved_at', 'solved_at', 'closed_at', 'completed_at', 'date', 'time', 'timestamp'],
  conversation: ['conversation_id', 'session_id', 'thread_id'],
  run: ['run_id'],
  call: ['call_id'],
  agent: [],
  tenant: ['customer', 'account'],
  value_usd: ['value', 'amount_usd'],
  attested_by: [],
  human_minutes: ['minutes'],
  reverses: ['reverses_id'],
  confirms: [],
  cause: ['reason'],
}

export interface ImportDefaults {
  /** Our field to the column that has it. */
  readonly columns: Readonly<Record<string, string>>
  readonly type: string | undefined
  readonly attested_by: (typeof attesters)[number] | undefined
}

export interface ReadRows {
  readonly rows: readonly ImportRow[]
  readonly errors: readonly { readonly line: number; readonly message: string }[]
}

const attester = z.enum(attesters)

/** Throws where the file as a whole cannot be read. */
export function importOf(csv: string, defaults: ImportDefaults): ReadRows {
  const [head, ...lines] = parseCsv(csv)
  if (head === undefined) throw invalid('csv', 'the file is empty: its first line names columns')
  const places = placesOf(
    head.cells.map((name) => name.trim()),
    defaults.columns,
  )
  const rows: ImportRow[] = []
  const errors: { line: number; message: string }[] = []
  for (const { line, cells } of lines) {
    try {
      if (cells.length > head.cells.length) {
        throw invalid('csv', `${cells.length} cells under ${head.cells.length} columns`)
      }
      rows.push({ line, said: rowOf(places, cells, defaults) })
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      errors.push({ line, message: error.problem.detail })
    }
  }
  return { rows, errors }
}

/** Which column has which field; a column that nothing needs is left alone. */
function placesOf(
  head: readonly string[],
  columns: Readonly<Record<string, string>>,
): ReadonlyMap<string, number> {
  const places = new Map<string, number>()
  const simple = head.map((name) => name.toLowerCase().replace(/[^a-z0-9]+/g, '_'))
  for (const [field, column] of Object.entries(columns)) {
    if (fields[field] === undefined) {
      throw invalid('columns', `"${field}" is not one of: ${Object.keys(fields).join(', ')}`)
    }
    const at = head.indexOf(column)
    if (at === -1) {
      throw invalid('columns', `there is no column "${column}"; there are: ${head.join(', ')}`)
    }
    places.set(field, at)
  }
  for (const [field, others] of Object.entries(fields)) {
    const at = [field, ...others].map((one) => simple.indexOf(one)).find((one) => one !== -1)
    if (at !== undefined && !places.has(field)) places.set(field, at)
  }
  if (!places.has('id') && !places.has('reverses') && !places.has('confirms')) {
    const seen = head.join(', ')
    throw invalid('csv', `no column is the id: map one, as {"id": "Ticket"}. There are: ${seen}`)
  }
  return places
}

function rowOf(
  places: ReadonlyMap<string, number>,
  cells: readonly string[],
  defaults: ImportDefaults,
): OutcomeSaid {
  const text = (field: string): string | undefined => {
    const at = places.get(field)
    const cell = at === undefined ? '' : (cells[at] ?? '').trim()
    return cell === '' ? undefined : cell
  }
  const said = text('attested_by')
  const who = said === undefined ? undefined : attester.safeParse(said).data
  if (said !== undefined && who === undefined) {
    throw invalid('attested_by', `"${said}" is not one of: ${attesters.join(', ')}`)
  }
  const isChange = text('reverses') !== undefined || text('confirms') !== undefined
  return saidOf({
    id: text('id'),
    type: text('type') ?? (isChange ? undefined : defaults.type),
    at: text('at'),
    conversation: text('conversation'),
    run: text('run'),
    call: text('call'),
    agent: text('agent'),
    tenant: text('tenant'),
    value_usd: text('value_usd'),
    attested_by: who ?? defaults.attested_by,
    human_minutes: text('human_minutes'),
    reverses: text('reverses'),
    confirms: text('confirms'),
    cause: text('cause'),
  })
}
