// One JavaScript file for the published package: Node strips no types below node_modules.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { root } from './bootstrap.mjs'

const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const names = Object.keys(dependencies)
const bundle = await rolldown({
  input: join(root, 'src', 'main.ts'),
  platform: 'node',
  external: (id) =>
    id.startsWith('node:') || names.some((name) => id === name || id.startsWith(`${name}/`)),
})
await bundle.write({ file: join(root, 'dist', 'main.js'), format: 'esm' })
