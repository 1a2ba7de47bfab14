// JavaScript for the published package, because Node strips no types below node_modules: the program,
// and the threads that write the ledger and count it again.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { root } from './bootstrap.mjs'

const { dependencies, optionalDependencies } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
)
// What is optional is looked for when it is needed, and may be absent.
const names = Object.keys({ ...dependencies, ...optionalDependencies })
const bundle = await rolldown({
  input: {
    main: join(root, 'src', 'main.ts'),
    'sqlite-thread': join(root, 'src', 'store', 'sqlite-thread.ts'),
    'inspect-thread': join(root, 'src', 'store', 'inspect-thread.ts'),
  },
  platform: 'node',
  external: (id) =>
    id.startsWith('node:') || names.some((name) => id === name || id.startsWith(`${name}/`)),
})
await bundle.write({ dir: join(root, 'dist'), format: 'esm', entryFileNames: '[name].js' })
