import { expect, test } from 'vitest'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { generator } from '#test/sim/clock.ts'
import { examine, load } from '#test/support/acknowledged.ts'
import { makeKey, newSite, startChild } from '#test/support/child.ts'

const cycles = process.env.BURSAR_LONG === '1' ? 2000 : 200

test(`${cycles} kills -9 under load: nothing acknowledged is lost, no hold leaks`, async () => {
  await using site = await newSite()
  const chance = generator(20_261_124)
  const acknowledged = new Map<string, string>()
  let key = ''
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    await using child = await startChild(site)
    if (key === '') key = await makeKey(child)
    const loading = load(child, key, acknowledged)
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.floor(chance() * 200)))
    await child.kill()
    await loading
  }
  // One more start takes over what the last kill left; then it ends in the ordinary way.
  await using last = await startChild(site)
  expect(await last.stop()).toMatchObject({ code: 0 })
  const { findings, openHolds } = await inspect(site.ledger)
  const store = new SqliteStore({ path: site.ledger })
  const found = { findings, openHolds, ...(await examine(store, site.simulator, acknowledged)) }
  await store.close()
  expect(acknowledged.size).toBeGreaterThan(cycles * 5)
  const nothing = { findings: [], openHolds: 0, lost: [], wrong: [], under: [], unheld: [] }
  expect(found).toMatchObject(nothing)
  expect(found.presumed).toBeGreaterThan(0)
}, 3_600_000)
