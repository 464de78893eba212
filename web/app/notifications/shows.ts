export const shows = ['unread', 'archived', 'requests'] as const
export type Show = (typeof shows)[number]
