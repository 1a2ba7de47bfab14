/** The config as files: one, or every YAML file of a folder in the order of their names. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

export interface NamedText {
  readonly name: string
  readonly text: string
}

/** Throws with a sentence for a person when the path cannot be read. */
export function readConfigFiles(path: string): readonly NamedText[] {
  return configFileNames(path).map((name) => ({ name, text: readFileSync(name, 'utf8') }))
}

/** In the order in which they are read; throws as `readConfigFiles` does. */
export function configFileNames(path: string): readonly string[] {
  if (!existsSync(path)) throw new Error(`there is no config at ${path}`)
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
  if (names.length === 0) throw new Error(`there is no .yaml file in the folder ${path}`)
  return names.map((name) => join(path, name))
}

/**
 * A reader sees the old or the new text, also after a crash. A link stays a link, and a file as
 * readable as it was.
 */
export function putWhole(path: string, text: string): void {
  const place = realOf(path)
  const mode = existsSync(place) ? statSync(place).mode & 0o777 : 0o600
  writeFileSync(`${place}.new`, text, { mode, flush: true })
  renameSync(`${place}.new`, place)
}

/** What a link points to. */
export const realOf = (path: string): string => (existsSync(path) ? realpathSync(path) : path)

/** For `${file:/path}`: null when it cannot be read. */
export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}
