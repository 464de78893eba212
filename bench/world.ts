/**
 * The users and posts with which every stack is measured. Users 1 to `recipients` have sockets and write the posts; the `likers`
 * after them like posts. One like of a post is one event and one notification, so losses and duplicates can be counted exactly.
 */
export type World = { recipients: number; likers: number; posts: number }

export function authorOf(world: World, post: number): number {
  return 1 + ((post - 1) % world.recipients)
}

export function likerOf(world: World, post: number): number {
  return world.recipients + 1 + (post % world.likers)
}

export function usersOf(world: World): number {
  return world.recipients + world.likers
}

/** Both stacks verify HS256 tokens with this secret, so the load generator signs the tokens of all users. */
export const JWT_SECRET = 'a secret that only the benchmark knows, 32 bytes or more'
