/** Which climbs are over: what was opened for them is closed, and people hear that it goes on. */
import {
  type Climb,
  relapsedAlert,
  resumedAlert,
  toldOfEnd,
  type Turn,
  turnOf,
} from '#core/climbing.ts'
import { rulesOfSnapshot } from '#core/rules-by-id.ts'
import type { Instant } from '#core/time.ts'
import type { AlertDeps } from './alert-deps.ts'

export async function settleClimbs(deps: AlertDeps): Promise<void> {
  const { store, clock, snapshot } = deps
  const records = await store.records('climb')
  if (records.length === 0) return
  const overrides = await store.overrides()
  const rules = rulesOfSnapshot(snapshot())
  for (const { value } of records) {
    const climb = value as Climb
    const rule = rules.get(climb.budget) ?? null
    const now = clock.now()
    // Most are as they were: the account is asked for only where it can matter.
    const matters = climb.relieved || (rule !== null && rule.amount > climb.amount)
    const account = matters ? await store.account(climb.account) : null
    await settle(deps, climb, turnOf(climb, { rule, account, overrides }, now), now)
  }
}

async function settle({ store }: AlertDeps, climb: Climb, turn: Turn, now: Instant): Promise<void> {
  const put = (value: Climb | null): Promise<void> =>
    store.putRecord({ kind: 'climb', id: climb.account, value })
  switch (turn.kind) {
    case 'goes_on_up':
      return
    case 'over':
    case 'relieved': {
      const tell = !climb.relieved && toldOfEnd(climb).length > 0
      const account = tell ? await store.account(climb.account) : null
      if (tell) await store.raise(resumedAlert(climb, { because: turn.because, account, now }))
      if (turn.kind === 'relieved') return put({ ...climb, relieved: true })
      // Where it is told, the record goes when the alert is routed: that needs to know where to.
      return tell ? undefined : put(null)
    }
    case 'relapsed':
      await store.raise(relapsedAlert(climb, turn, now))
      return put({ ...climb, relieved: false })
  }
}
