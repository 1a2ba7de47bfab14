/** Caps on one run, inherited by the runs it starts, and loops, through the running server. */
import { expect, test } from 'vitest'
import { generationsMax, runId, runName } from '#core/run.ts'
import {
  type Answer,
  apiAt,
  auditBooks,
  call,
  chatBody,
  startWorld,
  until,
  type World,
} from '#test/support/bursar.ts'

const chat = '/v1/chat/completions'
const agents = `organization: acme
business_units: { ops: { teams: { core: { agents: { triage: {}, research: {} } } } } }
`
type Alert = { kind: string; details: Record<string, string> | null; value: string | null }

/** How many alerts a lead of this part sees. */
async function seenBy({ api, url }: World, subtree: string): Promise<number> {
  const { token } = (await api('/tokens', { name: subtree, role: 'lead', subtree })) as {
    token: string
  }
  return ((await apiAt(url, token)('/alerts')) as Alert[]).length
}

const codeOf = (answer: Answer): unknown =>
  (answer.json() as { error?: { code?: string } }).error?.code ?? null

test('a cap of calls holds for a run and all that it starts, whoever makes them', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ agent: triage, max_calls: 5 }]\n`,
  })
  const triage = await world.key({ agent: 'triage' })
  const research = await world.key({ agent: 'research' })
  const ask = (key: string, run: string, parent?: string): Promise<Answer> =>
    call(world, key, chat, chatBody('hi'), {
      'bursar-run': run,
      ...(parent === undefined ? {} : { 'bursar-parent-run': parent }),
    })
  expect((await ask(triage, 'r1')).status).toBe(200)
  expect((await ask(research, 'r1.1', 'r1')).status).toBe(200)
  expect((await ask(research, 'r1.1.1', 'r1.1')).status).toBe(200)
  // What a run said it comes from when it began holds, whatever it says later.
  expect((await ask(research, 'r1.1.1')).status).toBe(200)
  expect((await ask(triage, 'r1')).status).toBe(200)
  const stopped = [await ask(research, 'r1.1.1'), await ask(triage, 'r1')]
  expect(stopped.map((answer) => [answer.status, codeOf(answer)])).toEqual([
    [402, 'run_limit_exceeded'],
    [402, 'run_limit_exceeded'],
  ])
  expect(stopped[0]?.headers.get('x-should-retry')).toBe('false')
  const [quota, warning] = ['bursar-quota', 'bursar-warning'].map((name) =>
    stopped[0]?.headers.get(name),
  )
  expect(quota).toBe('"triage a run";limit=5;used=5;window=run')
  expect(warning ?? '').not.toContain('resets')
  // Another run has a cap of its own, and one that nobody capped has none.
  expect((await ask(triage, 'r2')).status).toBe(200)
  for (let i = 0; i < 7; i += 1) expect((await ask(research, 'own')).status).toBe(200)
  const alerts = (await world.api('/alerts')) as Alert[]
  expect(alerts.map(({ kind, value }) => [kind, value])).toEqual([['run_limit', 'r1@@']])
  expect([await seenBy(world, 'team=core'), await seenBy(world, 'agent=research')]).toEqual([1, 0])
  expect(world.simulator.requests()).toBe(5 + 1 + 7)
  expect(await auditBooks(world)).toBe(0)
})

test('no chain of runs is so long, and no run so short of luck, that a cap forgets it', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ agent: triage, max_calls: 20 }]\n`,
  })
  const key = await world.key({ agent: 'triage' })
  const ask = async (run: string, parent?: string): Promise<number> => {
    const from = parent === undefined ? {} : { 'bursar-parent-run': parent }
    return (await call(world, key, chat, chatBody('hi'), { 'bursar-run': run, ...from })).status
  }
  const passed: number[] = []
  for (let no = 0; no < 40; no += 1) {
    const parent = no === 0 ? undefined : `m${no - 1}`
    if ((await ask(`m${no}`, parent)) === 200) passed.push(no)
  }
  expect(passed).toEqual(Array.from({ length: 20 }, (_, no) => no))
  // Refused with its first call, it comes from where it said: not from elsewhere, nor from nowhere.
  expect(await ask('m30')).toBe(402)
  expect(await ask('m30', 'another')).toBe(402)
  expect(await ask('child', 'm39')).toBe(402)
  expect(await ask('own')).toBe(200)
  expect(await auditBooks(world)).toBe(0)
})

