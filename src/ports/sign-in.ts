import type { Claims } from '#core/sign-in.ts'
import type { Result } from '#lib/result.ts'

export interface SignInStart {
  readonly redirectUrl: string
  readonly state: string
  readonly nonce: string
  /** SHA-256 of the verifier, base64url. */
  readonly challenge: string
}

export interface SignInEnd {
  readonly redirectUrl: string
  readonly code: string
  readonly verifier: string
  readonly nonce: string
}

/** An OpenID provider. What went wrong is told in words that hold no secret. */
export interface SignIn {
  /** Where to send the browser. */
  begin(start: SignInStart): Promise<Result<string, string>>
  /** The checked claims of who came back with `code`. */
  finish(end: SignInEnd): Promise<Result<Claims, string>>
}
