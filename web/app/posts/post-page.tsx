import { useQuery } from '@tanstack/react-query'
import { useLocation, useParams } from '@tanstack/react-router'
import { useRef } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { useApi } from '../device.tsx'
import { explain, Problem } from '../problem.ts'
import { NotFound } from '../shell/boundary.tsx'
import { useTitle } from '../shell/title.ts'
import { useWords } from '../words/words.tsx'
import { Comments } from './comments.tsx'
import { useLiveInView } from './in-view.ts'
import { PostCard } from './post.tsx'

export function PostPage() {
  const words = useWords()
  const { postId } = useParams({ from: '/user/posts/$postId' })
  const { hash } = useLocation()
  const api = useApi()
  const { data: post, error, refetch } = useQuery({ queryKey: ['post', postId], queryFn: () => api.post(postId) })
  useTitle(post && words.post.title(post.author.displayName))
  const container = useRef<HTMLDivElement>(null)
  useLiveInView(container, post ? [postId] : [])
  if (error instanceof Problem && (error.status === 404 || error.status === 400)) return <NotFound />
  return (
    <>
      <h1 className="visually-hidden">{post ? words.post.title(post.author.displayName) : words.app.loading}</h1>
      <div ref={container}>
        {post && <PostCard post={post} whole />}
        {!post && !error && <Loading label={words.app.loading} />}
        {!post && error && (
          <Alert>
            {explain(error, words)}
            <Button onClick={() => void refetch()}>{words.app.retry}</Button>
          </Alert>
        )}
      </div>
      {post && <Comments postId={postId} target={/^comment-(\d+)$/.exec(hash)?.[1]} />}
    </>
  )
}