test('a chain that nobody could have meant is refused, and says why', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ agent: triage, max_calls: 1000 }]\n`,
  })
  const key = await world.key({ agent: 'triage' })
  let last = await call(world, key, chat, chatBody('hi'), { 'bursar-run': 'm0' })
  for (let no = 1; no <= generationsMax; no += 1) {
    expect(last.status).toBe(200)
    const of = { 'bursar-run': `m${no}`, 'bursar-parent-run': `m${no - 1}` }
    last = await call(world, key, chat, chatBody('hi'), of)
  }
  expect(last.status).toBe(400)
  expect(JSON.stringify(last.json())).toContain(`comes from more than ${generationsMax} others`)
}, 60_000)

test('runs of tenants whose names are addresses are told apart', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ agent: triage, max_calls: 2 }]\n`,
  })
  const [at, plain] = [
    await world.key({ agent: 'triage', tenant: 'acme@corp' }),
    await world.key({ agent: 'triage', tenant: 'corp', name: 'other' }),
  ]
  const ask = async (key: string, run: string): Promise<number> =>
    (await call(world, key, chat, chatBody('hi'), { 'bursar-run': run })).status
  for (const status of [200, 200, 402]) expect(await ask(plain, 'r1@acme')).toBe(status)
  expect(await ask(at, 'r1')).toBe(200)
  expect(runName(runId('r1', { tenant: 'acme@corp', environment: 'prod' }) ?? '')).toBe(
    'r1 (acme@corp, prod)',
  )
})

test('a cap of money holds to the nano-dollar when calls come at once', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ agent: triage, max_usd: 1 }]
policy: { on_tight: refuse, max_wait: 1s }
`,
  })
  const key = await world.key({ agent: 'triage' })
  const thirtyCents = {
    model: 'claude-sonnet-4-5',
    max_tokens: 19_900,
    messages: [{ role: 'user', content: 'x' }],
  }
  const ask = (): Promise<Answer> =>
    call(world, key, '/v1/messages', thirtyCents, {
      'bursar-run': 'r',
      'bursar-sim': 'tokens=19900; delay=300',
    })
  const answers = await Promise.all(Array.from({ length: 20 }, ask))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  expect((await ask()).status).toBe(402)
  expect(await auditBooks(world)).toBe(0)
})

test('the same call again and again is a loop: stopped, and told with its evidence', async () => {
  await using world = await startWorld({
    config: `${agents}runs:
  - { agent: triage, loop: { identical_calls: 5, retries: 3, within: 60s } }
`,
  })
  const key = await world.key({ agent: 'triage' })
  const ask = (text: string, more: Record<string, string> = {}): Promise<Answer> =>
    call(world, key, chat, chatBody(text), { 'bursar-run': 'r', ...more })
  const statuses: number[] = []
  for (let i = 0; i < 7; i += 1) statuses.push((await ask('again')).status)
  expect(statuses).toEqual([200, 200, 200, 200, 200, 402, 402])
  expect(codeOf(await ask('again'))).toBe('loop_detected')
  expect((await ask('something else')).status).toBe(200)
  expect((await call(world, key, chat, chatBody('again'), { 'bursar-run': 'r2' })).status).toBe(200)
  const retry = { 'x-stainless-retry-count': '1' }
  const retries = [await ask('a', retry), await ask('b', retry), await ask('c', retry)]
  expect(retries.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(codeOf(await ask('d', retry))).toBe('loop_detected')
  expect([await seenBy(world, 'team=core'), await seenBy(world, 'agent=research')]).toEqual([2, 0])
  const loops = async (): Promise<(string | undefined)[]> =>
    ((await world.api('/alerts')) as Alert[]).map(({ details }) => details?.evidence)
  await until('both are told', async () => (await loops()).length === 2)
  expect(await loops()).toEqual([
    'more than 3 retries within 60 s',
    'more than 5 calls with the same body within 60 s',
  ])
  expect(JSON.stringify(await world.api('/alerts'))).not.toContain('again')
  expect(await auditBooks(world)).toBe(0)
})

test('agents that call each other in a circle are stopped when it closes too often', async () => {
  await using world = await startWorld({
    config: `${agents}runs: [{ team: core, loop: { returns: 1 } }]\n`,
  })
  const keys = [await world.key({ agent: 'triage' }), await world.key({ agent: 'research' })]
  const codes: unknown[] = []
  for (let depth = 0; depth < 6; depth += 1) {
    const answer = await call(world, keys[depth % 2] ?? '', chat, chatBody(`step ${depth}`), {
      'bursar-run': `run-${depth}`,
      ...(depth === 0 ? {} : { 'bursar-parent-run': `run-${depth - 1}` }),
    })
    codes.push(codeOf(answer))
    if (codes.at(-1) !== null) break
  }
  expect(codes).toEqual([null, null, null, null, 'loop_detected'])
  const told = async (): Promise<Alert | undefined> => ((await world.api('/alerts')) as Alert[])[0]
  await until('it is told', async () => (await told()) !== undefined)
  expect((await told())?.details?.evidence).toBe(
    'agents call each other in a circle: triage > research > triage > research > triage',
  )
})
