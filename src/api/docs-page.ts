import { readFile } from 'node:fs/promises'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.ts'

const guides: Record<string, string> = {
  'front-end.md': 'your own front end',
  'protocol.md': 'the websocket',
  'client.md': 'the client package',
  'web-push.md': 'Web Push',
  'beside-your-app.md': 'your own users and login',
  'sql.md': 'SQL',
  'webhooks.md': 'webhooks',
  'broadcasts.md': 'broadcasts',
  'console.md': 'the console',
  'operations.md': 'operation',
  'security.md': 'security',
  'privacy.md': 'privacy',
  'schema.md': 'the schema',
}

/** Links to the guides in Markdown. `path`: where browsers reach the API, with a trailing slash. */
export function linksToGuides(path: string): string {
  return Object.entries(guides)
    .map(([name, title]) => `[${title}](${path}docs/guides/${name})`)
    .join(' · ')
}

/**
 * Serves the page that shows the API's document at /docs, and the guides as text at /docs/guides. Both are public.
 * `path` as above.
 */
export async function serveDocsPage(server: FastifyInstance, path: string): Promise<void> {
  const icon = await readFile(new URL('../../web/public/icon.svg', import.meta.url))
  await server.register(async (pages) => {
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, public: true }
    })
    // These files are public and set their own Cache-Control.
    pages.addHook('onRequest', (_request, reply, done) => {
      reply.removeHeader('cache-control')
      done()
    })
    await pages.register(swaggerUi, {
      routePrefix: '/docs',
      indexPrefix: path,
      // The base layout has no bar with a logo and a box for other documents.
      uiConfig: { layout: 'BaseLayout', docExpansion: 'list', defaultModelsExpandDepth: 0, filter: true },
      theme: {
        title: 'Ravenpost API',
        favicon: [{ filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }],
        css: [{ filename: 'ravenpost.css', content: css }],
      },
    })
    // As text, because browsers download Markdown.
    pages.get<{ Params: { name: string } }>(
      '/docs/guides/:name',
      { schema: { hide: true } },
      async ({ params: { name } }, reply) => {
        if (!Object.hasOwn(guides, name)) throw fail('ROUTE_NOT_FOUND')
        const text = await readFile(new URL(`../../docs/${name}`, import.meta.url))
        return reply.type('text/plain; charset=utf-8').header('cache-control', 'no-cache').send(text)
      },
    )
  })
}

const css = `.swagger-ui .info { margin: 24px 0 }
.swagger-ui .info .title { padding-left: 52px; background: url(icon.svg) left center / 40px no-repeat; line-height: 44px }
.swagger-ui .scheme-container { margin: 0; padding: 12px 0; box-shadow: none; border-bottom: 1px solid #d8dae0 }`
