/** Config as code, by the real program: diff, apply, reload when files change, by any way. */
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { apiAt, call, chatBody, until } from '#test/support/bursar.ts'
import { type Program, runProgram, startProgram } from '#test/support/program.ts'

const texts = (daily: number, more = ''): string => `organization: acme
timezone: UTC
business_units: { ops: { teams: { core: { agents: { triage: {}, research: {} } } } } }
budgets: [{ team: core, budget_daily_usd: ${daily} }]
${more}`

const open: { folder: string; program: Program | null }[] = []
afterEach(async () => {
  for (const { folder, program } of open.splice(0)) {
    await program?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

interface Place {
  readonly folder: string
  readonly program: Program
  readonly api: ReturnType<typeof apiAt>
  /** A command of the CLI against the server: what it said. */
  readonly bursar: (...args: readonly string[]) => Promise<string>
}

const token = { BURSAR_ADMIN_TOKEN: 'adm_test', BURSAR_LOG: 'info' }

async function started(prepare: (folder: string) => string): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-config-'))
  const held = { folder, program: null as Program | null }
  open.push(held)
  const config = prepare(folder)
  const data = join(folder, 'data')
  const program = await startProgram(['--config', config, '--data', data], token)
  held.program = program
  const env = { ...token, BURSAR_URL: program.url }
  return {
    folder,
    program,
    api: apiAt(program.url),
    bursar: (...args) => runProgram(args, env),
  }
}

const inFile = (text: string) => (folder: string) => {
  const path = join(folder, 'bursar.yaml')
  writeFileSync(path, text)
  return path
}

async function budgetOf(api: Place['api']): Promise<string> {
  const rows = (await api('/budgets')) as { limit_usd: string }[]
  return rows.map(({ limit_usd: limit }) => Number(limit)).join(' ')
}

const inForce = (api: Place['api'], wanted: string): Promise<void> =>
  until(`budgets are ${wanted}`, async () => (await budgetOf(api)) === wanted)

/** What a chat costs here, a little less than a third of a cent. */
async function spend({ program, api }: Place): Promise<void> {
  const { key } = (await api('/keys', { agent: 'triage' })) as { key: string }
  const body = chatBody('hi', { max_tokens: 300 })
  const answer = await call({ url: program.url }, key, '/v1/chat/completions', body, {
    'bursar-sim': 'tokens=300',
  })
  expect(answer.status).toBe(200)
}

test('a change shows its effect first, and is applied with a reason', async () => {
  const place = await started(inFile(texts(10)))
  const { folder, bursar, api } = place
  await spend(place)
  const [row] = (await api('/budgets')) as { posted_usd: string }[]
  const posted = Number(row?.posted_usd)
  expect(posted).toBeGreaterThan(0)
  const next = join(folder, 'next.yaml')
  writeFileSync(next, texts(Number((posted / 1.15).toFixed(9))))
  const shown = await bursar('diff', next)
  expect(shown).toContain('~ budget core a day')
  expect(shown).toContain('2 agents (triage, research) would be throttled now')
  expect(await bursar('apply', next, '--reason', 'try it')).toContain('say --yes')
  expect(await budgetOf(api)).toBe('10')

  const applied = await bursar('apply', next, '--reason', 'the team asked for it', '--yes')
  expect(applied).toContain('in force: ')
  expect(readFileSync(join(folder, 'bursar.yaml'), 'utf8')).toBe(readFileSync(next, 'utf8'))
  expect(readFileSync(join(folder, 'bursar.yaml.previous'), 'utf8')).toBe(texts(10))
  expect(await api('/budgets')).toMatchObject([{ state: 'throttled' }])
  const [audit] = (await api('/audit')) as Record<string, unknown>[]
  expect(audit).toMatchObject({
    action: 'config.applied',
    reason: 'the team asked for it',
    after: { changes: [{ part: 'budget', kind: 'changed' }] },
  })
  expect(await bursar('diff', next)).toContain('nothing would change')
}, 60_000)

test('what is put in force is what was shown, whatever becomes of the file meanwhile', async () => {
  const place = await started(inFile(texts(10)))
  const next = join(place.folder, 'next.yaml')
  writeFileSync(next, texts(20))
  const asked: string[] = []
  // Between the command and the server, somebody who is quick at an editor.
  const between = createServer(async (request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const body = await text(request)
    const { authorization = '' } = request.headers
    const headers = { authorization, 'content-type': 'application/json' }
    const answer = await fetch(place.program.url + path, { method: 'POST', headers, body })
    if (path.endsWith('/diff')) writeFileSync(next, texts(30))
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    response.end(await answer.text())
  }).listen(0, '127.0.0.1')
  try {
    await once(between, 'listening')
    const url = `http://127.0.0.1:${(between.address() as AddressInfo).port}`
    const said = await runProgram(['apply', next, '--reason', 'more', '--yes'], {
      ...token,
      BURSAR_URL: url,
    })
    expect(said).toContain('in force: ')
  } finally {
    between.closeAllConnections()
    between.close()
  }
  expect(asked.map((path) => path.split('/').at(-1))).toEqual(['diff', 'apply'])
  expect(readFileSync(next, 'utf8')).toBe(texts(30))
  expect(await budgetOf(place.api)).toBe('20')
}, 60_000)

test('a new budget is counted for the look ahead, and nothing is kept of it', async () => {
  const place = await started(inFile(texts(10)))
  const { folder, api, bursar } = place
  await spend(place)
  await spend(place)
  const next = join(folder, 'next.yaml')
  writeFileSync(next, texts(10, 'quotas: [{ agent: triage, max_calls_per_day: 2 }]'))
  const diff = JSON.parse(await bursar('diff', next, '--json')) as Record<string, unknown>
  expect(diff).toMatchObject({
    changes: [{ kind: 'added', part: 'quota' }],
    effects: [{ before: 'none', after: 'stopped', used: '2', amount: '2', harsh: true }],
  })
  expect(await api('/quotas')).toEqual([])
  const files = [{ name: 'next.yaml', text: readFileSync(next, 'utf8') }]
  const body = { files, version: diff.version, reason: 'a quota' }
  await expect(api('/config/apply', body)).rejects.toThrow('needs_accept')
  await api('/config/apply', { ...body, accept: true })
  expect(await api('/quotas')).toMatchObject([{ used: '2', state: 'stopped' }])
  // The second one's version is not in force any more.
  await expect(api('/config/apply', { ...body, accept: true })).rejects.toThrow('version_changed')
}, 60_000)

test('a file that changes is read again; a bad one is told, and the last good one stays', async () => {
  const { folder, api, bursar } = await started(inFile(texts(10)))
  const file = join(folder, 'bursar.yaml')
  writeFileSync(file, texts(11))
  await inForce(api, '11')
  // As an editor does: another file takes the name.
  writeFileSync(`${file}.swp`, texts(12))
  renameSync(`${file}.swp`, file)
  await inForce(api, '12')

  writeFileSync(file, 'budgets: [{ tem: core, budget_daily_usd: 1 }]\n')
  const problem = async (): Promise<string | null> =>
    ((await api('/config')) as { problem: string | null }).problem
  await until('it is refused', async () => (await problem()) !== null)
  expect(await problem()).toContain('bursar.yaml:1')
  expect(await budgetOf(api)).toBe('12')
  const next = join(folder, 'next.yaml')
  writeFileSync(next, texts(13))
  // What somebody is at work on is not overwritten.
  expect(await bursar('apply', next, '--reason', 'over it', '--yes')).toContain('not in force')
  rmSync(file)
  await until('it is gone', async () => (await problem())?.includes('there is no config') === true)
  writeFileSync(file, texts(14))
  await inForce(api, '14')
  expect(await problem()).toBeNull()
}, 60_000)

test('another time zone: the month that it makes is shown, with its calls, and no other', async () => {
  const monthly = texts(10).replace('daily', 'monthly')
  const place = await started(inFile(monthly))
  const { folder, api } = place
  await spend(place)
  const [before] = (await api('/budgets')) as { posted_usd: string; period_end: string }[]
  expect(Number(before?.posted_usd)).toBeGreaterThan(0)
  writeFileSync(join(folder, 'bursar.yaml'), monthly.replace('UTC', 'America/St_Johns'))
  await until('the month ends later', async () => {
    const rows = (await api('/budgets')) as { period_end: string }[]
    return rows.every((row) => row.period_end !== before?.period_end)
  })
  expect(await api('/budgets')).toMatchObject([{ posted_usd: before?.posted_usd }])
}, 60_000)

test('a folder of links that are swapped, as Kubernetes mounts it', async () => {
  const version = (folder: string, name: string, daily: number): void => {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'bursar.yaml'), texts(daily))
  }
  const { folder, api } = await started((root) => {
    const mount = join(root, 'mount')
    mkdirSync(mount)
    version(mount, '..1', 10)
    symlinkSync('..1', join(mount, '..data'))
    symlinkSync('..data/bursar.yaml', join(mount, 'bursar.yaml'))
    return mount
  })
  const mount = join(folder, 'mount')
  version(mount, '..2', 15)
  symlinkSync('..2', join(mount, '..data_tmp'))
  renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
  await inForce(api, '15')
}, 60_000)

