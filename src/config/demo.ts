/** What runs when nobody has written a config yet: small amounts, so that a stop is soon seen. */
export const demoConfig = `organization: demo
timezone: UTC
business_units:
  engineering:
    owner: demo@bursar.test
    teams:
      demo:
        agents:
          triage: { purpose: sorts tickets }
          hello: { purpose: the first program you try }
environments: [dev, stage, prod]
budgets:
  - team: demo
    budget_daily_usd: 20
quotas:
  - per: user
    max_calls_per_day: 20000
    soft: 0.8
`
