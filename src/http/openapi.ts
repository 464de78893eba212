import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import type { Config } from '../config.ts'
import { Problem } from './problem.ts'

const { $id: _, ...problemSchema } = Problem

/** The whole contract at /openapi.json, made from the schemas that validate the requests; /docs shows it to a person. */
export async function describeApi(server: FastifyInstance, config: Config): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ravenpost',
        description: 'Social notification backend. Live delivery is by websocket at `/ws`, subprotocol `ravenpost.v1`.',
        version: '0.1.0',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: config.publicUrl ? [{ url: config.publicUrl }] : undefined,
      components: {
        securitySchemes: {
          accessToken: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'From sign-up, sign-in or refresh.',
          },
        },
        schemas: { Problem: problemSchema },
      },
      security: [{ accessToken: [] }],
    },
    convertConstToEnum: false,
    transform: ({ schema, url, route }) => ({
      url,
      schema: route.config?.public ? { ...withProblems(schema, url), security: [] } : withProblems(schema, url),
    }),
  })
  server.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, () => server.swagger())
  await server.register(async (pages) => {
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, public: true }
    })
    await pages.register(swaggerUi, { routePrefix: '/docs', uiConfig: { persistAuthorization: true } })
  })
}

/** Each call may answer with a problem; calls are grouped by the first part of their path. */
function withProblems(schema: FastifySchema | undefined, url: string): FastifySchema {
  const response = typeof schema?.response === 'object' ? schema.response : { '2xx': { description: 'Done' } }
  return {
    tags: [url.split('/')[1] ?? ''],
    ...schema,
    response: { ...response, default: problem('The call cannot be carried out; `code` says why') },
  }
}

function problem(description: string) {
  return { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
}
