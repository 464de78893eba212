import { useWindowVirtualizer } from '@tanstack/react-virtual'
import type { InboxItem } from 'ravenpost-client'
import { type KeyboardEventHandler, type ReactNode, useLayoutEffect, useRef, useState } from 'react'

/** Above this number of rows, only those near the visible part are rendered. */
const MOST_ROWS = 200
const ROW_PIXELS = 76

type RowsProps = {
  items: readonly InboxItem[]
  onKeyDown: KeyboardEventHandler
  children(item: InboxItem): ReactNode
}

export function Rows(props: RowsProps) {
  const { items, onKeyDown, children } = props
  if (items.length > MOST_ROWS) return <VirtualRows {...props} />
  return <ul onKeyDown={onKeyDown}>{items.map(children)}</ul>
}

function VirtualRows({ items, onKeyDown, children }: RowsProps) {
  const list = useRef<HTMLUListElement>(null)
  const [top, setTop] = useState(0)
  useLayoutEffect(() => setTop((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY), [])
  const virtual = useWindowVirtualizer({
    count: items.length,
    estimateSize: () => ROW_PIXELS,
    overscan: 12,
    scrollMargin: top,
    getItemKey: (index) => items[index]?.id ?? index,
  })
  return (
    <ul ref={list} onKeyDown={onKeyDown} style={{ position: 'relative', blockSize: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map(({ key, index, start }) => {
        const item = items[index]
        return (
          item && (
            <li
              key={key}
              data-index={index}
              ref={virtual.measureElement}
              aria-setsize={items.length}
              aria-posinset={index + 1}
              style={{ position: 'absolute', insetInline: 0, insetBlockStart: start - top }}
            >
              <ul>{children(item)}</ul>
            </li>
          )
        )
      })}
    </ul>
  )
}
