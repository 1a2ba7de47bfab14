/** The config as files: one, or every YAML file of a folder in the order of their names. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface NamedText {
  readonly name: string
  readonly text: string
}

/** Throws with a sentence for a person when the path cannot be read. */
export function readConfigFiles(path: string): readonly NamedText[] {
  if (!existsSync(path)) throw new Error(`there is no config at ${path}`)
  if (!statSync(path).isDirectory()) return [{ name: path, text: readFileSync(path, 'utf8') }]
  const names = readdirSync(path)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
  if (names.length === 0) throw new Error(`there is no .yaml file in the folder ${path}`)
  return names.map((name) => {
    const file = join(path, name)
    return { name: file, text: readFileSync(file, 'utf8') }
  })
}

/** For `${file:/path}`: null when it cannot be read. */
export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}