test('a folder is applied whole: files come, change and go', async () => {
  const { folder, api, bursar } = await started((root) => {
    const config = join(root, 'config')
    mkdirSync(config)
    writeFileSync(join(config, 'a.yaml'), texts(10))
    writeFileSync(join(config, 'b.yaml'), 'agent: triage\nbudget_daily_usd: 3\n')
    return config
  })
  const next = join(folder, 'next')
  mkdirSync(next)
  writeFileSync(join(next, 'a.yaml'), texts(20))
  writeFileSync(join(next, 'c.yaml'), 'agent: research\nbudget_daily_usd: 4\n')
  const shown = await bursar('diff', next)
  expect(shown).toContain('- budget triage a day')
  expect(shown).toContain('+ budget research a day')
  expect(await bursar('apply', next, '--reason', 'moved', '--yes')).toContain('in force')
  expect(await budgetOf(api)).toBe('20 4')
  expect(existsSync(join(folder, 'config', 'b.yaml'))).toBe(false)
  expect(existsSync(join(folder, 'config', 'b.yaml.previous'))).toBe(true)
}, 60_000)

test('what is sent may read no file and no secret that the server does not read', async () => {
  const { api } = await started(inFile(texts(10)))
  const ask = (text: string): Promise<unknown> =>
    api('/config/diff', { files: [{ name: 'x.yaml', text }] })
  await expect(ask('organization: "${file:/etc/hostname}"\n')).rejects.toThrow('may not read new')
  await expect(ask('organization: "${ file:/etc/hostname}"\n')).rejects.toThrow('no reference')
  await expect(ask('organization: "${BURSAR_ADMIN_TOKEN}"\n')).rejects.toThrow('may not read new')
  await expect(ask('organization: "${BURSAR_ADMIN_TOKEN:-x}"\n')).rejects.toThrow('may not')
  await expect(ask('budgets: 7\n')).rejects.toThrow('x.yaml')
  const two = [1, 2].map((no) => ({ name: `${no}.yaml`, text: texts(no) }))
  await expect(api('/config/diff', { files: two })).rejects.toThrow('one config file')
}, 60_000)

