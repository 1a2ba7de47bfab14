/**
 * The threat model's rows (A evasion, B protocol, C secrets, D admin, E integrations) and where
 * each is answered. A row is in one of three places: a test whose name starts with its id, a test
 * that was there already, or the list of what is not built.
 */

/** Nothing to attack yet. The row becomes a test together with its feature. */
export const notYet: Readonly<Record<string, string>> = {
  A27: 'keys do not make keys: only the admin token does',
  A32: 'no answer is cached',
  A33: 'runs and loops are read from the config and named as not acted on',
  B21: 'no pattern of a user is ever compiled: names are matched exactly',
  B24: 'nothing is translated: a dialect goes through as it came',
  C3: 'a key is found by its HMAC in a map; a timing test on a shared machine measures the machine',
  C9: 'flags of a container that is not shipped',
  C10: 'provider keys are in the environment, not in the database: there is nothing to wrap',
  C11: 'no passwords',
  D6: 'no dashboard; what is a name in the API stays JSON under a policy that runs nothing',
  E1: 'no CSV or XLSX is written',
  E2: 'no webhook is received',
  E3: 'no Slack, PagerDuty, Teams or e-mail is sent',
  E7: 'no chat channel whose rate could be passed',
  E8: 'no import',
}

/** The part of a row that is not built; the rest of it is tested. */
export const partly: Readonly<Record<string, string>> = {
  A6: 'an unknown model that answers is recorded and charged as asked for; the bill corrects it',
  A24: 'what an Idempotency-Key was used for is forgotten in a crash (docs/roadmap.md)',
  A26: 'a second approver by policy',
  A35: 'a default share of the headroom a key may hold; `max_concurrent` is a quota one can set',
  B3: 'after the stall the provider is read on for its usage, as for any caller that hung up',
  B4: 'a limit an address: behind a load balancer all callers have one',
  B7: 'a stream is bounded in time and in memory, not in size: logprobs make honest ones huge',
  B11: 'inside metadata and messages the names are content: they pass, and change nothing',
  B20: 'a form type is served where the body is JSON all the same: it is what `curl -d` sends',
  C4: 'a rate limit for wrong keys: 256 random bits are not guessed, and one address may be many',
  C6: 'cutting the streams that are open when a key is revoked',
  D8: 'HSTS and cross-origin policies belong to whoever speaks TLS in front',
  D11: 'anchors are kept by who checks (`audit verify --head`); ledger entries are not chained',
  D12: 'addresses are the operator’s own words in the config; a caller can name none',
  D14: 'a limit of overrides in force',
}

/** Rows that a test answered before this file was written: file and beginning of its name. */
export const elsewhere: Readonly<Record<string, readonly [file: string, name: string]>> = {
  A1: ['test/e2e/evasion.test.ts', 'attribution that contradicts the key is refused'],
  A5: ['test/e2e/evasion.test.ts', 'no spelling of a model reaches another budget or price'],
  A8: ['test/e2e/gateway.test.ts', 'a cap beyond what the model can do is lowered'],
  A11: [
    'src/core/quote.test.ts',
    '%s: whatever a request allows settles at no more than its quote',
  ],
  A13: ['test/golden/usage.test.ts', 'documented: '],
  A15: ['src/core/quote.test.ts', 'the band is the last whose threshold the whole prompt exceeds'],
  A16: ['test/e2e/gateway.test.ts', 'a Gemini stream that is no SSE, and a tier nobody knows'],
  A17: [
    'src/core/quote.test.ts',
    '%s: whatever a request allows settles at no more than its quote',
  ],
  A18: ['test/e2e/evasion.test.ts', 'fields that name control-plane things'],
  A19: ['test/faults/aborts.test.ts', '${name}: a caller that hangs up after k of 200 chunks'],
  A22: ['test/e2e/concurrency.test.ts', '$1.00 and 50 calls of $0.30 held open'],
  A24: ['test/e2e/gateway.test.ts', 'a repeated Idempotency-Key gets the first answer'],
  A25: ['test/e2e/gateway.test.ts', 'a failed try is followed by another'],
  A29: ['test/e2e/evasion.test.ts', 'fields that name control-plane things'],
  A30: ['src/core/time.test.ts', 'days of 23 and 25 hours are as long as they are'],
  A31: ['test/e2e/gateway.test.ts', 'config is loaded anew'],
  B10: ['test/e2e/evasion.test.ts', 'bodies that two parsers could read differently are 400'],
  C6: ['test/e2e/evasion.test.ts', 'keys: all slots lead to one budget'],
  C7: ['test/e2e/evasion.test.ts', 'paths in disguise, WebSockets and foreign endpoints'],
  D2: ['test/e2e/roles.test.ts', 'what lies outside is not there: every id of others is 404'],
  D5: ['test/e2e/sign-in.test.ts', 'a write with the cookie needs our own origin'],
  D9: ['test/e2e/sign-in.test.ts', 'somebody signs in, is known by checked claims, and signs out'],
  D10: ['test/e2e/sign-in.test.ts', 'a token with %s is refused'],
  D14: ['test/e2e/gateway.test.ts', 'another person must approve'],
}

/** Every id of the threat model's tables that this page answers. */
export const ids: readonly string[] = Object.entries({ A: 37, B: 24, C: 12, D: 15, E: 8 }).flatMap(
  ([letter, last]) => Array.from({ length: last }, (_, i) => `${letter}${i + 1}`),
)
