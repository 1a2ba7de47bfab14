/** The real program in a process of its own, and all it says. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'

const main = new URL('../../src/main.ts', import.meta.url).pathname
const flags = ['--disable-warning=ExperimentalWarning', main]

export type Env = Readonly<Record<string, string>>

export interface Program {
  readonly url: string
  readonly child: ChildProcess
  out(): string
  err(): string
  /** Resolves when it has ended by itself after a SIGTERM. */
  stop(): Promise<void>
}

/** `bursar up` with these arguments; resolves when it has printed where it listens. */
export function startProgram(args: readonly string[], env: Env): Promise<Program> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, 'up', '--listen', '127.0.0.1:0', ...args], {
      env: { ...process.env, ...env },
    })
    let out = ''
    let err = ''
    const ended = new Promise<void>((done) => child.on('exit', () => done()))
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.stdout.on('data', (chunk) => {
      out += chunk
      const url = /Anthropic\s+(http:\S+)/.exec(out)?.[1]
      const stop = (): Promise<void> => {
        child.kill('SIGTERM')
        return ended
      }
      if (url !== undefined) resolve({ url, child, out: () => out, err: () => err, stop })
    })
    child.on('exit', () => reject(new Error(`it did not start: ${out}${err}`)))
  })
}

/** A command of the CLI; what it said, on both streams. */
export function runProgram(args: readonly string[], env: Env): Promise<string> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env } }
    execFile(process.execPath, [...flags, ...args], options, (_error, out, err) => {
      resolve(out + err)
    })
  })
}
