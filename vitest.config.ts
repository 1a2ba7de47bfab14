import { defineConfig } from 'vitest/config'

const project = (name: string, include: string, testTimeout = 20_000, groupOrder = 1) => ({
  test: {
    name,
    include: [include],
    testTimeout,
    hookTimeout: 60_000,
    sequence: { groupOrder },
  },
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
      // Its two halves are the longest: on two cores they go first, side by side.
      project('sim', 'test/sim/**/*.test.ts', 900_000, 0),
      project('clients', 'test/clients/**/*.test.ts', 60_000),
      project('e2e', 'test/e2e/**/*.test.ts', 300_000),
      project('faults', 'test/faults/**/*.test.ts', 600_000),
      project('replicas', 'test/replicas/**/*.test.ts', 600_000),
      project('fuzz', 'test/fuzz/**/*.test.ts', 600_000),
    ],
  },
})
