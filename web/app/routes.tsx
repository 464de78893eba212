import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  useNavigate,
} from '@tanstack/react-router'
import { AccountFrame, ConfirmPage, ForgotPage, ResetPage, SignInPage, SignUpPage } from './account/pages.tsx'
import { FeedPage } from './feed/feed-page.tsx'
import { BookmarksPage, SearchPage } from './feed/found-pages.tsx'
import { NotificationsPage, type Show, shows } from './notifications/notifications-page.tsx'
import { PersonByNamePage, PersonPage, type PersonTab, personTabs } from './people/person-page.tsx'
import { PostPage } from './posts/post-page.tsx'
import { serverUrl } from './session.ts'
import { Crashed, NotFound } from './shell/boundary.tsx'
import { Guarded, Root } from './shell/shell.tsx'

const oneOf = <T extends string>(values: readonly T[], value: unknown): T | undefined =>
  values.find((each) => each === value)
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** A tree of its own for each router: routers keep state in their routes. */
function createRoutes() {
  const root = createRootRoute({ component: Root, notFoundComponent: NotFound, errorComponent: Crashed })
  const user = createRoute({ getParentRoute: () => root, id: 'user', component: Guarded })
  const under = <T extends string>(path: T) => ({ getParentRoute: () => user, path })
  const guest = createRoute({ getParentRoute: () => root, id: 'guest', component: AccountFrame })
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
      createRoute({ ...under('/posts/$postId'), component: PostPage }),
      createRoute({
        ...under('/users/$userId'),
        component: PersonPage,
        validateSearch: (search: Record<string, unknown>): { tab?: PersonTab | undefined } => ({
          tab: oneOf(personTabs, search.tab),
        }),
      }),
      createRoute({ ...under('/users/by-name/$username'), component: PersonByNamePage }),
      createRoute({
        ...under('/search'),
        component: SearchPage,
        validateSearch: (search: Record<string, unknown>): { q?: string | undefined; in?: 'posts' | undefined } => ({
          // The router reads a number where only digits were typed.
          q: text(search.q === undefined ? undefined : String(search.q)),
          in: oneOf(['posts'] as const, search.in),
        }),
      }),
      createRoute({ ...under('/bookmarks'), component: BookmarksPage }),
      createRoute({
        ...under('/notifications'),
        component: NotificationsPage,
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
        component: lazyRouteComponent(() => import('./settings/settings-page.tsx'), 'SettingsPage'),
      }),
      createRoute({
        ...under('/settings/$section'),
        component: lazyRouteComponent(() => import('./settings/settings-page.tsx'), 'SettingsPage'),
      }),
    ]),
    guest.addChildren([
      createRoute({ ...outside('/signin'), component: SignInPage }),
      createRoute({ ...outside('/signup'), component: SignUpPage }),
      createRoute({ ...outside('/forgot'), component: ForgotPage }),
      createRoute({ ...outside('/reset'), component: ResetPage }),
      createRoute({ ...outside('/confirm'), component: ConfirmPage }),
    ]),
    createRoute({
      getParentRoute: () => root,
      path: '/demo',
      component: lazyRouteComponent(() => import('./demo/side-by-side.tsx'), 'SideBySide'),
    }),
  ])
}

/** `at`: a path to start at, for a router that leaves the address of the page alone. */
export function createAppRouter(at?: string) {
  return createRouter({
    routeTree: createRoutes(),
    basepath: new URL(serverUrl).pathname,
    scrollRestoration: at === undefined,
    defaultPreload: false,
    ...(at === undefined ? {} : { history: createMemoryHistory({ initialEntries: [at] }) }),
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
}

/** Goes to the `url` of a notification: a path of this app, or another page. */
export function useGo(): (url: string) => void {
  const navigate = useNavigate()
  return (url) => {
    if (/^https?:/.test(url)) return void window.open(url, '_blank', 'noopener')
    const { pathname, searchParams, hash } = new URL(url, location.origin)
    // A path from the server is not one of the types that the routes make.
    void navigate({ to: pathname as '/', search: Object.fromEntries(searchParams), hash: hash.slice(1) })
  }
}
