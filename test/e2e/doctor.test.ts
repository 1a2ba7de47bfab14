import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Finding } from '#core/recount.ts'
import { inspect } from '#store/sqlite-inspect.ts'
import { SqliteStore } from '#store/sqlite.ts'
import { until } from '#test/support/bursar.ts'
import {
  ask,
  type Child,
  makeKey,
  newSite,
  runBursar,
  type Site,
  startChild,
} from '#test/support/child.ts'
import { budgets, holdOf, rules, start } from '#test/support/ledger.ts'

let site: Site
/** A ledger of twenty calls, closed. */
let sound = ''

beforeAll(async () => {
  site = await newSite()
  await using child = await startChild(site)
  const key = await makeKey(child)
  for (let i = 0; i < 20; i += 1) await ask(child, key)
  await child.stop()
  sound = join(site.folder, 'sound.db')
  copyFileSync(site.ledger, sound)
})
afterAll(() => site[Symbol.asyncDispose]())

interface Told {
  readonly ok: boolean
  readonly entries: number
  readonly accounts: number
  readonly holds: number
  readonly open_holds: number
  readonly findings: readonly Finding[]
}

async function api({ url }: Child, path: string): Promise<unknown> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    headers: { authorization: 'Bearer adm_test' },
  })
  expect(answer.status).toBe(200)
  return answer.json()
}

/** What `budget list` shows as spent in the budget for everything. */
async function spent(child: Child): Promise<string> {
  const rows = (await api(child, '/budgets')) as { name: string; posted_usd: string }[]
  return rows.find(({ name }) => name.startsWith('all'))?.posted_usd ?? 'no such budget'
}

/** Eight callers until it is stopped. */
function underLoad(child: Child, key: string): () => Promise<void> {
  let over = false
  const one = async (): Promise<void> => {
    while (!over) expect((await ask(child, key, 'delay=2')).status).toBe(200)
  }
  const callers = Promise.all(Array.from({ length: 8 }, one))
  return async () => {
    over = true
    await callers
  }
}

let tampered = 0

/** A data folder with a copy of the sound ledger, changed behind Bursar's back. */
function tamper(sql: string): Site {
  tampered += 1
  const data = join(site.folder, `tampered-${tampered}`)
  mkdirSync(data)
  const ledger = join(data, 'bursar.db')
  copyFileSync(sound, ledger)
  const db = new DatabaseSync(ledger)
  db.exec('drop trigger entry_is_a_fact; drop trigger entry_stays')
  db.exec(sql)
  db.close()
  return { ...site, data, ledger }
}

const tampering: Readonly<Record<string, readonly [sql: string, said: RegExp]>> = {
  'a balance': [
    "update account set posted = posted + 1 where key like 'bud_%' and value is null",
    /^entry 40, bud_\S+: its entries \(the last is 40\) add up to \d+ posted and 0 pending, but \d+ and 0 are stored/,
  ],
  'an account that is gone': [
    'delete from account where value is null',
    /^entry \d+, hold_\S+: it counts usd on account 1, which is not there/,
  ],
  'an entry that is gone': [
    'delete from entry where seq = 7',
    /^entry 7, ledger: entry 7 is missing: entry 8 follows/,
  ],
  'an entry that was changed': [
    "update entry set lines = replace(lines, ':-', ':-1') where seq = 10",
    /^entry 10, bud_\S+: after entry 10 \(settle\) the balance is below zero/,
  ],
  'an entry that was made up': [
    'insert into entry select null, kind, hold, at, lines, overage, reason, author from entry where seq = 3',
    /^entry 41, hold_\S+: entry 41 holds it a second time/,
  ],
  'the state of a hold': [
    "update hold set state = 'voided' where rowid = 5",
    /^entry 10, hold_\S+: its last entry 10 is of kind settle, but it is stored as voided/,
  ],
  'the cost of a hold': [
    'update hold set cost = 0 where rowid = 6',
    /^entry 12, hold_\S+: it is stored with amount \d+ and cost 0, but with \d+ and \d+ on bud_/,
  ],
  'a hold that is gone': [
    'delete from hold where rowid = 2',
    /^entry 3, hold_\S+: entry 3 names it, but it is not stored/,
  ],
}

