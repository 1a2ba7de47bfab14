/**
 * `unit-cost` on a bill of a gigabyte: an AWS Cost and Usage Report as CSV, as CSV.gz and as Parquet
 * (with doubles, as AWS writes it), and tickets. Time from typing to answer, and the peak of memory.
 */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

export interface UnitCostRow {
  readonly what: string
  readonly megabytes: number
  readonly seconds: number
  readonly peakMegabytes: number
  readonly answer: string
}

const main = new URL('../src/main.ts', import.meta.url).pathname
const sample = new URL('../test/golden/bills/aws/cur2_bedrock.synthetic.csv', import.meta.url)
const agents = 200

/** A row in ten is of Bedrock, hour by hour through a month; the rest are machines and storage. */
async function makeCsv(path: string, bytes: number): Promise<void> {
  const [header = '', usage = ''] = readFileSync(sample, 'utf8').split('\n')
  const file = createWriteStream(path, { highWaterMark: 4 * 1024 * 1024 })
  file.write(`${header}\n`)
  const types = ['input-tokens', 'output-tokens', 'cache-read-input-token-count', 'output-tokens-flex']
  for (let i = 0, size = 0; size < bytes; ) {
    let text = ''
    for (let n = 0; n < 2000; n += 1, i += 1) {
      const hour = i % 720
      const [day, clock] = [String(1 + Math.floor(hour / 24)), String(hour % 24)].map((one) =>
        one.padStart(2, '0'),
      )
      const cost = (((i * 7919) % 1_000_003) / 1e7).toFixed(10)
      let row = usage
        .replaceAll('2026-10-05T09', `2026-10-${day}T${clock}`)
        .replaceAll('0.0972873', cost)
        .replace('synthlineitem0001', `line${i}`)
        .replace('session-a', `session-${i % 5000}`)
        .replaceAll('support-bot', `agent-${i % agents}`)
        .replace('input-tokens,0', `${types[i % types.length] ?? ''},0`)
      if (i % 10 !== 0) {
        row = row
          .replaceAll('AmazonBedrock', 'AmazonEC2')
          .replaceAll('Amazon Bedrock', 'Amazon Elastic Compute Cloud')
          .replaceAll('bedrock', 'ec2')
      }
      text += `${row}\n`
    }
    size += text.length
    if (!file.write(text)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'finish')
}

function makeTickets(path: string): void {
  const rows = Array.from({ length: 50_000 }, (_, i) => {
    const day = String(1 + (i % 30)).padStart(2, '0')
    return `T-${i},solved,2026-10-${day}T12:00:00Z,agent-${i % agents}`
  })
  writeFileSync(path, `id,status,closed_at,agent\n${rows.join('\n')}\n`)
}

/** Parquet as large as the CSV: of the same rows, as often as it takes. */
async function makeParquet(csv: string, path: string, bytes: number): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB' })
  const desk = await instance.connect()
  const columns =
    'SELECT * REPLACE (line_item_unblended_cost::DOUBLE AS line_item_unblended_cost, ' +
    'line_item_usage_amount::DOUBLE AS line_item_usage_amount, ' +
    'pricing_public_on_demand_cost::DOUBLE AS pricing_public_on_demand_cost, ' +
    'line_item_usage_start_date::TIMESTAMP AS line_item_usage_start_date)'
  const once = `${columns} FROM read_csv('${csv}', all_varchar=true, header=true)`
  const make = async (times: number): Promise<number> => {
    // A row's own id does not compress: it is what makes the file large.
    const query = `SELECT q.* REPLACE (uuid()::VARCHAR AS identity_line_item_id) FROM (${once}) q, range(${times})`
    await desk.run(`COPY (${query}) TO '${path}' (FORMAT parquet, COMPRESSION snappy)`)
    return statSync(path).size
  }
  for (let times = 1, size = 0; size < bytes; ) {
    size = await make(times)
    times = Math.max(times + 1, Math.ceil((times * bytes * 1.05) / size))
  }
  desk.closeSync()
  instance.closeSync()
}

async function measure(
  what: string,
  bill: string,
  outcomes: string,
  more: readonly string[] = [],
): Promise<UnitCostRow> {
  const started = performance.now()
  const args = ['unit-cost', '--bill', bill, '--outcomes', outcomes, '--json', ...more]
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--import',
      `data:text/javascript,process.on('exit',()=>process.stderr.write('rss='+process.resourceUsage().maxRSS))`,
      main,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const [code] = (await once(child, 'close')) as [number]
  const seconds = (performance.now() - started) / 1000
  const peak = Number(/rss=(\d+)/.exec(err)?.[1] ?? 0) / 1024
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${err}`)
  const { cost_usd, outcomes: n, groups } = JSON.parse(out) as {
    cost_usd: string
    outcomes: number
    groups: unknown[]
  }
  const megabytes = statSync(bill).size / 1e6
  const answer = `$${cost_usd} / ${n}, ${groups.length} groups`
  return { what, megabytes, seconds, peakMegabytes: peak, answer }
}

export async function unitCostRows(bytes = 1_000_000_000): Promise<readonly UnitCostRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-bench-bill-'))
  try {
    const [csv, parquet, tickets] = ['cur.csv', 'cur.parquet', 'tickets.csv'].map((name) =>
      join(folder, name),
    ) as [string, string, string]
    makeTickets(tickets)
    await makeCsv(csv, bytes)
    const by = ['--by', 'agent', '--map', 'bill:project=agent']
    const rows = [
      await measure('CSV', csv, tickets),
      await measure('CSV by agent', csv, tickets, by),
      await measure('CSV by day', csv, tickets, ['--by', 'day']),
      await measure('CSV, without DuckDB', csv, tickets, ['--engine', 'rows']),
    ]
    await makeParquet(csv, parquet, bytes)
    rows.push(await measure('Parquet', parquet, tickets))
    rows.push(await measure('Parquet by agent', parquet, tickets, by))
    return rows
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function unitCostTable(rows: readonly UnitCostRow[]): string {
  return [
    '| bill | MB | seconds | peak MB | answer |',
    '| --- | --: | --: | --: | --- |',
    ...rows.map(
      (row) =>
        `| ${row.what} | ${row.megabytes.toFixed(0)} | ${row.seconds.toFixed(1)} | ` +
        `${row.peakMegabytes.toFixed(0)} | ${row.answer} |`,
    ),
  ].join('\n')
}