test('a replay of what was, under a new policy', async () => {
  const place = await started(inFile(texts(10)))
  const { folder, bursar } = place
  for (let i = 0; i < 5; i += 1) await spend(place)
  const policy = join(folder, 'strict.yaml')
  writeFileSync(policy, texts(10, 'quotas: [{ agent: triage, max_calls_per_day: 3 }]'))
  const span = ['--from', '2026-01-01', '--to', '2100-01-01']
  const same = JSON.parse(await bursar('replay', ...span, '--json')) as Record<string, unknown>
  expect(same).toMatchObject({ calls: 5, admitted: 5, refused: [], alerts: [] })
  const strict = JSON.parse(await bursar('replay', '--policy', policy, ...span, '--json'))
  expect(strict).toMatchObject({
    calls: 5,
    admitted: 3,
    stopped_calls: 2,
    refused: [{ kind: 'stopped', calls: 2, agents: ['triage'] }],
  })
  const table = await bursar('replay', '--policy', policy, ...span)
  expect(table).toContain('saved_usd')
  expect(table).toContain('triage')
}, 60_000)

test('a budget is reviewed with a note, by whom it concerns', async () => {
  const { api, bursar } = await started(
    inFile(`organization: acme
budgets: [{ budget_monthly_usd: 100, review_every: 90d, owner: lee@acme.test }]
`),
  )
  const [due] = JSON.parse(await bursar('budget', 'review', '--json')) as Record<string, unknown>[]
  expect(due).toMatchObject({
    owner: 'lee@acme.test',
    review_every_days: 90,
    last_reviewed_at: null,
    is_due: false,
    proposal: null,
  })
  const id = String(due?.budget)
  expect(await bursar('budget', 'review', id)).toContain('--note')
  await bursar('budget', 'review', id, '--note', 'still what we need')
  expect(await api('/reviews')).toMatchObject([
    { budget: id, last_reviewed_by: 'admin', note: 'still what we need', overdue_days: 0 },
  ])
  expect(await api('/reviews?overdue=true')).toEqual([])
  expect(await api('/audit')).toMatchObject([{ action: 'budget.reviewed', subject: id }])
}, 60_000)