for (const [what, [sql, said]] of Object.entries(tampering)) {
  test(`doctor, after tampering with ${what}: exit 3, and the first bad entry explained`, async () => {
    const { data } = tamper(sql)
    const plain = await runBursar(['doctor', '--ledger', '--data', data])
    expect(plain.code).toBe(3)
    expect(plain.said).toMatch(said)
    const found = await runBursar(['doctor', '--ledger', '--json', '--data', data])
    expect(found.code).toBe(3)
    const told = JSON.parse(found.said.split('bursar:')[0] ?? '') as Told
    expect(told.ok).toBe(false)
    const [first] = told.findings
    const prefix = first?.seq === null ? '' : `entry ${first?.seq}, `
    expect(plain.said.split('\n')[0]).toBe(`${prefix}${first?.subject}: ${first?.message}`)
  })
}

test('doctor finds a running ledger sound, by command and by API, under load', async () => {
  await using own = await newSite()
  await using child = await startChild(own)
  const key = await makeKey(child)
  const stop = underLoad(child, key)
  for (let i = 0; i < 3; i += 1) {
    const ran = await runBursar(['doctor', '--ledger', '--data', own.data])
    expect([ran.code, ran.said]).toEqual([0, expect.stringMatching(/^\d+ entries, .*: sound\n$/)])
    const told = (await api(child, '/doctor')) as Told
    expect(told).toMatchObject({ ok: true, findings: [], accounts: 2 })
    expect(told.entries).toBe(2 * told.holds - told.open_holds)
  }
  await stop()
  const json = await runBursar(['doctor', '--json', '--data', own.data])
  // The server knows of its callers, too; the file alone does not.
  expect({ ...JSON.parse(json.said), cross_use: [] }).toEqual(await api(child, '/doctor'))
})

test('GET /api/v1/doctor tells a tampered ledger too, and nobody without the token', async () => {
  const site = tamper("update hold set state = 'voided' where rowid = 5")
  await using child = await startChild(site)
  const told = (await api(child, '/doctor')) as Told
  expect(told).toMatchObject({
    ok: false,
    entries: 40,
    holds: 20,
    open_holds: 0,
    // Reports have counted what is no longer there.
    findings: [{ seq: 10, subject: expect.stringMatching(/^hold_/) }, { subject: 'spend' }],
  })
  expect((await fetch(`${child.url}/api/v1/doctor`)).status).toBe(401)
})

test('where there is no ledger, doctor says so', async () => {
  const ran = await runBursar(['doctor', '--data', join(site.folder, 'nowhere')])
  expect([ran.code, ran.said]).toEqual([1, expect.stringContaining('there is no ledger at')])
})

/** Balance and promise of the budget for everything, by its entries: what a start makes of it. */
function heldIn(ledger: string): bigint {
  const db = new DatabaseSync(ledger, { readOnly: true })
  const account = db.prepare('select no from account where value is null').get()
  const lines = db.prepare('select lines from entry').all()
  db.close()
  return lines
    .flatMap((row) => String(row.lines).split(','))
    .map((line) => line.split(':'))
    .filter(([no]) => no === String(account?.no))
    .reduce((sum, [, posted, pending]) => sum + BigInt(posted ?? 0) + BigInt(pending ?? 0), 0n)
}

test('a backup under load is a ledger: restored, it starts, and what was open is presumed', async () => {
  await using own = await newSite()
  await using child = await startChild(own)
  const key = await makeKey(child)
  const stop = underLoad(child, key)
  const copy = join(own.folder, 'under-load')
  for (let calls = 0; calls < 1500; calls = own.simulator.requests()) await ask(child, key)
  const made = await runBursar(['backup', copy, '--data', own.data])
  const seen = own.simulator.requests()
  await stop()
  expect([made.code, made.said]).toEqual([0, expect.stringMatching(/sha256 [0-9a-f]{64}\n$/)])
  const data = join(own.folder, 'restored')
  const restored = await runBursar(['restore', copy, '--data', data])
  expect([restored.code, restored.said]).toEqual([0, expect.stringContaining(': restored.')])
  const expected = heldIn(join(data, 'bursar.db'))
  await using next = await startChild({ ...own, data })
  expect(BigInt((await spent(next)).replace('.', ''))).toBe(expected)
  const told = (await api(next, '/doctor')) as Told
  expect(told).toMatchObject({ ok: true, open_holds: 0 })
  expect(told.holds).toBeLessThanOrEqual(seen)
  expect(told.holds).toBeGreaterThan(1400)
})

