import type { App } from '../../../src/app.ts'
import { inTransaction } from '../../../src/db/transaction.ts'
import type { Comment } from '../../../src/protocol/comment.ts'
import { insertComment, type NewComment } from '../../../src/social/comments/write.ts'
import type { Post } from '../../../src/social/posts/view.ts'
import { type Actor, insertPost } from '../../../src/social/posts/write.ts'

/** A post as its route makes it, without HTTP. */
export async function createPost(app: App, actor: Actor, body: string): Promise<Post> {
  const post = await inTransaction(app.pool, (client) => insertPost(client, actor, body, []))
  app.wakeUps.eventsAppended()
  return post
}

/** A comment as its route makes it, without HTTP. */
export async function createComment(app: App, actor: Actor, comment: NewComment): Promise<Comment> {
  const created = await inTransaction(app.pool, (client) => insertComment(client, actor, comment))
  app.wakeUps.eventsAppended()
  return created
}
