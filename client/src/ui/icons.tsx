import type { ReactNode } from 'react'

const PATHS = {
  bell: 'M6 9a6 6 0 0 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0',
  read: 'm5 13 4 4L19 7',
  unread: 'M4 6h16v12H4zm0 1 8 6 8-6',
  archive: 'M4 5h16v4H4zm1 4v10h14V9m-9 4h4',
  unarchive: 'M4 5h16v4H4zm1 4v10h14V9m-7 8v-5m-2 2 2-2 2 2',
  remove: 'M5 7h14m-9-3h4M7 7l1 13h8l1-13',
  why: 'M9.5 9a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .9-1 1.7m0 3v.01M12 3a9 9 0 1 0 .01 0',
  close: 'm6 6 12 12M18 6 6 18',
  settings: 'M4 7h9m4 0h3M4 17h3m4 0h9M15 5v4M9 15v4',
  back: 'M19 12H5m6-6-6 6 6 6',
  warning: 'M12 3 2.5 20h19zm0 7v4m0 3v.01',
} as const

export function Icon({ name }: { name: keyof typeof PATHS }): ReactNode {
  return (
    <svg
      aria-hidden="true"
      data-rp-icon={name}
      viewBox="0 0 24 24"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
    >
      <path d={PATHS[name]} strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  )
}
