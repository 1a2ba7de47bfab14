import { defineConfig } from 'vitest/config'

const project = (name: string, include: string, testTimeout = 20_000) => ({
  test: { name, include: [include], testTimeout, hookTimeout: 60_000 },
})

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      project('unit', 'src/**/*.test.ts'),
      project('tidy', 'test/tidy/**/*.test.ts'),
      project('golden', 'test/golden/**/*.test.ts', 60_000),
      project('conformance', 'test/conformance/**/*.test.ts', 60_000),
      project('sim', 'test/sim/**/*.test.ts', 600_000),
      project('clients', 'test/clients/**/*.test.ts', 60_000),
      project('e2e', 'test/e2e/**/*.test.ts', 300_000),
      project('faults', 'test/faults/**/*.test.ts', 600_000),
      project('fuzz', 'test/fuzz/**/*.test.ts', 600_000),
    ],
  },
})
