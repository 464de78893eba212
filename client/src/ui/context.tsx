import { type ComponentType, createContext, type ReactNode, useContext, useMemo } from 'react'
import type { InboxItem } from '../index.ts'
import { useRavenpost } from '../react/context.ts'
import { english, type Strings } from './strings.ts'

/** Names of the parts: `data-rp-part` in the DOM, and keys of `classNames`. */
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
  /** English by default; `german`, or a catalogue of your own. */
  strings?: Strings
  /** Opens the `url` of a notification: a router's push. By default the link is followed. */
  navigate?(url: string): void
  /** Of each part, beside the styles of ui.css. */
  classNames?: Partial<Record<Part, string>>
  /** What is shown of a notification, by its type; the frame with its actions stays. */
  kinds?: Readonly<Record<string, ComponentType<{ item: InboxItem }>>>
  /** Address of a picture; by default where the server streams it. */
  pictureUrl?(mediaId: string): string
}

export type Ui = Required<Pick<UiOptions, 'strings' | 'classNames' | 'kinds' | 'pictureUrl'>> & {
  part(name: Part): { 'data-rp-part': Part; className: string | undefined }
  open(event: { preventDefault(): void } & Partial<Modifiers>, item: InboxItem): void
}
type Modifiers = { metaKey: boolean; ctrlKey: boolean; shiftKey: boolean; button: number }

const Context = createContext<Ui | undefined>(undefined)

/** Words, classes and routing of the parts within. */
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
