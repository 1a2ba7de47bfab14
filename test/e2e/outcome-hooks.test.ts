/** Outcomes by webhook and as CloudEvents, signed as their makers sign, through the server. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiAt, startWorld, type World } from '#test/support/bursar.ts'

const config = `budgets: [{ name: all, budget_yearly_usd: 1000 }]
outcomes:
  resolved_case: { one_per: conversation }
  qualified_lead: {}
outcome_hooks:
  zendesk: { kind: zendesk, secret: zs, type: resolved_case }
  crm:
    kind: hubspot
    secret: hs
    type: qualified_lead
    url: https://bursar.acme.test/api/hooks/crm
  fin: { kind: intercom, secret: ic, type: resolved_case, attested_by: silence }
  sf:
    kind: salesforce
    secret: sf
    type: resolved_case
    when: { Status: Done }
    conversation: Session__c
`
let world: World
beforeAll(async () => {
  world = await startWorld({ config })
})
afterAll(() => world[Symbol.asyncDispose]())

interface Told {
  readonly status: number
  readonly booked?: number
  readonly known?: number
  readonly problems?: readonly string[]
}

async function post(
  name: string,
  message: unknown,
  headers: (body: string) => Readonly<Record<string, string>>,
): Promise<Told> {
  const body = JSON.stringify(message)
  const answer = await fetch(`${world.url}/api/hooks/${name}`, {
    method: 'POST',
    body,
    headers: headers(body),
  })
  return { status: answer.status, ...((await answer.json()) as object) }
}

const hmac = (key: string, text: string, algorithm = 'sha256'): ReturnType<typeof createHmac> =>
  createHmac(algorithm, key).update(text)
const byZendesk = (body: string, key = 'zs'): Readonly<Record<string, string>> => {
  const at = new Date().toISOString()
  return {
    'x-zendesk-webhook-signature-timestamp': at,
    'x-zendesk-webhook-signature': hmac(key, at + body).digest('base64'),
  }
}
const byIntercom = (body: string): Readonly<Record<string, string>> => ({
  'x-hub-signature': `sha1=${hmac('ic', body, 'sha1').digest('hex')}`,
})

interface Listed {
  readonly id: string
  readonly state: string
  readonly at: string
  readonly conversation: string | null
  readonly attested_by: string
  readonly source: string
}
const listed = async (source: string): Promise<readonly Listed[]> =>
  ((await world.api('/outcomes?limit=1000')) as Listed[]).filter((one) => one.source === source)

const ticket = (status: string, time: string) => ({
  type: 'zen:event-type:ticket.status_changed',
  detail: { id: '35436', external_id: 'conv-7', subject: 'my card 4111 is lost' },
  event: { current: status, previous: 'OPEN' },
  time,
})

test('zendesk: solved, reopened, solved again; each told twice, and late', async () => {
  const tell = (status: string, day: number): Promise<Told> =>
    post('zendesk', ticket(status, `2026-09-0${day}T10:00:00Z`), byZendesk)
  expect(await tell('SOLVED', 1)).toMatchObject({ status: 200, booked: 1, known: 0 })
  expect(await tell('SOLVED', 1)).toMatchObject({ booked: 0, known: 1 })
  expect(await tell('CLOSED', 2)).toMatchObject({ booked: 0, known: 1 })
  expect(await tell('OPEN', 3)).toMatchObject({ booked: 1 })
  expect(await tell('OPEN', 3)).toMatchObject({ booked: 0, known: 1 })
  expect(await tell('SOLVED', 1)).toMatchObject({ booked: 0, known: 1 })
  expect(await tell('SOLVED', 4)).toMatchObject({ booked: 1 })
  expect(await tell('PENDING', 2)).toMatchObject({ booked: 0, known: 1 })
  const all = await listed('zendesk')
  expect(all.map(({ id, state, conversation }) => [id, state, conversation])).toEqual([
    ['zendesk:35436', 'reversed', 'conv-7'],
    ['zendesk:35436#2', 'confirmed', 'conv-7'],
  ])
  // What customers wrote is nowhere.
  const audit = await world.api('/audit?limit=100')
  expect(JSON.stringify([all, audit])).not.toContain('4111')
})

test('who has not the secret is nobody, whatever hook he names', async () => {
  const message = ticket('SOLVED', '2026-09-01T10:00:00Z')
  const wrong = await post('zendesk', message, (body) => byZendesk(body, 'guess'))
  const nowhere = await post('nowhere', message, byZendesk)
  expect(wrong.status).toBe(401)
  expect(nowhere).toEqual(wrong)
  expect((await post('zendesk', message, () => ({}))).status).toBe(401)
  expect((await post('sf', message, () => ({ authorization: 'Bearer zs' }))).status).toBe(401)
})

test('hubspot: several at once, signed over the address it calls', async () => {
  const lead = (id: number, value: string) => ({
    objectId: id,
    propertyName: 'lifecyclestage',
    propertyValue: value,
    occurredAt: Date.parse('2026-09-01T10:00:00Z') + id,
  })
  const sign = (body: string): Readonly<Record<string, string>> => {
    const at = String(Date.now())
    const text = `POSThttps://bursar.acme.test/api/hooks/crm${body}${at}`
    return {
      'x-hubspot-request-timestamp': at,
      'x-hubspot-signature-v3': hmac('hs', text).digest('base64'),
    }
  }
  const leads = [
    lead(1, 'salesqualifiedlead'),
    lead(2, 'subscriber'),
    lead(3, 'salesqualifiedlead'),
  ]
  expect(await post('crm', leads, sign)).toMatchObject({ booked: 2, known: 0 })
  expect((await listed('hubspot')).map(({ id }) => id)).toEqual(['crm:1', 'crm:3'])
})

test('intercom: closed is an outcome by silence; a customer who is back takes it away', async () => {
  const tell = (topic: string, created_at: number): Promise<Told> =>
    post('fin', { topic, created_at, data: { item: { id: '9' } } }, byIntercom)
  await tell('conversation.admin.closed', 1_790_000_000)
  await tell('conversation.user.created', 1_790_000_001)
  expect(await listed('intercom')).toMatchObject([{ state: 'confirmed', attested_by: 'silence' }])
  await tell('conversation.user.replied', 1_790_000_002)
  expect(await listed('intercom')).toMatchObject([{ id: 'fin:9', state: 'reversed' }])
})

test('salesforce: a mapping of one’s own; what cannot be booked is said, and not sent again', async () => {
  const tell = (message: object): Promise<Told> =>
    post('sf', message, () => ({ authorization: 'Bearer sf' }))
  const LastModifiedDate = '2026-09-01T10:00:00.000+0000'
  expect(
    await tell({ Id: '500', Status: 'Done', Session__c: 's', LastModifiedDate }),
  ).toMatchObject({ booked: 1 })
  expect(await listed('salesforce')).toMatchObject([
    { conversation: 's', at: '2026-09-01T10:00:00Z' },
  ])
  const without = await tell({ Id: '501', Status: 'Done', LastModifiedDate })
  expect(without).toMatchObject({ status: 200, booked: 0 })
  expect(without.problems?.[0]).toContain('501: conversation: say what it is an outcome of')
})

const event = {
  specversion: '1.0',
  id: '7',
  source: '/desk/eu',
  type: 'com.acme.resolved_case',
  time: '2026-09-01T10:00:00Z',
  subject: 'conv-9',
}

async function cloud(
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Promise<{ status: number; value: unknown }> {
  const answer = await fetch(`${world.url}/api/v1/outcomes/events`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { authorization: 'Bearer adm_test', ...headers },
  })
  return { status: answer.status, value: await answer.json() }
}

test('CloudEvents: structured, binary and in a batch are one and the same', async () => {
  const data = { value_usd: '3.50', attested_by: 'human' }
  const first = await cloud({ ...event, data }, { 'content-type': 'application/cloudevents+json' })
  expect(first).toMatchObject({
    status: 201,
    value: [{ id: '/desk/eu#7', type: 'resolved_case', conversation: 'conv-9', repeated: false }],
  })
  const attributes = Object.entries(event).map(([name, value]) => [`ce-${name}`, value])
  const binary = { 'content-type': 'application/json', ...Object.fromEntries(attributes) }
  expect((await cloud(data, binary)).value).toMatchObject([{ id: '/desk/eu#7', repeated: true }])
  const batch = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' }
  const undo = { ...event, id: '8', data: { reverses: '/desk/eu#7', cause: 'reopened' } }
  const both = await cloud([{ ...event, data }, undo], batch)
  expect(both.value).toMatchObject([
    { repeated: true },
    { kind: 'reversed', outcome: '/desk/eu#7' },
  ])
  expect((await listed('cloudevents')).map(({ state }) => state)).toEqual(['reversed'])
})

test.each([
  [{ ...event, specversion: '0.3' }, 'write \\"1.0\\"'],
  [{ ...event, type: 'com.acme.won' }, 'no type \\"won\\"; defined are: resolved_case'],
  [{ ...event, data: { prompt: 'x' } }, 'data: Unrecognized key'],
])('CloudEvents: %j is refused in words', async (body, words) => {
  const said = await cloud(body, { 'content-type': 'application/cloudevents+json' })
  expect(said.status).toBe(400)
  expect(JSON.stringify(said.value).replaceAll('\\\\', '\\')).toContain(words)
  const lead = await cloud(body, { 'content-type': 'text/plain' })
  expect(JSON.stringify(lead.value)).toContain('send application/cloudevents+json')
})

test('a viewer tells of nothing', async () => {
  const { token } = (await world.api('/tokens', { name: 'v', role: 'viewer' })) as { token: string }
  await expect(apiAt(world.url, token)('/outcomes/events', event)).rejects.toThrow('403')
})
