import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import { Problem } from '../http/problem.ts'
import { describeSocket, socketInMarkdown } from './asyncapi.ts'
import { nameComponents } from './components.ts'
import { type Document, describeOperations, describeRoute } from './describe.ts'

const { $id: _, ...problemSchema } = Problem

/**
 * Serves the API's contract at /openapi.json, generated from the schemas that validate requests, and a page for people
 * at /docs. With DOCS=off, neither exists.
 */
export async function describeApi(server: FastifyInstance, config: Config): Promise<void> {
  if (!config.docs) return
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ravenpost',
        description: `Social notification backend. Live delivery is by websocket, described in\n${socketInMarkdown}`,
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
      // The library returns an OpenAPI document, but declares a different type for it.
      const openapi = document.openapiObject as Document
      describeOperations(openapi)
      nameComponents(openapi)
      return document.openapiObject
    },
  })
  const socket = describeSocket(config)
  server.get('/asyncapi.json', { config: { public: true }, schema: { hide: true } }, () => socket)
  server.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, () => server.swagger())
  await server.register(async (pages) => {
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, public: true }
    })
    // These files are public and set their own Cache-Control.
    pages.addHook('onRequest', (_request, reply, done) => {
      reply.removeHeader('cache-control')
      done()
    })
    await pages.register(swaggerUi, { routePrefix: '/docs' })
  })
}

/** PUBLIC_URL and BASE_PATH; only the path when PUBLIC_URL is not set. */
function serverUrl({ publicUrl, basePath }: Config): string {
  return basePath === '' ? (publicUrl ?? '/') : `${publicUrl?.replace(/\/+$/, '') ?? ''}${basePath}`
}