test('a backup ends although the ledger is written to all the time', async () => {
  const path = join(site.folder, 'bursar.db')
  const store = new SqliteStore({ path })
  await store.adopt(budgets, start)
  let no = 0
  const next = (): Promise<unknown> => store.run(holdOf(no++), start, rules)
  while (no < 20_000) await Promise.all(Array.from({ length: 10_000 }, next))
  let over = false
  const writing = (async () => {
    while (!over) await next()
  })()
  const copy = join(site.folder, 'busy')
  const ran = await Promise.race([
    runBursar(['backup', copy, '--data', site.folder]),
    until('the backup', () => over, 20_000),
  ])
  over = true
  await writing
  await store.close()
  expect(ran).toMatchObject({ code: 0 })
  expect(await inspect(copy)).toMatchObject({ findings: [], accounts: 5 })
})

test('a backup at rest: the same spend to the nano-dollar in a new folder', async () => {
  await using own = await newSite()
  await using child = await startChild(own)
  const key = await makeKey(child)
  for (let i = 0; i < 10; i += 1) await ask(child, key)
  const before = await spent(child)
  const copy = join(own.folder, 'copy')
  expect((await runBursar(['backup', copy, '--data', own.data])).code).toBe(0)
  // What comes after a backup is not in it.
  await ask(child, key)
  const data = join(own.folder, 'restored')
  expect((await runBursar(['restore', copy, '--data', data])).code).toBe(0)
  // Who called what, and what tells keys apart, is nobody else's to read.
  for (const file of [copy, join(data, 'bursar.db')]) expect(statSync(file).mode & 0o77).toBe(0)
  await using next = await startChild({ ...own, data })
  expect(await spent(next)).toBe(before)
  expect(await spent(child)).not.toBe(before)
})

async function refusedRestore(copy: string, data: string, why: RegExp): Promise<void> {
  const ran = await runBursar(['restore', copy, '--data', data])
  expect([ran.code, ran.said]).toEqual([1, expect.stringMatching(why)])
}

test('restore refuses a flipped byte, a missing checksum, a ledger in its place, unsound sums', async () => {
  const copy = join(site.folder, 'copy')
  expect((await runBursar(['backup', copy, '--data', site.data])).code).toBe(0)
  expect((await runBursar(['backup', copy, '--data', site.data])).said).toContain('exists already')
  const fresh = join(site.folder, 'fresh')
  await refusedRestore(copy, site.data, /exists: move it away first/)
  const left = join(site.folder, 'left')
  mkdirSync(left)
  writeFileSync(join(left, 'bursar.db-wal'), '')
  await refusedRestore(copy, left, /bursar\.db-wal exists: move it away first/)
  const whole = readFileSync(copy)
  for (const at of [0, 20_000, whole.length - 1]) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(copy, bytes)
    await refusedRestore(copy, fresh, /not what was backed up: its checksum differs/)
  }
  const bad = join(site.folder, 'bad')
  const { data } = tamper('update account set posted = posted + 1')
  expect((await runBursar(['backup', bad, '--data', data])).code).toBe(0)
  await refusedRestore(bad, fresh, /is not sound: its entries/)
  copyFileSync(sound, join(site.folder, 'bare'))
  await refusedRestore(join(site.folder, 'bare'), fresh, /bare\.sha256 is missing/)
  await refusedRestore(join(site.folder, 'none'), fresh, /there is no backup at/)
  expect(existsSync(join(fresh, 'bursar.db'))).toBe(false)
})
