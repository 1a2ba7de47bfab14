/** The simulator's HTTP side: dialect-true answers, faults on request, and a bill. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { type PriceBook, type PriceRow, priceOf } from '#core/price-book.ts'
import type { Instant } from '#core/time.ts'
import { askedMessages, messagesEvents, messagesJson } from './anthropic.ts'
import { type Bill, Books } from './bill.ts'
import { PromptCache } from './cache.ts'
import { type Directives, isFault, parseDirectives } from './directives.ts'
import { askedEmbed, askedGenerate, embedJson, generateChunks, generateJson } from './google.ts'
import {
  askedChat,
  askedEmbeddings,
  askedResponses,
  chatEvents,
  chatJson,
  embeddingsJson,
  event,
  responsesEvents,
  responsesJson,
} from './openai.ts'
import { type Asked, type Plan, planFor, tokensOf } from './plan.ts'
import { hashOf } from './text.ts'

export interface SimulatorOptions {
  readonly listen: { readonly host: string; readonly port: number }
  readonly priceBook: PriceBook
  readonly seed?: number
  /** Milliseconds before an answer and between chunks, where the request says nothing. */
  readonly delayMs?: number
  readonly paceMs?: number
  readonly now?: () => number
  /** How many of the newest lines the bill keeps. */
  readonly billLines?: number
}

export interface Simulator {
  readonly url: string
  bill(): Bill
  /** Requests that reached a model's path, billed or not. */
  requests(): number
  reset(): void
  close(): Promise<void>
}

type Body = Readonly<Record<string, unknown>>
type DialectName = 'openai' | 'anthropic' | 'google'

/** How one operation reads its request and writes its answers. */
interface Operation {
  readonly dialect: DialectName
  readonly asked: Asked
  readonly json: (plan: Plan) => unknown
  readonly events: ((plan: Plan) => readonly string[]) | null
}

interface World {
  readonly options: SimulatorOptions
  readonly books: Books
  readonly cache: PromptCache
  readonly faults: Map<string, number>
  serial: number
}

export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const now = options.now ?? Date.now
  const world: World = {
    options: { ...options, now },
    books: new Books(options.billLines),
    cache: new PromptCache(now),
    faults: new Map(),
    serial: 0,
  }
  const server = createServer((request, response) => {
    receive(world, request, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 65_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.listen.port, options.listen.host, () => resolve())
  })
  const { port } = server.address() as AddressInfo
  const reset = (): void => {
    world.books.reset()
    world.cache.clear()
    world.faults.clear()
    world.serial = 0
  }
  return {
    url: `http://${options.listen.host}:${port}`,
    bill: () => world.books.bill(),
    requests: () => world.serial,
    reset,
    close: () => closed(server),
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

async function receive(
  world: World,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = 'GET', url = '/' } = request
  const [path = '/'] = url.split('?')
  if (path === '/__sim/bill') return send(response, 200, world.books.bill())
  if (path === '/__sim/reset' && method === 'POST') {
    world.books.reset()
    return send(response, 200, {})
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = parsed(Buffer.concat(chunks))
  if (body === null) return send(response, 400, { error: { message: 'not valid JSON' } })
  const counted = countTokens(path, body)
  if (counted !== null) return send(response, 200, counted)
  const operation = method === 'POST' ? operationOf(path, url, body) : null
  if (operation === null) return send(response, 404, { error: { message: `no ${method} ${path}` } })
  world.serial += 1
  await answer(world, request, response, operation)
}

function parsed(bytes: Buffer): Body | null {
  if (bytes.length === 0) return {}
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null ? (value as Body) : null
  } catch {
    return null
  }
}

function countTokens(path: string, body: Body): Body | null {
  if (path.endsWith('/messages/count_tokens')) {
    return { input_tokens: sizeOf(askedMessages(body)) }
  }
  const gemini = /\/models\/(.+):countTokens$/.exec(path)
  return gemini === null
    ? null
    : { totalTokens: sizeOf(askedGenerate(body, gemini[1] ?? '', false)) }
}

function sizeOf({ parts }: Asked): number {
  return parts.reduce((sum, { text }) => sum + tokensOf(text), 0)
}

function operationOf(path: string, url: string, body: Body): Operation | null {
  if (path.endsWith('/chat/completions')) {
    return { dialect: 'openai', asked: askedChat(body), json: chatJson, events: chatEvents }
  }
  if (path.endsWith('/responses')) {
    return {
      dialect: 'openai',
      asked: askedResponses(body),
      json: (plan) => responsesJson(plan),
      events: responsesEvents,
    }
  }
  if (path.endsWith('/embeddings')) {
    return {
      dialect: 'openai',
      asked: askedEmbeddings(body),
      events: null,
      json: (plan) => embeddingsJson(plan, body),
    }
  }
  if (path.endsWith('/messages')) {
    return {
      dialect: 'anthropic',
      asked: askedMessages(body),
      json: messagesJson,
      events: messagesEvents,
    }
  }
  const gemini = /\/models\/(.+):(\w+)$/.exec(path)
  return gemini === null ? null : geminiOf(gemini[1] ?? '', gemini[2] ?? '', url, body)
}

