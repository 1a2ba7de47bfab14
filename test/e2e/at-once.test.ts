/** What two people, or one impatient client, do at the same time happens once. */
import { expect, test } from 'vitest'
import { apiAt, startWorld } from '#test/support/bursar.ts'
import { startPostgres } from '#test/support/postgres.ts'

const config = 'organization: acme\nbudgets: [{ budget_daily_usd: 10 }]\n'

test.each(['sqlite', 'postgres'])(
  '%s: an override is decided once, by whom ever',
  async (kind) => {
    await using postgres = kind === 'postgres' ? await startPostgres() : null
    const databaseUrl = await postgres?.database()
    await using world = await startWorld({
      config,
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
    })
    const token = async (name: string): Promise<string> =>
      ((await world.api('/tokens', { name, role: 'finops' })) as { token: string }).token
    const [one, other] = [
      apiAt(world.url, await token('ann')),
      apiAt(world.url, await token('bob')),
    ]
    const [budget] = (await world.api('/budgets')) as { id: string }[]
    for (let i = 0; i < 20; i += 1) {
      const body = { budget: budget?.id, extra_usd: '1', reason: 'launch week' }
      const { id } = (await world.api('/overrides', body)) as { id: string }
      const decisions = await Promise.allSettled([
        one(`/overrides/${id}/approve`, {}),
        other(`/overrides/${id}/deny`, {}),
      ])
      const [approval, denial] = decisions
      const taken = decisions.filter(({ status }) => status === 'fulfilled')
      expect(taken).toHaveLength(1)
      const refused = approval.status === 'rejected' ? approval : (denial as PromiseRejectedResult)
      expect(String(refused.reason)).toContain('already_decided')
      const all = (await world.api('/overrides')) as { id: string; state: string }[]
      const state = approval.status === 'fulfilled' ? 'approved' : 'denied'
      expect(all.find((override) => override.id === id)?.state).toBe(state)
    }
    const audit = (await world.api('/audit')) as { action: string }[]
    expect(audit.filter(({ action }) => /approved|denied/.test(action))).toHaveLength(20)
  },
  60_000,
)

test('one Idempotency-Key is one request, also at once', async () => {
  await using world = await startWorld({ config })
  const make = async (): Promise<string> => {
    const answer = await fetch(`${world.url}/api/v1/keys`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer adm_test',
        'content-type': 'application/json',
        'idempotency-key': 'once',
      },
      body: JSON.stringify({ agent: 'triage' }),
    })
    return ((await answer.json()) as { id: string }).id
  }
  const ids = await Promise.all(Array.from({ length: 20 }, make))
  expect(new Set(ids).size).toBe(1)
  expect(await world.api('/keys')).toHaveLength(1)
})
