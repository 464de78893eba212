import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Link, useLocation, useNavigate } from '@tanstack/react-router'
import { BellOff, Bookmark, Ellipsis, Heart, Link2, MessageCircle, Pencil, Trash2 } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import { Button, IconButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Menu } from '../../ui/menu.tsx'
import { Alert } from '../../ui/notes.tsx'
import { Time } from '../../ui/time.tsx'
import type { Media, Post } from '../answers.ts'
import { serverUrl } from '../calls.ts'
import { demoEnabled } from '../demo/enabled.ts'
import { useDevice } from '../device.tsx'
import { MuteItem } from '../people/mute-item.tsx'
import { UsersDialog } from '../people/users.tsx'
import { explain } from '../problem.ts'
import { useFormat, useWords } from '../words/words.tsx'
import { EditForm } from './edit-form.tsx'
import styles from './post.module.css'
import { changePost, removePost } from './post-cache.ts'
import { RichText } from './rich-text.tsx'

const Dials = lazy(() => import('../demo/dials.tsx').then(({ Dials }) => ({ default: Dials })))

/** One post as a card. `whole`: true on the post's own page, where comments follow. */
export function PostCard({ post, whole = false }: { post: Post; whole?: boolean }) {
  const { post: words } = useWords()
  const [editing, setEditing] = useState(false)
  const { author } = post
  const person = { to: '/users/$userId', params: { userId: author.id } } as const
  return (
    <article className={styles.card} aria-label={words.title(author.displayName)} data-post={post.id}>
      <div className={styles.who}>
        <Link {...person} tabIndex={-1} aria-hidden="true">
          <Avatar user={author} />
        </Link>
        <div className={styles.names}>
          <Link {...person}>{author.displayName}</Link>
          <span className={styles.meta}>
            <bdi>@{author.username}</bdi> ·{' '}
            <Link to="/posts/$postId" params={{ postId: post.id }}>
              <Time at={post.createdAt} />
            </Link>
            {post.updatedAt !== post.createdAt && ` · ${words.edited}`}
          </span>
        </div>
        <PostMenu post={post} edit={() => setEditing(true)} />
      </div>
      {editing ? (
        <Editor post={post} done={() => setEditing(false)} />
      ) : (
        <div className={styles.body} dir="auto">
          <RichText text={post.body} mentions={post.mentions} />
        </div>
      )}
      <PostMedia post={post} />
      <PostBar post={post} whole={whole} />
      {demoEnabled && (
        <Suspense>
          <Dials post={post} open={whole} />
        </Suspense>
      )}
    </article>
  )
}

function PostMedia({ post }: { post: Post }) {
  const { post: words } = useWords()
  if (post.media.length === 0) return null
  const show = ({ id, mime, width, height, alt }: Media) => {
    const src = `media/${id}/stream`
    if (mime.startsWith('image/')) {
      const size = width && height ? { width, height } : {}
      return <img key={id} src={src} alt={alt ?? words.image(post.author.displayName)} loading="lazy" {...size} />
    }
    // biome-ignore lint/a11y/useMediaCaption: uploads carry no captions
    if (mime.startsWith('video/')) return <video key={id} src={src} controls preload="metadata" />
    // biome-ignore lint/a11y/useMediaCaption: uploads carry no captions
    if (mime.startsWith('audio/')) return <audio key={id} src={src} controls preload="metadata" />
    return (
      <a key={id} href={src} download>
        {words.file}
      </a>
    )
  }
  return <div className={styles.media}>{post.media.map(show)}</div>
}

function PostBar({ post, whole }: { post: Post; whole: boolean }) {
  const { post: words } = useWords()
  const { number } = useFormat()
  const { api } = useDevice()
  const queries = useQueryClient()
  const [likers, setLikers] = useState(false)
  const { liked, bookmarked } = post.viewer

  // Shows the like at once. Requests for one post are sent one after the other, and a failed one undoes only itself.
  const like = useMutation({
    scope: { id: `like:${post.id}` },
    mutationFn: (wanted: boolean) => api.like(post.id, wanted),
    onMutate: (wanted) => changePost(queries, post.id, (old) => withLike(old, wanted)),
    onError: (_error, wanted) => changePost(queries, post.id, (old) => withLike(old, !wanted)),
  })
  const bookmark = useMutation({
    scope: { id: `bookmark:${post.id}` },
    mutationFn: (wanted: boolean) => api.bookmark(post.id, wanted),
    onMutate: (wanted) => changePost(queries, post.id, (old) => withBookmark(old, wanted)),
    onError: (_error, wanted) => changePost(queries, post.id, (old) => withBookmark(old, !wanted)),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['posts', 'bookmarks'] }),
  })

  return (
    <div className={styles.bar}>
      <button
        type="button"
        className={styles.action}
        aria-pressed={liked}
        aria-label={`${words.like}, ${words.likes(post.likeCount)}`}
        onClick={() => like.mutate(!liked)}
      >
        <Heart aria-hidden="true" />{' '}
        <span data-likes={post.likeCount}>{post.likeCount > 0 && number(post.likeCount)}</span>
      </button>
      <Link
        to="/posts/$postId"
        params={{ postId: post.id }}
        className={styles.action}
        aria-label={words.comments(post.commentCount)}
      >
        <MessageCircle aria-hidden="true" /> {post.commentCount > 0 && number(post.commentCount)}
      </Link>
      {whole && post.likeCount > 0 && (
        <button type="button" className={styles.action} onClick={() => setLikers(true)}>
          {words.likedBy}…
        </button>
      )}
      <button
        type="button"
        className={`${styles.action} ${styles.push}`}
        aria-pressed={bookmarked}
        aria-label={words.bookmark}
        title={bookmarked ? words.bookmarked : words.bookmark}
        onClick={() => bookmark.mutate(!bookmarked)}
      >
        <Bookmark aria-hidden="true" />
      </button>
      {likers && (
        <UsersDialog
          title={words.likedBy}
          queryKey={['likers', post.id]}
          fetchPage={api.likers(post.id)}
          empty={words.nobodyLiked}
          onClose={() => setLikers(false)}
        />
      )}
    </div>
  )
}

