/** What stands on the pages of a PDF that pdfkit wrote with its built-in fonts. */
import { inflateSync } from 'node:zlib'

export interface Placed {
  readonly text: string
  /** From the left and from the top, in points. */
  readonly x: number
  readonly y: number
  readonly size: number
}

/** Texts in the order of drawing, by page. */
export function pagesOf(pdf: Buffer): readonly (readonly Placed[])[] {
  const text = pdf.toString('latin1')
  const pages: Placed[][] = []
  for (const match of text.matchAll(/\/FlateDecode\n?[^>]*>>\nstream\n/g)) {
    const start = match.index + match[0].length
    const end = text.indexOf('\nendstream', start)
    const content = inflateSync(pdf.subarray(start, end)).toString('latin1')
    if (content.includes('BT')) pages.push(textsOf(content))
  }
  return pages
}

function textsOf(content: string): Placed[] {
  const found: Placed[] = []
  for (const [, block = ''] of content.matchAll(/BT\n([\s\S]*?)\nET/g)) {
    const [, x, y] = /1 0 0 1 ([-\d.]+) ([-\d.]+) Tm/.exec(block) ?? []
    const size = Number(/\/F\d+ ([\d.]+) Tf/.exec(block)?.[1])
    const hex = [...block.matchAll(/<([0-9a-f]*)>/g)].map(([, part = '']) => part).join('')
    const text = Buffer.from(hex, 'hex').toString('latin1')
    found.push({ text, x: Number(x), y: 841.89 - Number(y), size })
  }
  return found
}
