/** The three dialects, each as one value. */
import { unreachable } from '#lib/assert.ts'
import { parseMessages, rewriteMessages } from './anthropic.ts'
import { meterMessages, readMessagesUsage } from './anthropic-usage.ts'
import type { Dialect, DialectName } from './dialect.ts'
import { parseEmbed, parseGenerate, rewriteGenerate } from './google.ts'
import { meterGenerate, readGenerateUsage } from './google-usage.ts'
import { meterChat, parseChat, readChatUsage, rewriteChat } from './openai-chat.ts'
import { parseEmbeddings, readEmbeddingsUsage, rewriteEmbeddings } from './openai-embeddings.ts'
import {
  meterResponses,
  parseResponses,
  readResponsesUsage,
  rewriteResponses,
} from './openai-responses.ts'
import { refusalAnswer } from './refusals.ts'

const openai: Dialect = {
  name: 'openai',
  parse: (endpoint, body) => {
    switch (endpoint.operation) {
      case 'responses':
        return parseResponses(endpoint, body)
      case 'embeddings':
        return parseEmbeddings(endpoint, body)
      default:
        return parseChat(endpoint, body)
    }
  },
  rewrite: (call, changes) => {
    switch (call.endpoint.operation) {
      case 'responses':
        return rewriteResponses(call, changes)
      case 'embeddings':
        return rewriteEmbeddings(call, changes)
      default:
        return rewriteChat(call, changes)
    }
  },
  readUsage: (call, body) => {
    switch (call.endpoint.operation) {
      case 'responses':
        return readResponsesUsage(body)
      case 'embeddings':
        return readEmbeddingsUsage(body)
      default:
        return readChatUsage(body)
    }
  },
  meterStream: (call) =>
    call.endpoint.operation === 'responses' ? meterResponses() : meterChat(call),
  refuse: (refusal) => refusalAnswer('openai', refusal),
  listModels: (models) =>
    JSON.stringify({
      object: 'list',
      data: models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'bursar' })),
    }),
}

const anthropic: Dialect = {
  name: 'anthropic',
  parse: parseMessages,
  rewrite: rewriteMessages,
  readUsage: (_call, body) => readMessagesUsage(body),
  meterStream: () => meterMessages(),
  refuse: (refusal) => refusalAnswer('anthropic', refusal),
  listModels: (models) =>
    JSON.stringify({
      data: models.map((id) => ({
        type: 'model',
        id,
        display_name: id,
        created_at: '1970-01-01T00:00:00Z',
      })),
      has_more: false,
      first_id: models[0] ?? null,
      last_id: models.at(-1) ?? null,
    }),
}

const google: Dialect = {
  name: 'google',
  parse: (endpoint, body) =>
    endpoint.operation === 'embed' ? parseEmbed(endpoint, body) : parseGenerate(endpoint, body),
  rewrite: rewriteGenerate,
  readUsage: (_call, body) => readGenerateUsage(body),
  meterStream: () => meterGenerate(),
  refuse: (refusal) => refusalAnswer('google', refusal),
  listModels: (models) =>
    JSON.stringify({
      models: models.map((id) => ({ name: `models/${id}`, displayName: id })),
    }),
}

export function dialectOf(name: DialectName): Dialect {
  switch (name) {
    case 'openai':
      return openai
    case 'anthropic':
      return anthropic
    case 'google':
      return google
    default:
      return unreachable(name)
  }
}
