import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { ChevronDown, ChevronUp, FlaskConical } from 'lucide-react'
import { useEffect, useId, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Segments } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'
import { clock } from '../../ui/time.tsx'
import type { Post } from '../answers.ts'
import type { From, Gathering } from '../api.ts'
import { useDevice } from '../device.tsx'
import { explain } from '../problem.ts'
import { newKey } from '../session.ts'
import { useLanguage, useWords } from '../words/words.tsx'
import styles from './demo.module.css'

/** Milliseconds between requests for the state of the windows, while something waits or was just sent. */
const EVERY = 1000
const AFTER_SENDING = 5000

/** Controls that simulate likes and comments for one post: by real users of the database, through the real pipeline. */
export function Dials({ post, open: openAtFirst }: { post: Post; open: boolean }) {
  const { demo } = useWords()
  const [open, setOpen] = useState(openAtFirst)
  const id = useId()
  return (
    <>
      <button
        type="button"
        className={styles.toggle}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
      >
        <FlaskConical aria-hidden="true" /> {demo.open}
        {open ? <ChevronUp aria-hidden="true" /> : <ChevronDown aria-hidden="true" />}
      </button>
      {open && <Panel id={id} post={post} />}
    </>
  )
}

function Panel({ id, post }: { id: string; post: Post }) {
  const words = useWords()
  const { demo } = words
  const { api, session } = useDevice()
  const queries = useQueryClient()
  const [likes, setLikes] = useState(8)
  const [comments, setComments] = useState(0)
  const [from, setFrom] = useState<From>('mixed')
  const [sentAt, setSentAt] = useState(0)
  const key = ['simulation', post.id]
  const own = post.author.id === session.user.id

  const { data, error } = useQuery({
    queryKey: key,
    queryFn: () => api.simulation(post.id),
    staleTime: 0,
    refetchInterval: ({ state }) => {
      const waiting = (state.data?.likes.waiting ?? 0) + (state.data?.comments.waiting ?? 0) > 0
      return waiting || Date.now() - sentAt < AFTER_SENDING ? EVERY : false
    },
  })
  const send = useMutation({
    mutationFn: () => api.simulate(post.id, { likes, comments, from }, newKey()),
    onSuccess: (state) => {
      queries.setQueryData(key, state)
      setSentAt(Date.now())
    },
  })
  const cleanUp = useMutation({
    mutationFn: api.removeSimulated,
    onSuccess: () => queries.invalidateQueries({ queryKey: ['simulation'] }),
  })
  const problem = error ?? send.error ?? cleanUp.error
  const froms = [
    { value: 'mixed', label: demo.mixed },
    { value: 'followers', label: demo.followers },
    { value: 'strangers', label: demo.strangers },
  ] as const

  return (
    <section id={id} className={styles.dial} aria-label={demo.dials}>
      <p className={styles.hint}>{own ? demo.dialsHint : demo.dialsHintOther(post.author.displayName)}</p>
      <Dial label={demo.likes} value={likes} max={15} onChange={setLikes} />
      {data && <Rule gathering={data.likes} count={likes} />}
      {data && own && <Strip gathering={data.likes} />}
      <Dial label={demo.comments} value={comments} max={10} onChange={setComments} />
      {data && comments > 0 && <Rule gathering={data.comments} count={comments} />}
      {data && own && <Strip gathering={data.comments} />}
      {problem && <Alert>{explain(problem, words)}</Alert>}
      <div className={styles.end}>
        <Segments<From> label={demo.from} value={from} options={froms} onChange={setFrom} />
        <div>
          <Button kind="quiet" busy={cleanUp.isPending} onClick={() => cleanUp.mutate()}>
            {demo.cleanUp}
          </Button>
          <Button
            kind="primary"
            busy={send.isPending}
            disabled={send.isPending || likes + comments === 0}
            onClick={() => send.mutate()}
          >
            {demo.send}
          </Button>
        </div>
      </div>
      <p role="status" className={styles.rule}>
        {cleanUp.data && demo.cleaned(cleanUp.data.removed)}
      </p>
    </section>
  )
}

type DialProps = { label: string; value: number; max: number; onChange(value: number): void }

function Dial({ label, value, max, onChange }: DialProps) {
  const id = useId()
  return (
    <div className={styles.row}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="range"
        min={0}
        max={max}
        value={value}
        onChange={({ target }) => onChange(Number(target.value))}
      />
      <output htmlFor={id}>{value}</output>
    </div>
  )
}

/** Predicts what happens to this many more people, by the rule of the type and the people already shown. */
function Rule({ gathering, count }: { gathering: Gathering; count: number }) {
  const { demo } = useWords()
  const language = useLanguage()
  const { type, instantThreshold, windowSeconds, delivered, flushesAt } = gathering
  const left = flushesAt === null ? Math.max(0, instantThreshold - delivered) : 0
  const atOnce = windowSeconds === 0 ? count : Math.min(count, left)
  const together = count - atOnce
  const when =
    flushesAt === null
      ? demo.within(duration(windowSeconds, language))
      : demo.atTime(clock(new Date(flushesAt), language, true))
  const parts = [atOnce > 0 && demo.atOnce(atOnce), together > 0 && demo.together(together, when), demo.rule(type)]
  return <p className={styles.rule}>{count === 0 ? demo.nothing : parts.filter(Boolean).join(', ')}</p>
}

function duration(seconds: number, language: string): string {
  const [value, unit] = seconds % 60 === 0 ? [seconds / 60, 'minute'] : [seconds, 'second']
  return new Intl.NumberFormat(language, { style: 'unit', unit: String(unit), unitDisplay: 'short' }).format(
    Number(value),
  )
}

/** Above this number of people, one segment represents all. */
const MOST_PIECES = 8

/** Shows the window of one group: people shown, people who wait, and the remaining time. */
function Strip({ gathering }: { gathering: Gathering }) {
  const { demo } = useWords()
  const { delivered, waiting, flushesAt } = gathering
  const left = useSecondsUntil(flushesAt)
  if (delivered + waiting === 0) return null
  const shown = Math.min(delivered, MOST_PIECES)
  const held = Math.min(waiting, MOST_PIECES)
  const time = left === undefined ? '' : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
  return (
    <div className={styles.strip} role="img" aria-label={demo.strip(delivered, waiting)}>
      {Array.from({ length: shown }, (_, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the pieces are the same but for their place
        <span key={`d${place}`} className={styles.done}>
          {place === 0 && delivered > MOST_PIECES ? `✓ ${delivered}` : '✓'}
        </span>
      ))}
      {Array.from({ length: held }, (_, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        <span key={`w${place}`} className={styles.waiting}>
          {place === 0 && time}
          {place === 1 && waiting > MOST_PIECES && waiting}
        </span>
      ))}
    </div>
  )
}

function useSecondsUntil(time: string | null): number | undefined {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (time === null) return
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [time])
  return time === null ? undefined : Math.max(0, Math.ceil((Date.parse(time) - now) / 1000))
}
