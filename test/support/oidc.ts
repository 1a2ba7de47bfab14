/** A real OpenID provider on loopback, that can be told to lie; and a browser with a cookie jar. */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

export interface Person {
  readonly sub: string
  readonly [claim: string]: unknown
}

/** What an ID token is made of. */
export interface IdToken {
  readonly header: { readonly alg: string; readonly kid?: string }
  readonly payload: Readonly<Record<string, unknown>>
}

export interface OidcProvider extends AsyncDisposable {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Who signs in next. */
  person: Person
  /** Every token goes through this before it is signed. */
  alter: (token: IdToken) => IdToken
  /** The answer of the authorization endpoint, altered. */
  answer: (query: URLSearchParams) => void
  /** Its own way to sign; null: with the newest key. */
  sign: ((token: IdToken) => Promise<string>) | null
  /** A new key, alone, from now on. */
  rotate(): Promise<void>
  /** Kinds of requests, in order. */
  readonly seen: string[]
  /** The newest public key, as anybody has it. */
  publicKey(): JWK
}

interface Grant {
  readonly challenge: string
  readonly redirectUri: string
  readonly nonce: string
}

interface Key {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

async function newKey(alg: string): Promise<Key> {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  const kid = randomUUID()
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

export async function startOidc(alg = 'RS256'): Promise<OidcProvider> {
  let key = await newKey(alg)
  const grants = new Map<string, Grant>()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/realm`
  const provider: OidcProvider = {
    issuer,
    clientId: 'bursar client',
    clientSecret: 's3cret:with+odd/chars',
    person: { sub: 'u1' },
    alter: (token) => token,
    answer: () => {},
    sign: null,
    rotate: async () => {
      key = await newKey(alg)
    },
    seen: [],
    publicKey: () => key.jwk,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', issuer)
    const path = url.pathname.replace('/realm', '')
    provider.seen.push(path)
    if (path === '/.well-known/openid-configuration') {
      return json(response, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
      })
    }
    if (path === '/jwks') return json(response, { keys: [key.jwk] })
    if (path === '/authorize') return authorize(url.searchParams, response)
    if (path === '/token') return exchange(request, response)
    response.writeHead(404).end()
  }

  const authorize = (asked: URLSearchParams, response: ServerResponse): void => {
    const must = { response_type: 'code', client_id: provider.clientId }
    for (const [name, value] of Object.entries(must)) {
      if (asked.get(name) !== value) throw new Error(`${name} is ${asked.get(name)}`)
    }
    if (asked.get('code_challenge_method') !== 'S256') throw new Error('no PKCE')
    if (!asked.get('scope')?.split(' ').includes('openid')) throw new Error('no openid scope')
    const code = randomUUID()
    grants.set(code, {
      challenge: asked.get('code_challenge') ?? '',
      redirectUri: asked.get('redirect_uri') ?? '',
      nonce: asked.get('nonce') ?? '',
    })
    const back = new URL(asked.get('redirect_uri') ?? '')
    back.searchParams.set('code', code)
    back.searchParams.set('state', asked.get('state') ?? '')
    back.searchParams.set('iss', issuer)
    provider.answer(back.searchParams)
    response.writeHead(302, { location: back.href }).end()
  }

  const exchange = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = new URLSearchParams(await textOf(request))
    const pair = [provider.clientId, provider.clientSecret].map((one) =>
      encodeURIComponent(one).replaceAll('%20', '+'),
    )
    const basic = `Basic ${Buffer.from(pair.join(':')).toString('base64')}`
    const code = body.get('code') ?? ''
    const grant = grants.get(code)
    grants.delete(code)
    const challenge = createHash('sha256')
      .update(body.get('code_verifier') ?? '')
      .digest('base64url')
    const isGood =
      request.headers.authorization === basic &&
      body.get('grant_type') === 'authorization_code' &&
      grant?.challenge === challenge &&
      grant.redirectUri === body.get('redirect_uri')
    if (!isGood) return json(response, { error: 'invalid_grant' }, 400)
    const now = Math.floor(Date.now() / 1000)
    const token = provider.alter({
      header: { alg: key.alg, kid: key.kid },
      payload: {
        iss: issuer,
        aud: provider.clientId,
        iat: now,
        exp: now + 300,
        nonce: grant.nonce,
        ...provider.person,
      },
    })
    const idToken = await (provider.sign?.(token) ??
      new SignJWT(token.payload).setProtectedHeader(token.header).sign(key.privateKey))
    json(response, { access_token: 'x', token_type: 'Bearer', id_token: idToken })
  }
  return provider
}

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

/** Unsigned or signed by hand: header, payload and signature as they are given. */
export function rawToken({ header, payload }: IdToken, sign: (text: string) => string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part(header)}.${part(payload)}`
  return `${text}.${sign(text)}`
}

export interface Seen {
  readonly status: number
  readonly headers: Headers
  readonly url: string
  readonly text: string
}

/** Keeps cookies by origin, and follows redirects only when it is told to. */
export class Browser {
  readonly #jar = new Map<string, Map<string, string>>()

  async go(url: string, init: RequestInit = {}): Promise<Seen> {
    const { origin } = new URL(url)
    const jar = this.#jar.get(origin) ?? new Map<string, string>()
    this.#jar.set(origin, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...(init.headers as Record<string, string>), ...(cookie ? { cookie } : {}) }
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const set of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (/max-age=0/i.test(set)) jar.delete(name)
      else jar.set(name, value)
    }
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, url, text }
  }

  /** Follows redirects to their end, or to before an address that `stop` knows. */
  async follow(url: string, stop: (next: string) => boolean = () => false): Promise<Seen> {
    let seen = await this.go(url)
    for (let steps = 0; steps < 5; steps += 1) {
      const to = seen.headers.get('location')
      if (to === null) break
      const next = new URL(to, seen.url).href
      if (stop(next)) return { ...seen, url: next }
      seen = await this.go(next)
    }
    return seen
  }

  cookie(origin: string, name: string): string | undefined {
    return this.#jar.get(origin)?.get(name)
  }

  setCookie(origin: string, name: string, value: string): void {
    const jar = this.#jar.get(origin) ?? new Map<string, string>()
    this.#jar.set(origin, jar.set(name, value))
  }
}
