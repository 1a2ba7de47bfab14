/** Where `package.json` stands: two folders up in the sources, one in the built file. */
import { existsSync } from 'node:fs'

export function packageRoot(): URL {
  for (let folder = new URL('./', import.meta.url); ; ) {
    if (existsSync(new URL('package.json', folder))) return folder
    const parent = new URL('../', folder)
    if (parent.href === folder.href) throw new Error('there is no package.json above this program')
    folder = parent
  }
}
