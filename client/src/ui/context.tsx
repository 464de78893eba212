import { type ComponentType, createContext, type ReactNode, useContext, useMemo } from 'react'
import type { InboxItem } from '../index.ts'
import { useRavenpost } from '../react/context.ts'
import { english, type Strings } from './strings.ts'

/** Names of the parts: values of `data-rp-part` in the DOM and keys of `classNames`. */
export type Part =
  | 'bell'
  | 'badge'
  | 'popover'
  | 'panel'
  | 'header'
  | 'title'
  | 'tabs'
  | 'tab'
  | 'list'
  | 'item'
  | 'link'
  | 'faces'
  | 'face'
  | 'picture'
  | 'text'
  | 'heading'
  | 'meta'
  | 'dot'
  | 'actions'
  | 'why'
  | 'new'
  | 'more'
  | 'empty'
  | 'error'
  | 'footer'
  | 'button'
  | 'toaster'
  | 'toast'
  | 'status'
  | 'preferences'
  | 'matrix'
  | 'schedule'
  | 'field'
  | 'hidden'

export type UiOptions = {
  /** Texts of the interface. Default: English. `german` is included. */
  strings?: Strings
  /** Opens the `url` of a notification with a router. Default: the browser follows the link. */
  navigate?(url: string): void
  /** Class names of each part, in addition to the styles of ui.css. */
  classNames?: Partial<Record<Part, string>>
  /** Components that show the content of a notification, by type. The frame and its actions stay. */
  kinds?: Readonly<Record<string, ComponentType<{ item: InboxItem }>>>
  /** Returns the URL of a picture. Default: the media URL of the server. */
  pictureUrl?(mediaId: string): string
}

export type Ui = Required<Pick<UiOptions, 'strings' | 'classNames' | 'kinds' | 'pictureUrl'>> & {
  part(name: Part): { 'data-rp-part': Part; className: string | undefined }
  open(event: { preventDefault(): void } & Partial<Modifiers>, item: InboxItem): void
}
type Modifiers = { metaKey: boolean; ctrlKey: boolean; shiftKey: boolean; button: number }

const Context = createContext<Ui | undefined>(undefined)

/** Provides texts, class names and routing to the components inside. */
export function RavenpostUi({ children, ...options }: UiOptions & { children?: ReactNode }): ReactNode {
  return <Context.Provider value={useOptions(options)}>{children}</Context.Provider>
}

export function useUi(): Ui {
  const outer = useContext(Context)
  const own = useOptions({})
  return outer ?? own
}

function useOptions({ strings = english, classNames = NONE, kinds = NO_KINDS, navigate, pictureUrl }: UiOptions): Ui {
  const client = useRavenpost()
  return useMemo(
    () => ({
      strings,
      classNames,
      kinds,
      pictureUrl: pictureUrl ?? ((id) => `${client.options.url}/media/${id}/stream`),
      part: (name) => ({ 'data-rp-part': name, className: classNames[name] }),
      open(event, { id, url }) {
        void client.read([id])
        const opensElsewhere = event.metaKey || event.ctrlKey || event.shiftKey || (event.button ?? 0) > 0
        if (!navigate || url === null || opensElsewhere || isElsewhere(url)) return
        event.preventDefault()
        navigate(url)
      },
    }),
    [client, strings, classNames, kinds, navigate, pictureUrl],
  )
}

const NONE = {}
const NO_KINDS = {}

function isElsewhere(url: string): boolean {
  return new URL(url, location.href).origin !== location.origin
}
