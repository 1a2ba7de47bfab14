/** Prices beside the list: contracts, calls priced again, books that move too far. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { formatProblem, loadSnapshot } from '#config/load.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { startBursar } from '#src/wiring.ts'
import { loadPriceBook } from '#system/price-files.ts'
import {
  auditBooks,
  call,
  chatBody,
  startWorld,
  until,
  usual,
  type World,
} from '#test/support/bursar.ts'

const config = 'budgets: [{ name: all, budget_yearly_usd: 1000 }]\n'
const dearer = `vendor: openai
source: a test
checked: "2026-11-01"
models:
  - model: gpt-5-mini
    context_window: 400000
    max_output_tokens: 128000
    prices: [{ input: 0.3, cache_read: 0.03, output: 2.5 }]
`
const own = { name: 'own.yaml', text: dearer }

interface Recost {
  readonly calls: number
  readonly changed: number
  readonly adjusted: number
  readonly old_usd: string
  readonly new_usd: string
  readonly list_usd: string
  readonly difference_usd: string
  readonly by_model: readonly { readonly model: string }[]
  readonly kept: readonly { readonly why: string; readonly calls: number }[]
}

const exact = (usd: string): bigint => BigInt(usd.replace('.', ''))

test('recost shows what differs, and writes it once', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'a' })
  const answers = [1, 2, 3].map(() => call(world, key, '/v1/chat/completions', chatBody('hi')))
  await Promise.all(answers)
  await until('all settled', async () => (await world.bursar.store.openHolds()) === 0)
  const budget = (await world.api('/budgets')) as { id: string; posted_usd: string }[]
  const before = budget[0]?.posted_usd ?? ''

  const same = (await world.api('/prices/recost', {})) as Recost
  expect(same).toMatchObject({ calls: 3, changed: 0, difference_usd: '0.000000000' })
  expect(same.old_usd).toBe(before)

  const shown = (await world.api('/prices/recost', { prices: [own] })) as Recost
  expect(shown).toMatchObject({ calls: 3, changed: 3, adjusted: 0 })
  expect(exact(shown.new_usd)).toBeGreaterThan(exact(shown.old_usd))
  const entries = async () => ((await world.api('/ledger?limit=1000')) as unknown[]).length
  const written = await entries()
  expect(await world.postedUsd(budget[0]?.id ?? '')).toBe(before)

  const applied = (await world.api('/prices/recost', { prices: [own], apply: true })) as Recost
  expect(applied.adjusted).toBe(3)
  expect(await entries()).toBe(written + 3)
  expect(await world.postedUsd(budget[0]?.id ?? '')).toBe(shown.new_usd)

  const again = (await world.api('/prices/recost', { prices: [own], apply: true })) as Recost
  expect(again).toMatchObject({ adjusted: 0, changed: 0, old_usd: shown.new_usd })
  expect(await entries()).toBe(written + 3)
  expect(await auditBooks(world)).toBe(0)
})

test('what a person has set right, and what nobody knows, keeps its cost', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'a' })
  const path = '/v1/chat/completions'
  const first = await call(world, key, path, chatBody('hi'))
  await call(world, key, path, chatBody('hi'), { 'bursar-sim': 'usage=missing' })
  await until('all settled', async () => (await world.bursar.store.openHolds()) === 0)
  const id = first.headers.get('bursar-call-id')
  const { attempts } = (await world.api(`/calls/${id}`)) as { attempts: { id: string }[] }
  const hold = attempts[0]?.id
  await world.api('/ledger/adjustments', { hold, cost_usd: '0.5', reason: 'the bill says so' })
  const found = (await world.api('/prices/recost', { prices: [own], apply: true })) as Recost
  expect(found).toMatchObject({ calls: 0, adjusted: 0 })
  expect(found.kept.map(({ why, calls }) => [why, calls])).toEqual([
    ['presumed', 1],
    ['corrected', 1],
  ])
})

test('a budget pays the agreed price, and the list price is kept beside it', async () => {
  const contracts = `prices:
  contracts:
    - { provider: simulator, discount_percent: 25 }
    - { provider: simulator, model: gpt-5, usd_per_million: { input: 1, output: 4 } }
    - { provider: simulator, model: gpt-5-nano, provisioned_monthly_usd: 9000 }
`
  await using world = await startWorld({ config: config + contracts })
  const key = await world.key({ agent: 'a' })
  const path = '/v1/chat/completions'
  for (const model of ['gpt-5-mini', 'gpt-5', 'gpt-5-nano']) {
    await call(world, key, path, chatBody('hi', { model }))
  }
  await until('all settled', async () => (await world.bursar.store.openHolds()) === 0)
  const holds = [...(await world.bursar.store.recentHolds(9))].reverse()
  const [discount, fixed, provisioned] = holds
  const list = (at: (typeof holds)[number] | undefined) => exact(String(at?.facts.listUsd))
  // Each rate is rounded up to a pico-dollar, and the sum up to a nano-dollar.
  expect(discount?.cost).toBe((list(discount) * 75n + 99n) / 100n)
  const used = fixed?.facts.usage as { input: number; output: number }
  expect(fixed?.cost).toBe(BigInt(used.input * 1000 + used.output * 4000))
  expect(provisioned?.cost).toBe(0n)
  expect(list(provisioned)).toBeGreaterThan(0n)
  const budget = (await world.api('/budgets')) as { posted_usd: string }[]
  const net = holds.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)
  expect(exact(budget[0]?.posted_usd ?? '')).toBe(net)
  const shown = await world.api('/prices/gpt-5-nano')
  expect(shown).toMatchObject({
    contracts: [{ discount_percent: '25' }, { monthly_usd: '9000.000000000' }],
  })
  const recosted = (await world.api('/prices/recost', {})) as Recost
  expect(recosted).toMatchObject({ calls: 3, changed: 0 })
  expect(exact(recosted.list_usd)).toBeGreaterThan(exact(recosted.new_usd))
})

function bursar(world: World, ...args: readonly string[]): Promise<{ out: string; err: string }> {
  const main = new URL('../../src/main.ts', import.meta.url).pathname
  const env = { ...process.env, BURSAR_URL: world.url, BURSAR_ADMIN_TOKEN: 'adm_test' }
  const whole = ['--disable-warning=ExperimentalWarning', main, ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, whole, { env }, (_error, out, err) => resolve({ out, err }))
  })
}

test('on the command line: a dry run, what is refused without --accept, what is written', async () => {
  await using world = await startWorld({ config })
  const key = await world.key({ agent: 'a' })
  await call(world, key, '/v1/chat/completions', chatBody('hi'))
  await until('it is settled', async () => (await world.bursar.store.openHolds()) === 0)
  const folder = mkdtempSync(join(tmpdir(), 'bursar-recost-'))
  folders.push(folder)
  const file = join(folder, 'far.yaml')
  writeFileSync(file, dearer.replace('output: 2.5', 'output: 9'))
  const asked = ['price', 'recost', '--prices', file]
  const dry = await bursar(world, ...asked)
  expect(dry.out).toMatch(/^gpt-5-mini +1 +1 +0\.0/m)
  expect(dry.out).toMatch(/^total +1 +1 +0\.0/m)
  expect(dry.err).toMatch(/nothing was written/)
  const refused = await bursar(world, ...asked, '--apply')
  expect(refused.err).toMatch(/gpt-5-mini: output from 2 to 9 USD per million/)
  const done = await bursar(world, ...asked, '--apply', '--accept')
  expect(done.err).toMatch(/1 adjusting entries written/)
  const again = await bursar(world, ...asked, '--apply', '--accept')
  expect(again.err).toMatch(/0 adjusting entries written/)
})

const folders: string[] = []
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true })
})

function snapshotWith(more: string): Snapshot {
  const files = [{ name: 'x.yaml', text: config + more }]
  const readFile = (name: string) => (name === 'own.yaml' ? ownText : null)
  const env = () => undefined
  const loaded = loadSnapshot({ files, env, readFile, priceBook: loadPriceBook() })
  if (!loaded.ok) throw new Error(loaded.problem.map(formatProblem).join('\n'))
  return loaded.value.snapshot
}
let ownText = dearer

test('a price book that moves far is refused until somebody accepts it', async () => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'bursar-prices-'))
  folders.push(dataFolder)
  ownText = dearer
  let more = 'prices: { files: [own.yaml] }\n'
  const options = { ...usual, dataFolder, load: () => snapshotWith(more) }
  const bursar = await startBursar(options)
  try {
    ownText = dearer.replace('output: 2.5', 'output: 2.6')
    expect(await bursar.reload()).toBeNull()
    ownText = dearer.replace('output: 2.5', 'output: 25')
    const refused = await bursar.reload()
    expect(refused).toMatch(/gpt-5-mini: output from 2\.6 to 25 USD per million/)
    const version = /price book (\w+) moves/.exec(refused ?? '')?.[1]
    more = `prices: { files: [own.yaml], accept: ${version} }\n`
    expect(await bursar.reload()).toBeNull()
    more = 'prices: { files: [own.yaml] }\n'
    expect(await bursar.reload()).toBeNull()
  } finally {
    await bursar.stop('test over')
  }
  ownText = dearer.replace('input: 0.3', 'input: 0.1')
  await expect(startBursar(options)).rejects.toThrow(/accept-prices/)
  const accepted = await startBursar({ ...options, acceptPrices: true })
  await accepted.stop('test over')
})

test('bad contracts and price files are refused with what to do', () => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ['{ contracts: [{ provider: nobody, discount_percent: 5 }] }', /no provider "nobody"/],
    ['{ contracts: [{ provider: simulator }] }', /say one of discount_percent/],
    [
      '{ contracts: [{ provider: simulator, model: gpt-x, discount_percent: 5 }] }',
      /"gpt-x" is not in the price book/,
    ],
    [
      '{ contracts: [{ provider: simulator, discount_percent: 5, from: 2026-02-01, until: 2026-01-01 }] }',
      /ends before it begins/,
    ],
    ['{ contracts: [{ provider: simulator, discount_percent: 101 }] }', /from 0 to 100/],
    ['{ files: [gone.yaml] }', /gone\.yaml cannot be read/],
  ]
  for (const [text, message] of faults) {
    expect(() => snapshotWith(`prices: ${text}\n`), text).toThrow(message)
  }
})