function geminiOf(model: string, verb: string, url: string, body: Body): Operation | null {
  switch (verb) {
    case 'generateContent':
      return {
        dialect: 'google',
        asked: askedGenerate(body, model, false),
        json: generateJson,
        events: null,
      }
    case 'streamGenerateContent': {
      const sse = url.includes('alt=sse')
      return {
        dialect: 'google',
        asked: askedGenerate(body, model, sse),
        json: generateChunks,
        events: (plan) => generateChunks(plan).map((chunk) => event(chunk)),
      }
    }
    case 'embedContent':
    case 'batchEmbedContents':
      return {
        dialect: 'google',
        asked: askedEmbed(body, model),
        events: null,
        json: (plan) => embedJson(plan, verb === 'batchEmbedContents'),
      }
    default:
      return null
  }
}

async function answer(
  world: World,
  request: IncomingMessage,
  response: ServerResponse,
  operation: Operation,
): Promise<void> {
  const { asked, dialect } = operation
  const { priceBook, seed = 1, now = Date.now, delayMs = 20 } = world.options
  const header = request.headers['bursar-sim']
  const read = parseDirectives(Array.isArray(header) ? header[0] : header)
  if (!read.ok) return send(response, 400, errorBody(dialect, 400, read.problem))
  const row = priceOf(priceBook, asked.model, now() as Instant)
  if (row === null) {
    return send(response, 404, errorBody(dialect, 404, `model "${asked.model}" does not exist`))
  }
  const directives = dueFaults(world, read.value, `${String(header)}|${asked.parts.at(-1)?.text}`)
  const wait = directives.delayMs ?? delayMs
  if (wait > 0) await sleep(wait)
  if (directives.hang) return
  if (directives.reset) return void request.socket.destroy()
  if (directives.status !== null) {
    const { status } = directives
    return send(response, status, errorBody(dialect, status, 'the simulator was asked to fail'))
  }
  const plan = planFor(asked, row, directives, {
    seed,
    serial: world.serial,
    cache: world.cache,
    dialect,
    account: String(hashOf(String(request.headers.authorization ?? request.headers['x-api-key']))),
  })
  charge(world, request, plan, row, dialect)
  await deliver(world, response, plan, operation)
}

/** From here on it is billed, whoever hangs up. */
function charge(
  world: World,
  request: IncomingMessage,
  plan: Plan,
  row: PriceRow,
  dialect: DialectName,
): void {
  const id = request.headers['x-client-request-id']
  const at = new Date((world.options.now ?? Date.now)()).toISOString()
  world.books.add(
    {
      id: plan.id,
      client_request_id: typeof id === 'string' ? id : null,
      dialect,
      model: plan.model,
      usage: plan.usage,
      at,
    },
    row,
  )
}

/** The first `times` requests of one kind fail; then they succeed. */
function dueFaults(world: World, directives: Directives, slot: string): Directives {
  if (directives.times === null || !isFault(directives)) return directives
  const happened = world.faults.get(slot) ?? 0
  world.faults.set(slot, happened + 1)
  if (happened < directives.times) return directives
  return {
    ...directives,
    status: null,
    reset: false,
    hang: false,
    malformed: false,
    cutAfter: null,
  }
}

async function deliver(
  world: World,
  response: ServerResponse,
  plan: Plan,
  operation: Operation,
): Promise<void> {
  const { directives } = plan
  const { events } = operation
  if (events === null || !plan.asked.stream) {
    const text = JSON.stringify(operation.json(plan))
    const body = directives.malformed ? text.slice(0, text.length / 2) : text
    if (directives.cutAfter !== null) {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': body.length * 2,
      })
      response.write(body.slice(0, 20))
      await sleep(5)
      return void response.destroy()
    }
    return sendText(response, 200, body, directives.gzip)
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  const pace = directives.paceMs ?? world.options.paceMs ?? 5
  for (const [i, chunk] of events(plan).entries()) {
    if (response.destroyed) return
    if (directives.cutAfter !== null && i >= directives.cutAfter) {
      await sleep(5)
      return void response.destroy()
    }
    if (pace > 0 && i > 0) await sleep(pace)
    if (!response.write(chunk)) await drained(response)
  }
  response.end()
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
  })
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function send(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, JSON.stringify(value), false)
}

function sendText(response: ServerResponse, status: number, text: string, gzip: boolean): void {
  const body = gzip ? gzipSync(text) : Buffer.from(text)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.byteLength,
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  })
  response.end(body)
}

function errorBody(dialect: DialectName, status: number, message: string): unknown {
  switch (dialect) {
    case 'openai':
      return { error: { message, type: 'server_error', code: String(status), param: null } }
    case 'anthropic': {
      const type =
        status === 529 ? 'overloaded_error' : status === 429 ? 'rate_limit_error' : 'api_error'
      return { type: 'error', error: { type, message }, request_id: null }
    }
    case 'google':
      return { error: { code: status, message, status: 'UNAVAILABLE' } }
  }
}
