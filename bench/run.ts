/**
 * `npm run bench`: every proxy before the same upstream under the same load, in interleaved rounds,
 * so that what the machine does meanwhile meets all of them. Prints Markdown; ratios are what counts.
 *
 *   npm run bench -- [--rounds=5] [--seconds=4] [--only=nginx,bursar] [--part=speed] [--pin]
 *     [--before=TREE]
 *
 * Parts: `speed` (throughput and latency), `streams` (memory), `growth` (many budgets and keys),
 * `governance` (quotas, runs, alerts and audit beside none; beside another tree with `--before`),
 * `overload` (more than can be served), `hot` (accounts that every call is in, on PostgreSQL),
 * `unit-cost` (a bill of a gigabyte, as CSV and as Parquet),
 * `midnight` (200,000 budgets end at once; ten million entries, four minutes to make them).
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { flood, median, oneByOne, type Shape } from './load.ts'
import { governance, governanceTable } from './governance.ts'
import { growth, growthTable } from './growth.ts'
import { hot, hotTable } from './hot.ts'
import { overload, overloadTable } from './overload.ts'
import { midnightRows, midnightTable } from './midnight.ts'
import { openStreams, type StreamsRow, streamsTable } from './streams.ts'
import { unitCostRows, unitCostTable } from './unit-cost.ts'
import { bare, bursar, litellm, nginx, pinned, portkey, type Target, upstream } from './targets.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string', default: 'nginx,bare,portkey,litellm,bursar' },
    part: { type: 'string', default: 'speed,streams,growth,governance,overload,hot,unit-cost,midnight' },
    pin: { type: 'boolean', default: false },
    before: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const warmSeconds = 8
/** Each stream takes two descriptors of the proxy; 20,000 are what a process commonly gets. */
const streamCounts = [2000, 9900]
const fourAgents = Array.from({ length: 4 }, () => 'resolver')
const starters = { nginx, bare, portkey, litellm, bursar: () => bursar() } as const

interface Row {
  readonly target: Target
  readonly perSecond: Record<Shape, number[]>
  readonly p99Ms: number[]
  readonly oneMs: number[]
  readonly firstByteMs: number[]
  failed: number
}

const shapes: readonly Shape[] = ['2 KB', '60 KB', 'stream']

async function startAll(): Promise<Row[]> {
  const targets: Target[] = [await upstream()]
  for (const [name, start] of Object.entries(starters)) {
    if (!values.only.split(',').includes(name)) continue
    const target = await start()
    if (target === null) process.stdout.write(`${name}: not to be had here, left out\n`)
    else targets.push(target)
  }
  return targets.map((target) => ({
    target,
    perSecond: { '2 KB': [], '60 KB': [], stream: [] },
    p99Ms: [],
    oneMs: [],
    firstByteMs: [],
    failed: 0,
  }))
}

async function round(row: Row): Promise<void> {
  for (const shape of shapes) {
    const { perSecond, p99Ms, errors } = flood(row.target, shape, 64, seconds)
    row.perSecond[shape].push(perSecond)
    row.failed += errors
    if (shape === '2 KB') row.p99Ms.push(p99Ms)
  }
  row.oneMs.push(median((await oneByOne(row.target, '2 KB', 500)).wholeMs))
  row.firstByteMs.push(median((await oneByOne(row.target, 'stream', 200)).firstByteMs))
}

function table(rows: readonly Row[]): string {
  const middle = (list: readonly number[]): number => median(list)
  const lines = rows.map((row) =>
    [
      row.target.name,
      ...shapes.map((shape) => middle(row.perSecond[shape]).toFixed(0)),
      middle(row.p99Ms).toFixed(1),
      middle(row.oneMs).toFixed(3),
      middle(row.firstByteMs).toFixed(3),
      row.failed,
    ].join(' | '),
  )
  return [
    '| through | 2 KB/s | 60 KB/s | streams/s | p99 ms | one call ms | first byte ms | failed |',
    '| --- | --: | --: | --: | --: | --: | --: | --: |',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n')
}

function ratios(rows: readonly Row[]): string {
  const own = rows.find(({ target }) => target.name === 'Bursar')
  if (own === undefined) return ''
  const lines = rows
    .filter((row) => row !== own)
    .map((row) => {
      const [small, large, stream] = shapes.map((shape) =>
        (median(own.perSecond[shape]) / median(row.perSecond[shape])).toFixed(2),
      )
      const added = (median(own.oneMs) - median(row.oneMs)).toFixed(3)
      const first = (median(own.firstByteMs) - median(row.firstByteMs)).toFixed(3)
      return `| ${row.target.name} | ${small} | ${large} | ${stream} | ${added} | ${first} |`
    })
  return [
    '| Bursar over | 2 KB | 60 KB | streams | added ms | added to first byte ms |',
    '| --- | --: | --: | --: | --: | --: |',
    ...lines,
  ].join('\n')
}

async function speed(): Promise<void> {
  const rows = await startAll()
  try {
    // Until the compiler has little left to do: what counts is the tenth hour, not the first.
    for (const row of rows) for (const shape of shapes) flood(row.target, shape, 64, warmSeconds)
    for (let no = 0; no < rounds; no++) {
      // Turned about each time: nobody is always first.
      for (const row of no % 2 === 0 ? rows : rows.toReversed()) await round(row)
    }
  } finally {
    for (const { target } of rows.toReversed()) await target.stop()
  }
  print(`${table(rows)}\n\n${ratios(rows)}`)
}

/** A new process for each: what one number of streams left behind is not the next one's. */
async function streams(): Promise<void> {
  const source = await upstream()
  const found: StreamsRow[] = []
  try {
    for (const count of streamCounts) {
      for (const start of [nginx, bare, () => bursar({ agents: fourAgents })]) {
        const target = await start()
        if (target === null) continue
        found.push(await openStreams(target, count))
        await target.stop()
      }
    }
  } finally {
    await source.stop()
  }
  print(streamsTable(found))
}

async function grown(): Promise<void> {
  const source = await upstream()
  try {
    print(growthTable(await growth(rounds, seconds)))
  } finally {
    await source.stop()
  }
}

async function governed(): Promise<void> {
  const source = await upstream()
  try {
    print(governanceTable(await governance(rounds, seconds, values.before ?? null)))
  } finally {
    await source.stop()
  }
}

async function overloaded(): Promise<void> {
  const source = await upstream()
  try {
    print(overloadTable(await overload()))
  } finally {
    await source.stop()
  }
}

const print = (text: string): void => void process.stdout.write(`${text}\n\n`)
const [cpu] = cpus()
const where = pinned ? 'the proxy on one core, load and upstream on the other' : 'shared by all'
print(
  `${cpu?.model}, ${cpus().length} cores, ${where}; Node ${process.version}; ${rounds} rounds of ` +
    `${seconds} s, 64 connections.`,
)
const parts = values.part.split(',')
if (parts.includes('speed')) await speed()
if (parts.includes('streams')) await streams()
if (parts.includes('growth')) await grown()
if (parts.includes('governance')) await governed()
if (parts.includes('overload')) await overloaded()
if (parts.includes('unit-cost')) print(unitCostTable(await unitCostRows()))
if (parts.includes('midnight')) print(midnightTable(await midnightRows()))
if (parts.includes('hot')) print(hotTable(await hot(rounds, seconds)))
