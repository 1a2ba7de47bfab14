/** Ways to take the disk away from a running process, and to give it back. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Child, Site } from '#test/support/child.ts'

export interface Fault {
  readonly name: string
  /** Null: it can be had on this machine; else what is missing. */
  readonly missing: string | null
  /** The data folder must be this small disk. */
  readonly onTmpfs?: true
  /** Resolves when the fault is there, with what takes it away again. */
  begin(child: Child, site: Site): Promise<() => Promise<void>>
}

const runs = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { timeout: 10_000 }).status === 0

/** Attached from outside, it makes system calls of all threads fail, until it is told to go. */
async function meddle(pid: number, inject: string): Promise<() => Promise<void>> {
  const tracer = spawn('strace', ['-f', '-p', String(pid), '-o', '/dev/null', '-e', inject])
  const ended = once(tracer, 'exit')
  let said = ''
  await new Promise<void>((resolve, reject) => {
    tracer.stderr.on('data', (chunk) => {
      said += chunk
      if (said.includes('attached')) resolve()
    })
    ended.then(() => reject(new Error(`strace: ${said}`)))
  })
  return async () => {
    tracer.kill('SIGINT')
    await ended
  }
}

const canAttach = (): boolean => {
  const idle = spawn('sleep', ['10'])
  const script = `timeout -s INT 0.3 strace -p ${idle.pid} 2>&1 | grep -q attached`
  const can = runs('strace', '-V') && runs('bash', '-c', script)
  idle.kill()
  return can
}

const noStrace = canAttach() ? null : 'strace cannot attach here'

const syscalls = (name: string, inject: string): Fault => ({
  name,
  missing: noStrace,
  begin: ({ pid }) => meddle(pid, `inject=${inject}`),
})

const limit = (pid: number, bytes: string): void => {
  if (!runs('prlimit', '--pid', String(pid), `--fsize=${bytes}:unlimited`)) {
    throw new Error('prlimit failed')
  }
}

const noMount = runs('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt')
  ? null
  : 'a tmpfs cannot be mounted here'

export interface SmallDisk extends Disposable {
  readonly folder: string
}

/** A real disk of a megabyte or two. */
export function smallDisk(folder: string, options: string): SmallDisk {
  mkdirSync(folder, { recursive: true })
  if (!runs('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder)) throw new Error('no tmpfs')
  return { folder, [Symbol.dispose]: () => void runs('umount', '-l', folder) }
}

export const faults: readonly Fault[] = [
  {
    name: 'no file may grow (EFBIG)',
    missing: runs('prlimit', '--fsize') ? null : 'there is no prlimit here',
    begin: async ({ pid }) => {
      limit(pid, '4096')
      return async () => limit(pid, 'unlimited')
    },
  },
  {
    name: 'a full disk (tmpfs)',
    missing: noMount,
    onTmpfs: true,
    begin: async (_child, { data }) => {
      const filler = join(data, 'filler')
      // It ends by failing: that is when the disk is full.
      runs('dd', 'if=/dev/zero', `of=${filler}`, 'bs=4096')
      return async () => rmSync(filler)
    },
  },
  {
    name: 'the ledger is locked by another process',
    missing: null,
    begin: async (_child, { ledger }) => {
      const other = new DatabaseSync(ledger)
      other.exec('pragma busy_timeout = 5000; begin immediate')
      return async () => other.close()
    },
  },
  syscalls('a full disk (ENOSPC)', 'pwrite64,ftruncate,fallocate:error=ENOSPC'),
  syscalls('writes fail (EIO)', 'pwrite64,ftruncate:error=EIO'),
  syscalls('the disk became read-only (EROFS)', 'pwrite64,ftruncate,fallocate:error=EROFS'),
  syscalls('every sync fails (EIO)', 'fsync,fdatasync:error=EIO'),
  syscalls('every sync takes 3 seconds', 'fsync,fdatasync:delay_exit=3000000'),
]

/** One sync in three fails, the others succeed: the disk that comes and goes. */
export const flickering: Fault = syscalls(
  'one sync in three fails (EIO)',
  'fsync,fdatasync:error=EIO:when=3+3',
)

export const whyNoMount: string | null = noMount

export function remount(disk: SmallDisk, mode: 'ro' | 'rw'): void {
  if (!runs('mount', '-o', `remount,${mode}`, disk.folder)) throw new Error('it is in use')
}
