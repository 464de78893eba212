import type { TSchema } from '@sinclair/typebox'
import { pageOf } from '../http/paging.ts'
import { DryRun } from '../notify/broadcasts/dry-run.ts'
import { BroadcastProgress } from '../notify/broadcasts/progress.ts'
import { Recipient } from '../notify/broadcasts/recipients.ts'
import { Broadcast, BroadcastWithProgress } from '../notify/broadcasts/routes.ts'
import { Stats } from '../notify/inbox/stats.ts'
import { Why } from '../notify/inbox/why.ts'
import { Preferences } from '../notify/preferences/document.ts'
import { Progress } from '../notify/sends/progress.ts'
import { Preview } from '../notify/templates/preview.ts'
import { Template } from '../notify/templates/routes.ts'
import { Delivery, Webhook } from '../notify/webhooks/routes.ts'
import { Changes } from '../protocol/changes.ts'
import { Comment, Mention } from '../protocol/comment.ts'
import { Actor, KNOWN, Notification, socialData } from '../protocol/notification.ts'
import { Me } from '../social/accounts/me.ts'
import { Tokens } from '../social/accounts/routes.ts'
import { Media, MediaOfPost } from '../social/media/view.ts'
import { Post } from '../social/posts/view.ts'
import { Estimate } from '../social/segments/audience.ts'
import { Segment } from '../social/segments/routes.ts'
import { RuleSchema } from '../social/segments/rule.ts'
import { SessionView } from '../social/sessions/session.ts'
import { User } from '../social/users/view.ts'
import type { Document, OperationObject } from './describe.ts'

/** The named schemas of the API. `Person` is also the author of a post or comment. */
const shapes: Record<string, TSchema> = {
  User,
  Me,
  Tokens,
  Session: SessionView,
  Person: Actor,
  Post,
  Comment,
  Mention,
  Media,
  MediaOfPost,
  Notification,
  ...Object.fromEntries(Object.entries(socialData).map(([type, schema]) => [nameOfData(type), schema])),
  Changes,
  Preferences,
  Why,
  Stats,
  SendProgress: Progress,
  Broadcast,
  BroadcastWithProgress,
  BroadcastProgress,
  BroadcastRecipient: Recipient,
  BroadcastDryRun: DryRun,
  Template,
  TemplatePreview: Preview,
  Segment,
  SegmentRule: RuleSchema,
  SegmentEstimate: Estimate,
  Webhook,
  WebhookDelivery: Delivery,
  NotificationPage: pageOf(Notification),
  UserPage: pageOf(User),
  PostPage: pageOf(Post),
  CommentPage: pageOf(Comment),
  SessionPage: pageOf(SessionView),
}

/** `post.liked` → `PostLikedData` */
function nameOfData(type: string): string {
  return `${type.replaceAll(/(?:^|\.)(\w)/g, (_, first: string) => first.toUpperCase())}Data`
}

/**
 * Moves every object schema into `components.schemas`, each once. The schemas above keep their names. Other bodies and
 * answers are named after their operation.
 */
export function nameComponents(document: Document): void {
  const names = new Map(Object.entries(shapes).map(([name, schema]) => [textOf(schema), name]))
  for (const operation of Object.values(document.paths ?? {}).flatMap(Object.values))
    for (const [name, schema] of ownShapes(operation)) {
      const text = textOf(schema)
      if (!names.has(text)) names.set(text, name)
    }
  const components: Record<string, unknown> = { ...document.components?.schemas }
  const paths = referring(document.paths, names, components)
  Object.assign(document, { paths, components: { ...document.components, schemas: inOrder(components) } })
}

/**
 * Does the same for a part of another document, such as the messages of AsyncAPI. Returns the part and the components
 * it refers to.
 */
export function referToComponents<T>(part: T): { part: T; schemas: Record<string, unknown> } {
  const names = new Map(Object.entries(shapes).map(([name, schema]) => [textOf(schema), name]))
  const schemas: Record<string, unknown> = {}
  return { part: referring(part, names, schemas), schemas: inOrder(schemas) }
}

/** The object schemas of an operation's body and successful answers, with their names. */
function ownShapes({ operationId = '', requestBody, responses = {} }: OperationObject): [string, TSchema][] {
  const name = operationId.charAt(0).toUpperCase() + operationId.slice(1)
  const good = Object.entries(responses).filter(([status]) => status.startsWith('2'))
  const contents = [
    [`${name}Body`, requestBody] as const,
    ...good.map(([status, answer], at) => [at === 0 ? `${name}Answer` : `${name}Answer${status}`, answer] as const),
  ]
  return contents.flatMap(([label, media]) => {
    const schema = media?.content?.['application/json']?.schema
    return schema?.type === 'object' && schema.properties ? [[label, schema] as [string, TSchema]] : []
  })
}

/** A copy in which a reference replaces every named schema. Adds the schemas it refers to to `components`. */
function referring<T>(value: T, names: Map<string, string>, components: Record<string, unknown>): T {
  if (typeof value !== 'object' || value === null) return value
  const name = 'type' in value && value.type === 'object' ? names.get(textOf(value)) : undefined
  if (name === undefined) return inside(value, names, components)
  if (!(name in components)) {
    components[name] = {}
    components[name] = inside(value, names, components)
  }
  // The type of the replaced schema, because callers put the reference in its place.
  return { $ref: `#/components/schemas/${name}` } as T
}

function inside<T>(value: T, names: Map<string, string>, components: Record<string, unknown>): T {
  if (Array.isArray(value)) return value.map((item) => referring(item, names, components)) as T
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(asOpenApi(value)).map(([key, inner]) => [
    key,
    key === 'example' || key === 'examples' ? inner : referring(inner, names, components),
  ])
  return Object.fromEntries(entries) as T
}

/** Equal texts mean equal schemas. Sorts keys, because OpenAPI ignores their order. */
function textOf(schema: unknown): string {
  return JSON.stringify(schema, (_key, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(asOpenApi(value)).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/**
 * Writes a TypeBox record (`patternProperties`) as OpenAPI's `additionalProperties`, and known values as alternatives
 * of the open schema.
 */
function asOpenApi(value: object): object {
  if (KNOWN in value && Array.isArray(value[KNOWN])) {
    const { [KNOWN]: known, ...schema } = value
    const { description, examples, ...open } = schema as TSchema
    return { description, examples, anyOf: [...known, open] }
  }
  if (!('patternProperties' in value)) return value
  const { patternProperties, ...rest } = value
  return { ...rest, additionalProperties: Object.values(patternProperties as object)[0] }
}

function inOrder(components: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(components).sort(([a], [b]) => a.localeCompare(b)))
}
