/** JSON Schema of the file, for editors: amounts and counts may be written as numbers there. */
import { z } from 'zod'
import { descriptionOf } from './descriptions.ts'
import { budget, configFile } from './document.ts'

export function jsonSchema(): Record<string, unknown> {
  const file = loosened(z.toJSONSchema(configFile, { unrepresentable: 'any' }))
  const alone = loosened(z.toJSONSchema(budget, { unrepresentable: 'any' }))
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Bursar config',
    anyOf: [file, alone, { type: 'array', items: alone }],
  }
}

/** We read every scalar as text; an editor's YAML parser sees numbers, booleans and nulls. */
function loosened(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(loosened)
  if (typeof node !== 'object' || node === null) return node
  const entries = Object.entries(node).filter(([key]) => key !== '$schema')
  const out: Record<string, unknown> = Object.fromEntries(
    entries.map(([key, value]) => [key, loosened(value)]),
  )
  if (isProperties(out.properties)) out.properties = described(out.properties)
  const numeric = typeof out.pattern === 'string' && new RegExp(out.pattern).test('1')
  if (out.type === 'string' && numeric) return { ...out, type: ['string', 'number'] }
  if (out.type === 'string' && Array.isArray(out.enum) && out.enum.includes('true')) {
    return { enum: ['true', 'false', true, false] }
  }
  if (out.type === 'string' && Array.isArray(out.enum) && out.enum.includes('0')) {
    return { enum: [...out.enum, ...out.enum.map(Number)] }
  }
  return out
}

const isProperties = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

function described(properties: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).map(([key, schema]) => {
      const description = descriptionOf(key)
      const plain = description === null || typeof schema !== 'object' || schema === null
      return [key, plain ? schema : { description, ...schema }]
    }),
  )
}
