/** How accounts are read where no batch needs them. */
import type { Account } from '#core/account.ts'
import { accountFromRow, type AccountRow } from '#store/codec.ts'

/** $1: a time; $2: a budget, or null. */
export const accountsAt = `select * from bursar.account
  where period_start <= $1 and $1 < period_end
    and (budget = $2 or $2::text is null and (period_start > 0 or unit = 'concurrent'))
  order by key collate "C"`

/** $1: a budget; $2: when its period begins; $3: at most so many. */
export const dearest = `select * from bursar.account where budget = $1 and period_start = $2
  order by posted desc, key collate "C" limit $3`

export const asAccount = (row: Readonly<Record<string, unknown>>): Account =>
  accountFromRow(row as unknown as AccountRow)