test('what is hidden in YAML is no way to the secrets of the server', async () => {
  const { api, folder } = await started((root) => {
    writeFileSync(join(root, 'own'), 'acme')
    return inFile(`# a note about file:/etc/hostname and BURSAR_ADMIN_TOKEN
organization: "\${file:${join(root, 'own')}}"
providers: { openai: { api_key: "\${HOME}" } }
budgets: [{ budget_daily_usd: 10 }]
`)(root)
  })
  const ask = (text: string): Promise<unknown> =>
    api('/config/diff', { files: [{ name: 'x.yaml', text }] })
  const refused = 'may not read new'
  const escaped = '"\\uE000\\uE000file:/etc/hostname\\uE001"'
  await expect(ask(`organization: ${escaped}\nbudgets: []\n`)).rejects.toThrow(refused)
  const secret = '"\\uE000\\uE000BURSAR_ADMIN_TOKEN\\uE001"'
  await expect(ask(`organization: ${secret}\nbudgets: []\n`)).rejects.toThrow(refused)
  await expect(ask('organization: "${file:/etc/hostname}"\nbudgets: []\n')).rejects.toThrow(refused)
  await expect(ask('organization: "${PATH}"\nbudgets: []\n')).rejects.toThrow(refused)
  // What is read for a credential is shown nowhere.
  await expect(ask('organization: "${HOME}"\nbudgets: []\n')).rejects.toThrow(refused)
  const own = `organization: "\${file:${join(folder, 'own')}}"\n`
  const kept = `${own}providers: { openai: { api_key: "\${HOME}" } }\nbudgets: []\n`
  expect(await ask(kept)).toMatchObject({ warnings: ['no limit is left that would stop a call'] })
}, 60_000)

test('half of two configs is neither: what a dead process began is put back', async () => {
  const place = await started((root) => {
    const config = join(root, 'config')
    mkdirSync(config)
    for (const no of [1, 2]) {
      writeFileSync(join(config, `${no}.yaml`), `agent: a${no}\nbudget_daily_usd: 1\n`)
    }
    return config
  })
  const config = join(place.folder, 'config')
  await place.program.stop()
  const before = [1, 2].map((no) => ({
    name: join(config, `${no}.yaml`),
    text: readFileSync(join(config, `${no}.yaml`), 'utf8'),
  }))
  // As it stands when the process dies between two files of an apply.
  writeFileSync(join(config, '1.yaml'), 'agent: a1\nbudget_daily_usd: 900\n')
  writeFileSync(join(config, '3.yaml'), 'agent: a2\nbudget_daily_usd: 900\n')
  const names = ['1', '3'].map((no) => join(config, `${no}.yaml`))
  const journal = { host: hostname(), pid: 2 ** 22 + 1, at: Date.now(), before, names }
  writeFileSync(join(config, '.bursar-apply'), JSON.stringify(journal))
  const data = join(place.folder, 'data')
  const again = await startProgram(['--config', config, '--data', data], token)
  try {
    expect(again.out()).toContain('the files are as before it')
    expect(await budgetOf(apiAt(again.url))).toBe('1 1')
    expect(existsSync(join(config, '3.yaml'))).toBe(false)
  } finally {
    await again.stop()
  }
}, 60_000)

test('an empty file takes no limit away, and a changed one is in the audit log', async () => {
  const { folder, api } = await started(inFile(texts(10)))
  const file = join(folder, 'bursar.yaml')
  writeFileSync(file, '')
  const problem = async (): Promise<string | null> =>
    ((await api('/config')) as { problem: string | null }).problem
  await until('it is refused', async () => (await problem())?.includes('nothing in it') === true)
  expect(await budgetOf(api)).toBe('10')
  writeFileSync(file, texts(11))
  await inForce(api, '11')
  const rows = async (): Promise<Record<string, unknown>[]> =>
    (await api('/audit')) as Record<string, unknown>[]
  await until('it is told', async () => (await rows()).length > 0)
  expect((await rows())[0]).toMatchObject({
    action: 'config.reloaded',
    actor: 'bursar',
    after: { changes: [{ part: 'budget', fields: [{ before: '$10', after: '$11' }] }] },
  })
}, 60_000)
