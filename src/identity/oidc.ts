/** An OpenID provider over HTTP: discovery, code exchange, an ID token that is checked whole. */
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose'
import type { Claims, Oidc } from '#core/sign-in.ts'
import { failed, type Result, succeeded } from '#lib/result.ts'
import type { SignIn, SignInEnd, SignInStart } from '#ports/sign-in.ts'

/** Signatures that need the provider's key. `none` and HMAC, which anybody can make, are not. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
].concat(['EdDSA', 'Ed25519'])
const answerMs = 8000
const answerBytesMax = 256 * 1024
const discoveredForMs = 3_600_000
/** Clocks of two machines differ. */
const toleranceSeconds = 60

interface Provider {
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly keys: ReturnType<typeof createRemoteJWKSet>
  /** How the client proves who it is; as the provider says, else by the header. */
  readonly secretIn: 'header' | 'body'
}

/** What went wrong, in words without a secret. */
class Refusal extends Error {
  override readonly name = 'Refusal'
}

export function oidcSignIn(oidc: Oidc, now: () => number): SignIn {
  let known: { readonly provider: Provider; readonly at: number } | null = null
  const provider = async (): Promise<Provider> => {
    if (known === null || now() - known.at > discoveredForMs) {
      known = { provider: await discover(oidc.issuer), at: now() }
    }
    return known.provider
  }
  return {
    begin: (start) => told(async () => addressOf(oidc, await provider(), start)),
    finish: (end) =>
      told(async () => {
        const from = await provider()
        return checked(oidc, from, await exchange(oidc, from, end), end.nonce)
      }),
  }
}

async function told<Value>(work: () => Promise<Value>): Promise<Result<Value, string>> {
  try {
    return succeeded(await work())
  } catch (error) {
    return failed(reasonOf(error))
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Refusal) return error.message
  // The library names the claim that is wrong, never its value.
  if (error instanceof errors.JOSEError) return `${error.code}: ${error.message}`
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

async function discover(issuer: string): Promise<Provider> {
  const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const found = await jsonFrom(at, {})
  // Another issuer's description at this address would make its tokens ours.
  if (found.issuer !== issuer) throw new Refusal(`${at} is not about ${issuer}`)
  const endpoint = (name: string): string => {
    const url = found[name]
    if (typeof url === 'string' && isSafe(url)) return url
    throw new Refusal(`${at} has no ${name} with https`)
  }
  const methods = found.token_endpoint_auth_methods_supported
  const onlyBody = Array.isArray(methods) && !methods.includes('client_secret_basic')
  return {
    authorizationEndpoint: endpoint('authorization_endpoint'),
    tokenEndpoint: endpoint('token_endpoint'),
    // A key that is not known yet is fetched at once: who brings it is the provider itself.
    keys: createRemoteJWKSet(new URL(endpoint('jwks_uri')), {
      cooldownDuration: 0,
      timeoutDuration: answerMs,
    }),
    secretIn: onlyBody && methods.includes('client_secret_post') ? 'body' : 'header',
  }
}

/** Over the network only with TLS: the ID token's keys, and our secret, go that way. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  const isOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  return protocol === 'https:' || (protocol === 'http:' && isOwnMachine)
}

function addressOf(oidc: Oidc, provider: Provider, start: SignInStart): string {
  const url = new URL(provider.authorizationEndpoint)
  const asked = {
    response_type: 'code',
    client_id: oidc.clientId,
    redirect_uri: start.redirectUrl,
    scope: 'openid email profile',
    state: start.state,
    nonce: start.nonce,
    code_challenge: start.challenge,
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  return url.href
}

async function exchange(oidc: Oidc, provider: Provider, end: SignInEnd): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code: end.code,
    redirect_uri: end.redirectUrl,
    code_verifier: end.verifier,
  })
  const headers: Record<string, string> = { accept: 'application/json' }
  const secret = oidc.clientSecret?.reveal() ?? null
  if (secret !== null && provider.secretIn === 'header') {
    const pair = [oidc.clientId, secret].map(formEncoded).join(':')
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`
  } else {
    body.set('client_id', oidc.clientId)
    if (secret !== null) body.set('client_secret', secret)
  }
  const answer = await jsonFrom(provider.tokenEndpoint, { method: 'POST', headers, body })
  if (typeof answer.id_token === 'string') return answer.id_token
  throw new Refusal('the token endpoint gave no id_token')
}

/** As RFC 6749 has it for what stands in the header. */
const formEncoded = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1)

async function checked(
  oidc: Oidc,
  provider: Provider,
  idToken: string,
  nonce: string,
): Promise<Claims> {
  const { payload } = await jwtVerify(idToken, provider.keys, {
    issuer: oidc.issuer,
    audience: oidc.clientId,
    algorithms,
    clockTolerance: toleranceSeconds,
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'nonce'],
  })
  const problem = claimProblem(oidc, payload, nonce)
  if (problem !== null) throw new Refusal(problem)
  return payload
}

function claimProblem(oidc: Oidc, payload: JWTPayload, nonce: string): string | null {
  const { aud, azp, sub } = payload
  if (payload.nonce !== nonce) return 'the nonce is another: the token is not for this sign-in'
  if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub)) return 'sub is no name'
  const isForOthers = Array.isArray(aud) && aud.length > 1
  if ((azp !== undefined || isForOthers) && azp !== oidc.clientId) {
    return 'azp is another: the token was made for another client'
  }
  return null
}

/** Follows no redirect, which might lead away with the secret, and reads no endless answer. */
async function jsonFrom(url: string, init: RequestInit): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(answerMs)
  const answer = await fetch(url, { ...init, redirect: 'error', signal })
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of answer.body ?? []) {
    length += chunk.byteLength
    if (length > answerBytesMax) throw new Refusal(`${url} answers without end`)
    chunks.push(chunk)
  }
  if (!answer.ok) throw new Refusal(`${url} answered ${answer.status}`)
  const value = parsed(Buffer.concat(chunks).toString())
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  throw new Refusal(`${url} answered something that is not JSON`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
