/** `${VAR}`, `${VAR:-default}` and `${file:/path}` in the scalars of a document. */
import type { Path } from './source.ts'

export interface Surroundings {
  /** `at`: where in the document it is asked for. */
  readonly env: (name: string, at: Path) => string | undefined
  readonly readFile: (file: string, at: Path) => string | null
}

export interface Unset {
  readonly path: Path
  readonly name: string
}

export interface Expanded {
  readonly value: unknown
  /** Variables and files that are not there. Their places hold an empty text. */
  readonly unset: readonly Unset[]
}

/** As `source.ts` leaves them: two marks in front, one behind. */
const forms = [
  'file:([^\ue001]+)',
  '([A-Za-z_][A-Za-z0-9_]*)(?::-([^\ue001]*))?',
  '([^\ue001]*)',
].join('|')
const reference = new RegExp(`\ue000\ue000(?:${forms})\ue001`, 'g')

export function expand(value: unknown, { env, readFile }: Surroundings): Expanded {
  const unset: Unset[] = []
  const walk = (node: unknown, path: Path): unknown => {
    if (typeof node === 'string') {
      return node.replace(
        reference,
        (_all, file?: string, name?: string, fallback?: string, odd?: string) => {
          if (odd !== undefined) {
            unset.push({ path, name: `"\${${odd}}" is no reference, and so` })
            return ''
          }
          const said = file !== undefined ? readFile(file, path) : env(name ?? '', path)
          const found = said === '' || said === null ? undefined : said
          if (found === undefined && fallback === undefined) {
            unset.push({ path, name: file !== undefined ? `file ${file}` : `\${${name}}` })
          }
          return found ?? fallback ?? ''
        },
      )
    }
    if (Array.isArray(node)) return node.map((one, i) => walk(one, [...path, i]))
    if (typeof node !== 'object' || node === null) return node
    return Object.fromEntries(
      Object.entries(node).map(([key, one]) => [key, walk(one, [...path, key])]),
    )
  }
  return { value: walk(value, []), unset }
}
