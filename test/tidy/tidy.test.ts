/** Rules a machine can keep, kept by a machine. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { cyclesOf, deadPaths, faultsOf, roomOf, rooms } from './rules.ts'

const root = new URL('../../', import.meta.url).pathname

function filesBelow(folder: string, pattern: RegExp): readonly string[] {
  if (!existsSync(root + folder)) return []
  return readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name) && !name.includes('node_modules'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

const sources = new Map(
  ['src', 'test', 'examples']
    .flatMap((folder) => filesBelow(folder, /\.ts$/))
    .map((name) => [name, readFileSync(root + name, 'utf8')]),
)

test('every file keeps the rules', () => {
  expect([...sources].flatMap(([name, text]) => faultsOf(name, text))).toEqual([])
})

test('no import cycles', () => {
  expect(cyclesOf(sources)).toEqual([])
})

test('every folder of src is a room of the house', () => {
  const found = new Set(
    [...sources.keys()].map(roomOf).filter((room) => room !== '' && !room.endsWith('.ts')),
  )
  expect([...found].filter((room) => !(room in rooms))).toEqual([])
})

test('pages name only files that exist', () => {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...filesBelow('docs', /\.md$/)]
  const dead = pages
    .filter((page) => existsSync(root + page))
    .flatMap((page) =>
      deadPaths(readFileSync(root + page, 'utf8'), (path) => existsSync(root + path)).map(
        (path) => `${page}: ${path}`,
      ),
    )
  expect(dead).toEqual([])
})

test('the rules catch what they are for', () => {
  const caught: readonly [name: string, text: string, what: RegExp][] = [
    ['src/core/x.ts', "import { a } from '#store/sqlite.ts'\n", /arrow up, core -> store/],
    ['src/core/x.ts', "import { a } from '../store/sqlite.ts'\n", /leaves its room/],
    ['src/core/x.ts', 'const now = Date.now()\n', /pure room/],
    ['src/wire/x.ts', 'const a = await b()\n', /pure room/],
    ['src/core/x.ts', "import { readFileSync } from 'node:fs'\n", /pure room/],
    ['src/core/x.ts', `const a = ${'1 + '.repeat(40)}1\n`, /over 100 columns/],
    ['src/core/x.ts', 'const a: any = 1\n', /type checker/],
    ['src/core/x.ts', 'enum A { b }\n', /type checker/],
    ['src/core/x.ts', 'export class A {}\n', /class/],
    ['src/store/x.ts', 'export default 1\n', /default export/],
    ['src/store/x.ts', "console.log('x')\n", /console/],
    ['src/store/x.ts', '// TODO later\n', /undone/],
    ['src/store/x.ts', 'a\n'.repeat(402), /longer than 400/],
    ['src/store/x.ts', `function f() {\n${'  g()\n'.repeat(61)}}\n`, /function of 63 lines/],
    ['test/x.test.ts', "test.only('x', () => {})\n", /left out/],
  ]
  for (const [name, text, what] of caught) {
    expect(faultsOf(name, text).join('\n'), text.slice(0, 40)).toMatch(what)
  }
  const cycle = new Map([
    ['src/core/a.ts', "import { b } from './b.ts'\n"],
    ['src/core/b.ts', "import { a } from './a.ts'\n"],
  ])
  expect(cyclesOf(cycle)).toHaveLength(1)
  expect(deadPaths('see `src/nowhere.ts`', () => false)).toEqual(['src/nowhere.ts'])
})
