import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Ellipsis, Pencil, Reply, Trash2 } from 'lucide-react'
import type { Comment } from 'ravenpost-client'
import { useEffect, useRef, useState } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import { Button, IconButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Menu } from '../../ui/menu.tsx'
import { Alert, Empty } from '../../ui/notes.tsx'
import { Time } from '../../ui/time.tsx'
import { useDevice } from '../device.tsx'
import { explain } from '../problem.ts'
import { createKeys } from '../session.ts'
import { useWords } from '../words/words.tsx'
import { addComment, changeComment, commentsKey, dropComment, useLiveComments } from './comment-cache.ts'
import { EditForm } from './edit-form.tsx'
import { itemsOf, List, useList } from './list.tsx'
import { useMentions } from './mention-list.tsx'
import styles from './post.module.css'
import { changePost } from './post-cache.ts'
import { RichText } from './rich-text.tsx'

/** Maximum number of replies that are shown without a click. */
const FEW_REPLIES = 3

/** Properties that all comments of a page share. */
type Thread = { postId: string; target: string | undefined; fresh: ReadonlySet<string> }

export function Comments({ postId, target }: { postId: string; target: string | undefined }) {
  const { comments } = useWords()
  const { session } = useDevice()
  const fresh = useLiveComments(postId, session.user.id)
  const thread = { postId, target, fresh }
  return (
    <section className={styles.card} aria-label={comments.title}>
      <h2>{comments.title}</h2>
      <CommentForm postId={postId} parent={null} />
      <Level thread={thread} parentId={null} />
    </section>
  )
}

function Level({ thread, parentId }: { thread: Thread; parentId: string | null }) {
  const { comments } = useWords()
  const { api } = useDevice()
  const { postId, target } = thread
  const list = useList(commentsKey(postId, parentId), api.comments(postId, parentId ?? undefined))
  const ids = itemsOf(list).map(({ id }) => id)
  const found = target !== undefined && ids.includes(target)
  useEffect(() => {
    if (found) document.getElementById(`comment-${target}`)?.scrollIntoView({ block: 'center' })
  }, [found, target])
  return (
    <div className={parentId === null ? styles.comments : styles.replies}>
      <List list={list} empty={parentId === null && <Empty title={comments.empty} />}>
        {(comment) => <OneComment key={comment.id} comment={comment} thread={thread} />}
      </List>
    </div>
  )
}

function OneComment({ comment, thread }: { comment: Comment; thread: Thread }) {
  const { comments: words, post } = useWords()
  const { session } = useDevice()
  const { id, author, replyCount, body } = comment
  const [open, setOpen] = useState((replyCount > 0 && replyCount <= FEW_REPLIES) || thread.target !== undefined)
  const [replying, setReplying] = useState(false)
  const [editing, setEditing] = useState(false)
  const hadReplies = useRef(replyCount)
  // The first replies that arrive while the page is open are shown without a click.
  useEffect(() => {
    if (hadReplies.current === 0 && replyCount > 0) setOpen(true)
    hadReplies.current = replyCount
  }, [replyCount])
  const deleted = body === ''
  return (
    <article
      id={`comment-${id}`}
      className={styles.comment}
      aria-label={words.by(author.displayName)}
      data-new={thread.fresh.has(id)}
      data-target={thread.target === id}
    >
      <Avatar user={author} size={32} />
      <div className={styles.stack}>
        <div className={styles.who}>
          <span className={styles.meta}>
            <Link to="/users/$userId" params={{ userId: author.id }} className={styles.name}>
              {author.displayName}
            </Link>{' '}
            · <Time at={comment.createdAt} />
            {comment.updatedAt !== comment.createdAt && !deleted && ` · ${post.edited}`}
            {thread.fresh.has(id) && <strong> · {words.fresh}</strong>}
          </span>
          {author.id === session.user.id && !deleted && <CommentMenu comment={comment} edit={() => setEditing(true)} />}
        </div>
        {deleted ? (
          <p className={styles.gone}>{words.deleted}</p>
        ) : editing ? (
          <CommentEditor comment={comment} done={() => setEditing(false)} />
        ) : (
          <div className={styles.body} dir="auto">
            <RichText text={body} mentions={comment.mentions} />
          </div>
        )}
        <div className={styles.under}>
          {!deleted && (
            <button
              type="button"
              className={styles.small}
              aria-label={words.replyTo(author.displayName)}
              aria-expanded={replying}
              onClick={() => setReplying(!replying)}
            >
              <Reply size={15} aria-hidden="true" /> {words.reply}
            </button>
          )}
          {replyCount > 0 && (
            <button type="button" className={styles.small} aria-expanded={open} onClick={() => setOpen(!open)}>
              {open ? words.hideReplies : words.showReplies(replyCount)}
            </button>
          )}
        </div>
      </div>
      {(replying || (open && replyCount > 0)) && (
        <div className={styles.below}>
          {open && replyCount > 0 && <Level thread={thread} parentId={id} />}
          {replying && (
            <CommentForm
              postId={thread.postId}
              parent={comment}
              done={() => {
                setReplying(false)
                setOpen(true)
              }}
            />
          )}
        </div>
      )}
    </article>
  )
}

