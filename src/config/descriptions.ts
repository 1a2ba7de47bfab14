/** What editors show beside a key of the config, by the key's name. */
const budget = 'USD a period; 0 denies every call; left out: no limit of this period'
const quota = 'how many in a window; 0 denies every call'

const byName: Readonly<Record<string, string>> = {
  organization: 'The organization that this installation is for; of a rule: all of it',
  timezone:
    'IANA name of the time zone of calendar periods, such as Europe/Berlin; UTC if left out',
  business_units: 'The tree: business units, their teams, and their agents, each with an owner',
  teams: 'Teams of a business unit; under `notify`: a Microsoft Teams workflow',
  agents: 'Agents of a team, by name',
  purpose: 'What the agent is for, for people',
  owner: 'Who is told and who decides: an e-mail address, or a name',
  environments: 'Names such as dev, stage and prod; a key or a provider may be pinned to some',
  providers: 'Where calls go, each with a credential of its own',
  kind: 'Which dialect the provider speaks; left out: by its name',
  api_key: 'The credential, as ${NAME} or ${file:/path}: never write it into the file itself',
  base_url: 'Origin and base path of the provider, without /v1',
  models: 'Names that it serves beyond the price book',
  free: 'true: calls to it cost nothing, and its models need no price',
  retries: 'Extra tries at this provider after a failure that provably cost nothing',
  budgets: 'Limits in USD; several selectors in one entry are AND',
  quotas: 'Limits of calls, tokens, conversations or calls at once',
  runs: 'Caps on one run with all runs that it starts, and when repetition is a loop',
  alerts: 'What happens on the way up; left out: the default ladder',
  default_ladder: 'The ladder of budgets that have none of their own',
  threshold: 'Share of the amount, such as 0.8',
  action: 'What happens when the threshold is crossed',
  actions: 'Several of them at once',
  per: 'Each value of this dimension has an account of its own; left out: one shared pool',
  mode: 'observe: alerts only, never slows or stops; enforce if left out',
  review_every: 'Somebody is to confirm this budget so often, such as 90d: bursar budget review',
  soft: 'Share of the limit from which answers and alerts warn, such as 0.8',
  max_concurrent: 'Calls in flight at once',
  max_usd: 'USD for one run, with the runs that it starts',
  max_calls: 'Calls of one run, with the runs that it starts',
  loop: 'When repetition is stopped as a loop',
  identical_calls: 'More calls with the same body within the time are a loop',
  returns: 'An agent may come back so often in a chain of runs',
  within: 'Looked at so long back, such as 60s',
  policy: 'What happens where nothing else is said',
  unpriced_model: 'What to do with a model that has no price',
  no_budget: 'What to do with a call that no budget covers',
  ledger_unavailable: 'What to do while the ledger cannot record: deny, or a bounded allowance',
  on_tight: 'clamp: cut the output to what the budget can pay; refuse: say no',
  clamp_floor_tokens: 'Never cut the output below so many tokens',
  expose_amounts: 'What callers see of amounts in refusals and headers',
  platform_fee_percent: 'Added to the loaded cost of outcomes, never to the metered cost',
  max_wait: 'How long a paced call may wait before it is refused, such as 15s',
  notify: 'Where alerts go',
  slack: 'An incoming webhook, or a bot token and a channel',
  pagerduty: 'Events API v2',
  email: 'SMTP, and who is written to',
  webhooks: 'Signed webhooks (Standard Webhooks), by name',
  routes: 'Names that callers may ask for in place of a model',
  caching: 'Prompt caching',
  outcomes: 'What counts as an outcome, for its cost',
  auth: 'How people sign in',
}

/** Null: the name says it all. */
export function descriptionOf(key: string): string | null {
  const known = Object.hasOwn(byName, key) ? byName[key] : undefined
  if (known !== undefined) return known
  if (/^budget_\w+_usd$/.test(key)) return budget
  return /^max_\w+_per_\w+$/.test(key) ? quota : null
}
