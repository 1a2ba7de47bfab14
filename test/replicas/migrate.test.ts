/** Moving house: an embedded installation becomes a shared one, and nobody's money changes. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nanos } from '#core/money.ts'
import type { Store } from '#ports/store.ts'
import { PostgresStore } from '#store/postgres/store.ts'
import { moveIn } from '#store/postgres/move-in.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { apiAt } from '#test/support/bursar.ts'
import { ask, type Ended, makeKey, newSite, runBursar, startChild } from '#test/support/child.ts'
import { claim } from '#test/support/outcomes.ts'
import { budgets, holdOf, rules, settleOf, start } from '#test/support/ledger.ts'
import { startPostgres } from '#test/support/postgres.ts'
import { startReplica } from '#test/support/replicas.ts'

const spent = async (url: string): Promise<unknown> =>
  ((await apiAt(url)('/budgets')) as { name: string; posted_usd: string; held_usd: string }[]).map(
    ({ name, posted_usd, held_usd }) => [name, posted_usd, held_usd],
  )

test('keys open, and every balance is what it was', async () => {
  await using postgres = await startPostgres()
  await using site = await newSite()
  const before = await startChild(site)
  const key = await makeKey(before)
  for (let i = 0; i < 20; i += 1) expect((await ask(before, key)).status).toBe(200)
  const was = await spent(before.url)
  const url = await postgres.database()
  const move = ['migrate', '--from', site.data, '--to', url]
  // Not while somebody writes to it.
  const tooSoon = await runBursar(move)
  expect([tooSoon.code, tooSoon.said]).toEqual([1, expect.stringContaining('another Bursar')])
  await before.stop()

  const moved = await runBursar(move)
  expect(moved.said).toContain('20 holds (0 open): moved')
  expect(moved.code).toBe(0)
  const again = await runBursar(move)
  expect([again.code, again.said]).toEqual([1, expect.stringContaining('moved there already')])
  await using after = await startReplica(site, url, 0)
  expect(await spent(after.url)).toEqual(was)
  expect((await ask(after, key)).status).toBe(200)
  expect(await spent(after.url)).not.toEqual(was)
})

test('what is no PostgreSQL, or not there, is no place to move to', async () => {
  await using site = await newSite()
  await (await startChild(site)).stop()
  const to = (url: string): Promise<Ended> =>
    runBursar(['migrate', '--from', site.data, '--to', url])
  for (const url of ['', './other', 'mysql://user:secret@127.0.0.1/bursar']) {
    const { code, said } = await to(url)
    expect([code, said]).toEqual([1, expect.stringContaining('--to must begin with postgres://')])
    expect(said).not.toContain('secret')
  }
  const away = await to('postgres://bursar@127.0.0.1:1/bursar')
  expect([away.code, away.said]).toEqual([1, expect.stringContaining('ECONNREFUSED')])
})

test('a move that was interrupted goes on, and nobody starts on half a ledger', async () => {
  await using postgres = await startPostgres({ flags: ['fsync=off'] })
  await using site = await newSite()
  const store = new SqliteStore({ path: join(site.folder, 'bursar.db') })
  await store.adopt(budgets, start)
  const calls = Array.from({ length: 4000 }, (_, no) => no)
  await Promise.all(calls.map((no) => store.run(holdOf(no), start, rules)))
  await Promise.all(calls.slice(0, 3990).map((no) => store.run(settleOf(no), start, rules)))
  await told(store, 1)
  await store.close()

  const url = await postgres.database()
  const seen: string[] = []
  const cut = moveIn(site.folder, url, ({ table, done, of }) => {
    seen.push(`${table} ${done} ${of}`)
    if (table === 'entry') throw new Error('the power went')
  })
  await expect(cut).rejects.toThrow('the power went')
  expect(seen.at(-1)).toBe('entry 5000 7990')
  await expect(PostgresStore.open({ url })).rejects.toThrow('run `bursar migrate` again')

  const steps: string[] = []
  const found = await moveIn(site.folder, url, ({ table, done }) => steps.push(`${table} ${done}`))
  expect(steps[0]).toBe('entry 7990')
  expect(found).toMatchObject({ entries: 7990, holds: 4000, openHolds: 10, findings: [] })
  const moved = await PostgresStore.open({ url })
  // It is a ledger like any other: it goes on where the old one ended.
  expect((await moved.run(settleOf(3999), start, rules)).result.status).toBe('applied')
  expect((await moved.entries(7990, 10)).map(({ seq }) => seq)).toEqual([7991])
  await told(moved, 2)
  expect([await moved.outcomeEvent('o1'), await moved.outcomeEvent('o2')]).toMatchObject([
    { seq: 1, value: 7n },
    { seq: 2 },
  ])
  await moved.close()
})

function told(store: Store, n: number): Promise<void> {
  const events = [claim(`o${n}`, { value: nanos(7n) })]
  const note = { actor: 'x', action: 'x', subject: 'x', reason: null, before: null, after: null }
  return store.change({ kind: 'add_outcomes', events }, { id: `aud_o${n}`, at: start, ...note })
}
