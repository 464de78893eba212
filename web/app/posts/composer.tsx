import { useMutation, useQueryClient } from '@tanstack/react-query'
import { ImagePlus, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import { Button, IconButton } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import type { Media } from '../answers.ts'
import { useDevice } from '../device.tsx'
import { useSelf } from '../people/self.ts'
import { explain } from '../problem.ts'
import { createKeys } from '../session.ts'
import { useWords } from '../words/words.tsx'
import { useMentions } from './mention-list.tsx'
import styles from './post.module.css'
import { addPost } from './post-cache.ts'

const LONGEST = 5000
const MOST_FILES = 4
/** From this length on, the number of remaining characters is shown. */
const NEAR_END = 500

/** An attached file. The upload starts at once, so that posting waits less. */
type Attached = { key: number; file: File; preview: string; media?: Media; problem?: unknown }

export function Composer() {
  const words = useWords()
  const { composer } = words
  const { api } = useDevice()
  const self = useSelf()
  const queries = useQueryClient()
  const [body, setBody] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  const picker = useRef<HTMLInputElement>(null)
  const [keys] = useState(createKeys)
  const mentions = useMentions({ value: body, set: setBody, field })
  const { files, add, remove, clear } = useAttached(api.upload)
  const left = LONGEST - [...body].length
  const uploading = files.some(({ media, problem }) => !media && !problem)
  const media = files.flatMap((attached) => attached.media ?? [])

  const create = useMutation({
    mutationFn: () => {
      const mediaIds = media.map(({ id }) => id)
      return api.createPost(body.trim(), mediaIds, keys.of(JSON.stringify([body.trim(), mediaIds])))
    },
    onSuccess: (post) => {
      addPost(queries, post)
      keys.done()
      setBody('')
      clear()
    },
  })
  const ready = body.trim() !== '' && left >= 0 && !uploading && !create.isPending

  return (
    <form
      className={`${styles.card} ${styles.composer}`}
      aria-label={composer.label}
      onSubmit={(event) => {
        event.preventDefault()
        if (ready) create.mutate()
      }}
    >
      <div className={styles.line}>
        <Avatar user={self} />
        <div className={styles.writing}>
          <textarea
            ref={field}
            rows={1}
            dir="auto"
            value={body}
            aria-label={composer.label}
            placeholder={composer.placeholder}
            onChange={(event) => setBody(event.target.value)}
            onSelect={mentions.look}
            onKeyDown={(event) => {
              if (mentions.onKeyDown(event)) return
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit()
            }}
            {...mentions.attributes}
          />
          {mentions.list}
        </div>
      </div>
      {files.length > 0 && (
        <div className={styles.previews}>
          {files.map((attached) => (
            <div key={attached.key} className={styles.preview}>
              {attached.file.type.startsWith('image/') ? <img src={attached.preview} alt="" /> : attached.file.name}
              {!attached.media && !attached.problem && <span role="status">{composer.uploading}</span>}
              <IconButton label={composer.remove(attached.file.name)} onClick={() => remove(attached.key)}>
                <X aria-hidden="true" />
              </IconButton>
            </div>
          ))}
        </div>
      )}
      {files.map(({ key, problem }) => problem !== undefined && <Alert key={key}>{explain(problem, words)}</Alert>)}
      {create.isError && <Alert>{explain(create.error, words)}</Alert>}
      <div className={styles.tools}>
        <input
          ref={picker}
          type="file"
          hidden
          multiple
          accept="image/*,audio/*,video/*"
          onChange={(event) => {
            add([...(event.target.files ?? [])])
            event.target.value = ''
          }}
        />
        <IconButton
          label={composer.addMedia}
          disabled={files.length >= MOST_FILES}
          onClick={() => picker.current?.click()}
        >
          <ImagePlus aria-hidden="true" />
        </IconButton>
        {left < NEAR_END && (
          <span className={`${styles.left} ${left < 0 ? styles.over : ''}`} role="status">
            {composer.left(left)}
          </span>
        )}
        <Button
          kind="primary"
          type="submit"
          busy={create.isPending}
          disabled={!ready}
          style={left < NEAR_END ? {} : { marginInlineStart: 'auto' }}
        >
          {create.isPaused ? words.app.waiting : create.isPending ? composer.posting : composer.post}
        </Button>
      </div>
    </form>
  )
}

function useAttached(upload: (file: File) => Promise<Media>) {
  const [files, setFiles] = useState<Attached[]>([])
  const next = useRef(0)
  const previews = useRef(new Set<string>())
  useEffect(() => {
    const made = previews.current
    return () => {
      for (const url of made) URL.revokeObjectURL(url)
    }
  }, [])

  const add = (picked: File[]) => {
    for (const file of picked.slice(0, MOST_FILES - files.length)) {
      const key = next.current++
      const preview = URL.createObjectURL(file)
      previews.current.add(preview)
      setFiles((old) => [...old, { key, file, preview }])
      const settle = (result: Partial<Attached>) =>
        setFiles((old) => old.map((each) => (each.key === key ? { ...each, ...result } : each)))
      upload(file).then(
        (media) => settle({ media }),
        (problem: unknown) => settle({ problem }),
      )
    }
  }
  const remove = (key: number) => setFiles((old) => old.filter((each) => each.key !== key))
  return { files, add, remove, clear: () => setFiles([]) }
}
