import type { Post } from '../api.ts'
export function Dials(_: { post: Post; open: boolean }) {
  return null
}
