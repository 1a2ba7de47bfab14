/** Commands on a ledger's file, whether or not a server uses it: doctor, backup, restore. */
import type { Command } from 'commander'
import { type Finding, type Inspection, showInspection } from '#core/recount.ts'
import { ExitError, exitCodes } from './client.ts'
import { type Output, printJson } from './output.ts'

/** The ledger in the data folder, as `main` reaches it. */
export interface LedgerFiles {
  inspect(data: string | undefined): Promise<Inspection>
  backUp(data: string | undefined, to: string): Promise<string>
  restore(from: string, data: string | undefined): Promise<Inspection>
  /** Tells of its progress as it goes. */
  migrate(from: string, to: string, progress: (step: Step) => void): Promise<Inspection>
}

interface Step {
  readonly table: string
  readonly done: number
  readonly of: number
}

interface Options {
  readonly data?: string
  readonly json?: true
}

const dataFlag = ['--data <folder>', 'where the ledger is kept (BURSAR_DATA, ./data)'] as const

export function addLedgerCommands(program: Command, output: Output, files: LedgerFiles): void {
  program
    .command('doctor')
    .description('count the ledger again from its first entry, and say what is wrong')
    .option('--ledger', 'the ledger (all there is to examine today)')
    .option(...dataFlag)
    .option('--json')
    .action(async ({ data, json }: Options) => {
      const found = await files.inspect(data)
      if (json) printJson(output, showInspection(found))
      else if (found.findings.length === 0) output.out(`${sizeOf(found)}: sound\n`)
      else output.err(`${found.findings.map(lineOf).join('\n')}\n`)
      if (found.findings.length > 0) {
        throw new ExitError(exitCodes.findings, `${found.findings.length} found in the ledger`)
      }
    })
  program
    .command('backup')
    .argument('<file>', 'written together with <file>.sha256')
    .description('copy the ledger, also while it is in use')
    .option(...dataFlag)
    .action(async (file: string, { data }: Options) => {
      output.out(`${file}  sha256 ${await files.backUp(data, file)}\n`)
    })
  program
    .command('restore')
    .argument('<file>', 'a backup; its checksum stands in <file>.sha256')
    .description('put a backup into an empty data folder')
    .option(...dataFlag)
    .action(async (file: string, { data }: Options) => {
      const found = await files.restore(file, data)
      output.out(
        `${sizeOf(found)}: restored. What was spent after this backup is not in it: ` +
          'compare with the providers’ bills before you start. Keys open with the same ' +
          'secret-key only: copy that file into the folder, or set BURSAR_SECRET_KEY.\n',
      )
    })
  addMigrate(program, output, files)
}

function addMigrate(program: Command, output: Output, files: LedgerFiles): void {
  program
    .command('migrate')
    .description('copy a stopped ledger from its folder into PostgreSQL; may be run again')
    .requiredOption('--from <folder>', 'the data folder, with no Bursar running on it')
    .requiredOption('--to <url>', 'postgres://user:password@host:port/database')
    .action(async ({ from, to }: { readonly from: string; readonly to: string }) => {
      const found = await files.migrate(from, to, ({ table, done, of }) => {
        output.err(`${table}: ${done} of ${of}\n`)
      })
      output.out(
        `${sizeOf(found)}: moved, and the same when counted again. ` +
          'Start every replica with DATABASE_URL set to it; the folder is not used any more.\n',
      )
    })
}

function sizeOf({ entries, accounts, holds, openHolds }: Inspection): string {
  return `${entries} entries, ${accounts} accounts, ${holds} holds (${openHolds} open)`
}

function lineOf({ seq, subject, message }: Finding): string {
  return `${seq === null ? '' : `entry ${seq}, `}${subject}: ${message}`
}
