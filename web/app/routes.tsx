import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  useNavigate,
} from '@tanstack/react-router'
import { serverUrl } from './calls.ts'
import { FeedPage } from './feed/feed-page.tsx'
import { type Show, shows } from './notifications/shows.ts'
import { type PersonTab, personTabs } from './people/tabs.ts'
import { Crashed } from './shell/boundary.tsx'
import { Guarded, Missing, Root } from './shell/shell.tsx'

const oneOf = <T extends string>(values: readonly T[], value: unknown): T | undefined =>
  values.find((each) => each === value)
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** Pages loaded on demand: when the pointer is on a link to them. */
const account = () => import('./account/pages.tsx')
const found = () => import('./feed/found-pages.tsx')
const person = () => import('./people/person-page.tsx')
const settings = () => import('./settings/settings-page.tsx')
const operation = () => import('../console/console.tsx')

/** Creates a tree for each router, because routers store state in their routes. */
function createRoutes() {
  const root = createRootRoute({ component: Root, notFoundComponent: Missing, errorComponent: Crashed })
  const user = createRoute({ getParentRoute: () => root, id: 'user', component: Guarded })
  const under = <T extends string>(path: T) => ({ getParentRoute: () => user, path })
  const guest = createRoute({
    getParentRoute: () => root,
    id: 'guest',
    component: lazyRouteComponent(account, 'AccountFrame'),
  })
  const outside = <T extends string>(path: T) => ({ getParentRoute: () => guest, path })

  return root.addChildren([
    user.addChildren([
      createRoute({
        ...under('/'),
        component: FeedPage,
        validateSearch: (search: Record<string, unknown>): { scope?: 'following' | undefined } => ({
          scope: oneOf(['following'] as const, search.scope),
        }),
      }),
      createRoute({
        ...under('/posts/$postId'),
        component: lazyRouteComponent(() => import('./posts/post-page.tsx'), 'PostPage'),
      }),
      createRoute({
        ...under('/users/$userId'),
        component: lazyRouteComponent(person, 'PersonPage'),
        validateSearch: (search: Record<string, unknown>): { tab?: PersonTab | undefined } => ({
          tab: oneOf(personTabs, search.tab),
        }),
      }),
      createRoute({ ...under('/users/by-name/$username'), component: lazyRouteComponent(person, 'PersonByNamePage') }),
      createRoute({
        ...under('/search'),
        component: lazyRouteComponent(found, 'SearchPage'),
        validateSearch: (search: Record<string, unknown>): { q?: string | undefined; in?: 'posts' | undefined } => ({
          // Converts to text, because the router parses digits as a number.
          q: text(search.q === undefined ? undefined : String(search.q)),
          in: oneOf(['posts'] as const, search.in),
        }),
      }),
      createRoute({ ...under('/bookmarks'), component: lazyRouteComponent(found, 'BookmarksPage') }),
      createRoute({
        ...under('/notifications'),
        component: lazyRouteComponent(() => import('./notifications/notifications-page.tsx'), 'NotificationsPage'),
        validateSearch: (
          search: Record<string, unknown>,
        ): { show?: Show | undefined; type?: string | undefined; why?: string | undefined } => ({
          show: oneOf(shows, search.show),
          type: text(search.type),
          why: search.why === undefined ? undefined : String(search.why),
        }),
      }),
      createRoute({
        ...under('/settings'),
        component: lazyRouteComponent(settings, 'SettingsPage'),
      }),
      createRoute({
        ...under('/settings/$section'),
        component: lazyRouteComponent(settings, 'SettingsPage'),
      }),
    ]),
    guest.addChildren([
      createRoute({ ...outside('/signin'), component: lazyRouteComponent(account, 'SignInPage') }),
      createRoute({ ...outside('/signup'), component: lazyRouteComponent(account, 'SignUpPage') }),
      createRoute({ ...outside('/forgot'), component: lazyRouteComponent(account, 'ForgotPage') }),
      createRoute({ ...outside('/reset'), component: lazyRouteComponent(account, 'ResetPage') }),
      createRoute({ ...outside('/confirm'), component: lazyRouteComponent(account, 'ConfirmPage') }),
    ]),
    createRoute({
      getParentRoute: () => root,
      path: '/console',
      component: lazyRouteComponent(operation, 'ConsolePage'),
    }),
    createRoute({
      getParentRoute: () => root,
      path: '/console/$',
      component: lazyRouteComponent(operation, 'ConsolePage'),
      validateSearch: (
        search: Record<string, unknown>,
      ): { column?: string | undefined; value?: string | undefined } => ({
        column: text(search.column),
        value: search.value === undefined ? undefined : String(search.value),
      }),
    }),
    createRoute({
      getParentRoute: () => root,
      path: '/demo',
      component: lazyRouteComponent(() => import('./demo/side-by-side.tsx'), 'SideBySide'),
    }),
    createRoute({
      getParentRoute: () => root,
      path: '/gallery',
      component: lazyRouteComponent(() => import('../gallery/gallery.tsx'), 'Gallery'),
    }),
  ])
}

/** Creates a router. `at`: initial path, for a router that does not change the address of the page. */
export function createAppRouter(at?: string) {
  return createRouter({
    routeTree: createRoutes(),
    basepath: new URL(serverUrl).pathname,
    // Replaces only the page, so that header and bell continue to work.
    defaultErrorComponent: Crashed,
    scrollRestoration: at === undefined,
    defaultPreload: 'intent',
    ...(at === undefined ? {} : { history: createMemoryHistory({ initialEntries: [at] }) }),
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
}

/** Opens the `url` of a notification: a path of this app, or another page. */
export function useGo(): (url: string) => void {
  const navigate = useNavigate()
  return (url) => {
    if (/^https?:/.test(url)) return void window.open(url, '_blank', 'noopener')
    const { pathname, searchParams, hash } = new URL(url, location.origin)
    // Cast, because a path from the server is not one of the router's types.
    void navigate({ to: pathname as '/', search: Object.fromEntries(searchParams), hash: hash.slice(1) })
  }
}
