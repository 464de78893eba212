import type { TSchema } from '@sinclair/typebox'

/** An example value for a schema. Uses the property's name where it is more specific than the type. */
export function exampleOf(schema: TSchema, name = ''): unknown {
  if (schema.const !== undefined) return schema.const
  if (schema.examples) return schema.examples[0]
  if (schema.default !== undefined) return schema.default
  if (schema.enum) return schema.enum[0]
  const [choice] = schema.anyOf ?? []
  if (choice) return exampleOf(choice, name)
  if (schema.type === 'object') return exampleOfObject(schema)
  if (schema.type === 'array') return schema.maxItems === 0 ? [] : [exampleOf(schema.items, name.replace(/s$/, ''))]
  if (schema.type === 'boolean') return false
  if (schema.type === 'null') return null
  if (schema.type === 'integer' || schema.type === 'number') return Math.max(schema.minimum ?? 0, numbers[name] ?? 1)
  return exampleOfText(schema, name)
}

function exampleOfObject({
  properties = {},
  maxProperties = Number.POSITIVE_INFINITY,
}: TSchema): Record<string, unknown> {
  const entries = Object.entries<TSchema>(properties).slice(0, maxProperties)
  return Object.fromEntries(entries.map(([name, schema]) => [name, exampleOf(schema, name)]))
}

function exampleOfText({ format, pattern }: TSchema, name: string): string {
  if (format === 'date-time') return '2026-01-31T12:00:00.000Z'
  const known = texts[name] ?? (/id$/i.test(name) ? '42' : name || 'text')
  if (pattern === undefined) return known
  return [known, '42', '22:00', 'k3J9xQ2mZ7pL0aV5bN8cRw'].find((text) => new RegExp(pattern).test(text)) ?? ''
}

const numbers: Record<string, number> = { expiresIn: 900, size: 20_480 }

const texts: Record<string, string> = {
  username: 'ana',
  displayName: 'Ana',
  bio: 'Birds and bread',
  email: 'ana@example.org',
  p256dh: 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU',
  login: 'ana',
  password: 'correct horse battery',
  accessToken: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl',
  refreshToken: 'nX2rVw0m3l6oM1y8cT5bQ7kP9sD4fG6hJ8zL0aE2iU4',
  body: 'Hello, ravens',
  state: '5f3a91c0.7',
  since: '5f3a91c0.7',
  upTo: '5f3a91c0.7',
  from: '5f3a91c0.7',
  to: '5f3a91c0.8',
  title: 'Ana liked your post',
  url: '/posts/9',
  type: 'post.liked',
  groupKey: 'post.liked:post:9',
  sourceId: 'order:77:shipped',
  userAgent: 'Mozilla/5.0',
  mime: 'image/png',
  nextCursor: 'NDI',
  timeZone: 'Europe/Berlin',
}