function withLike(post: Post, liked: boolean): Post {
  if (post.viewer.liked === liked) return post
  return { ...post, likeCount: Math.max(0, post.likeCount + (liked ? 1 : -1)), viewer: { ...post.viewer, liked } }
}

function withBookmark(post: Post, bookmarked: boolean): Post {
  return { ...post, viewer: { ...post.viewer, bookmarked } }
}

function PostMenu({ post, edit }: { post: Post; edit(): void }) {
  const { app, post: words } = useWords()
  const { api, session } = useDevice()
  const queries = useQueryClient()
  const [deleting, setDeleting] = useState(false)
  const own = post.author.id === session.user.id
  const mute = useMutation({
    mutationFn: (muted: boolean) => api.muteThread(post.id, muted),
    onMutate: (muted) => changePost(queries, post.id, (old) => ({ ...old, viewer: { ...old.viewer, muted } })),
    onError: (_error, muted) =>
      changePost(queries, post.id, (old) => ({ ...old, viewer: { ...old.viewer, muted: !muted } })),
  })
  return (
    <div className={styles.end}>
      <Menu
        label={app.moreActions(words.title(post.author.displayName))}
        trigger={(attributes) => (
          <IconButton label={app.moreActions(words.title(post.author.displayName))} {...attributes}>
            <Ellipsis aria-hidden="true" />
          </IconButton>
        )}
      >
        {own && (
          <button type="button" role="menuitem" onClick={edit}>
            <Pencil aria-hidden="true" /> {words.edit}
          </button>
        )}
        <button type="button" role="menuitem" onClick={() => mute.mutate(!post.viewer.muted)}>
          <BellOff aria-hidden="true" /> {post.viewer.muted ? words.unmuteThread : words.muteThread}
        </button>
        {!own && <MuteItem user={post.author} />}
        <button
          type="button"
          role="menuitem"
          onClick={() => void navigator.clipboard?.writeText(`${serverUrl}/posts/${post.id}`)}
        >
          <Link2 aria-hidden="true" /> {app.copyLink}
        </button>
        {own && (
          <button type="button" role="menuitem" data-danger onClick={() => setDeleting(true)}>
            <Trash2 aria-hidden="true" /> {words.delete}
          </button>
        )}
      </Menu>
      {deleting && <DeleteDialog post={post} onClose={() => setDeleting(false)} />}
    </div>
  )
}

function DeleteDialog({ post, onClose }: { post: Post; onClose(): void }) {
  const words = useWords()
  const { api } = useDevice()
  const queries = useQueryClient()
  const navigate = useNavigate()
  const { pathname } = useLocation()
  const remove = useMutation({
    mutationFn: () => api.deletePost(post.id),
    onSuccess: () => {
      removePost(queries, post.id)
      onClose()
      if (pathname.endsWith(`/posts/${post.id}`)) void navigate({ to: '/' })
    },
  })
  return (
    <Dialog title={words.post.deleteTitle} closeLabel={words.app.close} onClose={onClose}>
      <p>{words.post.deleteHint}</p>
      {remove.isError && <Alert>{explain(remove.error, words)}</Alert>}
      <div className={styles.actions}>
        <Button onClick={onClose}>{words.app.cancel}</Button>
        <Button kind="danger" busy={remove.isPending} onClick={() => remove.mutate()}>
          {words.post.delete}
        </Button>
      </div>
    </Dialog>
  )
}

function Editor({ post, done }: { post: Post; done(): void }) {
  const { api } = useDevice()
  const queries = useQueryClient()
  const save = async (body: string) => {
    const edited = await api.editPost(post.id, body)
    changePost(queries, post.id, () => edited)
  }
  return <EditForm body={post.body} longest={5000} save={save} done={done} />
}
