import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import { Problem } from '../http/problem.ts'
import { describeSocket } from './asyncapi.ts'
import { nameComponents } from './components.ts'
import { type Document, describeOperations, describeRoute } from './describe.ts'
import { linksToGuides, serveDocsPage } from './docs-page.ts'
import { pathOfApi } from './web.ts'

const { $id: _, ...problemSchema } = Problem

/**
 * Serves the API's contract at /openapi.json, generated from the schemas that validate requests, and a page for people
 * at /docs. With DOCS=off, neither exists.
 */
export async function describeApi(server: FastifyInstance, config: Config): Promise<void> {
  if (!config.docs) return
  const path = pathOfApi(config)
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ravenpost',
        description: `Social notification backend. Live delivery is by the websocket at \`GET ${path}ws\`, whose frames are in [its guide](${path}docs/guides/protocol.md) and in [asyncapi.json](${path}asyncapi.json).

Guides: ${linksToGuides(path)}`,
        version: '0.1.0',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: serverUrl(config) }],
      components: {
        securitySchemes: {
          accessToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'From sign-up, sign-in, refresh or your identity provider. Services send their service token.',
          },
        },
        schemas: { Problem: problemSchema },
      },
      security: [{ accessToken: [] }],
    },
    convertConstToEnum: false,
    transform: ({ schema, url, route }) => ({ url, schema: describeRoute(schema, route) }),
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject
      // Cast, because the library returns an OpenAPI document but declares a different type.
      const openapi = document.openapiObject as Document
      describeOperations(openapi)
      nameComponents(openapi)
      return document.openapiObject
    },
  })
  const socket = describeSocket(config)
  server.get('/asyncapi.json', { config: { public: true }, schema: { hide: true } }, () => socket)
  server.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, () => server.swagger())
  await serveDocsPage(server, path)
}

/** The address of the API: PUBLIC_URL and BASE_PATH, or only the path when PUBLIC_URL is not set. */
function serverUrl({ publicUrl, basePath }: Config): string {
  return basePath === '' ? (publicUrl ?? '/') : `${publicUrl?.replace(/\/+$/, '') ?? ''}${basePath}`
}
