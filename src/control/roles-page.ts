/** The table of docs/roles.md, from the routes themselves. */
import { roles } from '#core/role.ts'
import { routes } from './app.ts'

/** The same for a lead as for everybody. */
const noOnesPart = ['/me', '/prices']
const mark = { yes: 'yes', part: 'subtree', no: '–' } as const

/** Markdown: a row a route, a column a role. */
export function rolesTable(): string {
  const rows = routes.map(({ method, path, allows }) => {
    const cells = roles.map((role) =>
      !allows.includes(role)
        ? mark.no
        : role === 'lead' && !noOnesPart.includes(path)
          ? mark.part
          : mark.yes,
    )
    return `| \`${method.toUpperCase()} /api/v1${path}\` | ${cells.join(' | ')} |`
  })
  const head = `| route | ${roles.join(' | ')} |\n| --- | ${roles.map(() => '---').join(' | ')} |`
  return `${head}\n${rows.sort().join('\n')}\n`
}
