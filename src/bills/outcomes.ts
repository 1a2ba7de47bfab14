/** Tables of outcomes as helpdesks, CRMs and people export them. */
import { canonical } from './format.ts'
import type { Mapping } from './mapped.ts'
import { parseDay } from './values.ts'

/** One row of such a table, before it is known whether it counts. */
export interface OutcomeRow {
  readonly id: string | null
  readonly type: string | null
  /** Null where the table has no column for it: then every row counts. */
  readonly status: string | null
  /** UTC day; null where the table has no time. */
  readonly day: string | null
  /** As given, for which of two rows is the later. */
  readonly at: string
  /** All cells, by canonical name, `agent`, `team` and the like under these names. */
  readonly values: Readonly<Record<string, string>>
}

type Field = 'id' | 'type' | 'status' | 'at' | 'agent' | 'team' | 'model' | 'project'

/** Names of columns, the best first. */
const names: Readonly<Record<Field, readonly string[]>> = {
  id: [
    'id',
    'outcomeid',
    'ticketid',
    'ticketnumber',
    'ticket',
    'caseid',
    'casenumber',
    'conversationid',
    'leadid',
    'taskid',
    'issuekey',
    'number',
    'key',
  ],
  type: ['type', 'outcometype', 'outcome', 'tickettype', 'kind'],
  status: ['status', 'state', 'resolution', 'ticketstatus', 'casestatus', 'stage', 'result'],
  at: [
    'at',
    'closedat',
    'resolvedat',
    'solvedat',
    'completedat',
    'confirmedat',
    'dateclosed',
    'closedate',
    'closeddate',
    'solved',
    'resolved',
    'occurredat',
    'date',
    'day',
    'updatedat',
    'time',
    'timestamp',
    'createdat',
  ],
  agent: ['agent', 'agentname', 'bot', 'aiagent', 'assistant', 'resolvedby'],
  team: ['team', 'teamname', 'group', 'groupname', 'department', 'queue'],
  model: ['model', 'modelname'],
  project: ['project', 'projectid', 'projectname'],
}

/** Our names → their columns' canonical names; what is mapped by hand comes first. */
export type OutcomeColumns = Readonly<Partial<Record<Field, string>>>

export function outcomeColumns(header: readonly string[], mapping: Mapping): OutcomeColumns {
  const has = new Set(header.map(canonical))
  const found: Partial<Record<Field, string>> = {}
  for (const [field, known] of Object.entries(names) as [Field, readonly string[]][]) {
    const name = known.find((one) => has.has(one))
    if (name !== undefined) found[field] = name
  }
  for (const [their, our] of mapping) {
    if (has.has(their)) found[our as Field] = their
  }
  return found
}

const confirmed = new Set(
  (
    'confirmed,resolved,solved,closed,done,complete,completed,success,successful,succeeded,won,' +
    'closedwon,closedresolved,qualified,accepted,yes,true,1'
  ).split(','),
)

/** Whether a status says that the outcome stands; `said` replaces the list. */
export function isConfirmed(status: string, said: ReadonlySet<string> | null): boolean {
  return (said ?? confirmed).has(canonical(status))
}

/** A row → what it says, or why it cannot be read. */
export function readOutcome(
  columns: OutcomeColumns,
  cells: Readonly<Record<string, string | null | undefined>>,
): OutcomeRow | string {
  const text = (field: Field): string | null => {
    const name = columns[field]
    return name === undefined ? null : (cells[name] ?? '').trim()
  }
  const at = text('at') ?? ''
  const day = at === '' ? null : parseDay(at)
  if (at !== '' && day === null) return `${columns.at}: "${at.slice(0, 40)}" is not a date`
  const values: Record<string, string> = {}
  for (const [name, value] of Object.entries(cells)) values[name] = (value ?? '').trim()
  for (const field of ['type', 'agent', 'team', 'model', 'project'] as const) {
    const value = text(field)
    if (value !== null) values[field] = value
  }
  if (day !== null) {
    values.day = day
    values.month = day.slice(0, 7)
  }
  const id = text('id')
  if (id === '') return `${columns.id} is empty: without it nobody can tell one outcome from two`
  return { id, type: text('type'), status: text('status'), day, at, values }
}
