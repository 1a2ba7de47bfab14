/** The audit chain followed from its first row, while it may grow. */
import { hash } from 'node:crypto'
import { type AuditCheck, checkLink, type Digest, endCheck, startCheck } from '#core/audit.ts'
import type { ControlStore } from '#ports/store.ts'

const sha256: Digest = (text) => hash('sha256', text)
const pageRows = 1000

/** `kept`: a head that somebody wrote down, which must be met on the way. */
export async function verifyAudit(
  store: Pick<ControlStore, 'auditHead' | 'auditLinks'>,
  kept: string | null = null,
): Promise<AuditCheck> {
  // Before the rows: what is added meanwhile comes after it.
  const head = await store.auditHead()
  let check = startCheck([head?.hash ?? '', kept ?? ''])
  for (let after = 0; check.finding === null; ) {
    const page = await store.auditLinks(after, pageRows)
    for (const link of page) check = checkLink(check, link, sha256)
    const last = page.at(-1)
    if (last === undefined) break
    after = last.seq
  }
  return endCheck(check, head)
}