function CommentForm({ postId, parent, done }: { postId: string; parent: Comment | null; done?(): void }) {
  const words = useWords()
  const { api } = useDevice()
  const queries = useQueryClient()
  const [body, setBody] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  const [keys] = useState(createKeys)
  const mentions = useMentions({ value: body, set: setBody, field })
  const label = parent ? words.comments.replyTo(parent.author.displayName) : words.comments.placeholder
  const send = useMutation({
    mutationFn: () => api.comment(postId, body.trim(), parent?.id, keys.of(body.trim())),
    onSuccess: (comment) => {
      addComment(queries, comment)
      keys.done()
      changePost(queries, postId, (post) => ({ ...post, commentCount: post.commentCount + 1 }))
      setBody('')
      done?.()
    },
  })
  const ready = body.trim() !== '' && !send.isPending
  return (
    <form
      className={styles.reply}
      onSubmit={(event) => {
        event.preventDefault()
        if (ready) send.mutate()
      }}
    >
      <div className={styles.writing}>
        <textarea
          ref={field}
          // biome-ignore lint/a11y/noAutofocus: the person has just asked to reply
          autoFocus={parent !== null}
          rows={1}
          dir="auto"
          value={body}
          maxLength={2000}
          aria-label={label}
          placeholder={label}
          onChange={(event) => setBody(event.target.value)}
          onSelect={mentions.look}
          onKeyDown={(event) => {
            if (mentions.onKeyDown(event)) return
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit()
            if (event.key === 'Escape') done?.()
          }}
          {...mentions.attributes}
        />
        {mentions.list}
      </div>
      {send.isError && (
        <Alert>
          {words.comments.failed}: {explain(send.error, words)}
          <Button type="submit">{words.app.retry}</Button>
        </Alert>
      )}
      {(body !== '' || parent) && (
        <div className={styles.actions}>
          {done && <Button onClick={done}>{words.app.cancel}</Button>}
          <Button kind="primary" type="submit" busy={send.isPending} disabled={!ready}>
            {send.isPaused
              ? words.app.waiting
              : send.isPending
                ? words.comments.sending
                : parent
                  ? words.comments.reply
                  : words.comments.send}
          </Button>
        </div>
      )}
    </form>
  )
}

function CommentMenu({ comment, edit }: { comment: Comment; edit(): void }) {
  const words = useWords()
  const { api } = useDevice()
  const queries = useQueryClient()
  const [deleting, setDeleting] = useState(false)
  const label = words.app.moreActions(words.comments.by(comment.author.displayName))
  const remove = useMutation({
    mutationFn: () => api.deleteComment(comment.id),
    onSuccess: () => {
      dropComment(queries, comment.postId, comment.id)
      changePost(queries, comment.postId, (post) => ({ ...post, commentCount: Math.max(0, post.commentCount - 1) }))
      setDeleting(false)
    },
  })
  return (
    <div className={styles.end} style={{ marginBlock: -8, marginInline: 'auto -8px' }}>
      <Menu
        label={label}
        trigger={(attributes) => (
          <IconButton label={label} {...attributes}>
            <Ellipsis aria-hidden="true" />
          </IconButton>
        )}
      >
        <button type="button" role="menuitem" onClick={edit}>
          <Pencil aria-hidden="true" /> {words.post.edit}
        </button>
        <button type="button" role="menuitem" data-danger onClick={() => setDeleting(true)}>
          <Trash2 aria-hidden="true" /> {words.post.delete}
        </button>
      </Menu>
      {deleting && (
        <Dialog title={words.comments.deleteTitle} closeLabel={words.app.close} onClose={() => setDeleting(false)}>
          <p>{words.comments.deleteHint}</p>
          {remove.isError && <Alert>{explain(remove.error, words)}</Alert>}
          <div className={styles.actions}>
            <Button onClick={() => setDeleting(false)}>{words.app.cancel}</Button>
            <Button kind="danger" busy={remove.isPending} onClick={() => remove.mutate()}>
              {words.post.delete}
            </Button>
          </div>
        </Dialog>
      )}
    </div>
  )
}

function CommentEditor({ comment, done }: { comment: Comment; done(): void }) {
  const { api } = useDevice()
  const queries = useQueryClient()
  const save = async (body: string) => {
    const edited = await api.editComment(comment.id, body)
    changeComment(queries, comment.postId, comment.id, () => edited)
  }
  return <EditForm body={comment.body} longest={2000} save={save} done={done} />
}
