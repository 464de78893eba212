import type pg from 'pg'
import type { App } from '../../app.ts'
import { isLockTimeout, sqlBackoff } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { messageOf } from '../../errors.ts'
import { existingInboxes } from '../dispatch/objects.ts'
import type { TypeLookup } from '../types/types.ts'

/** A row of notify.fan_outs: long work that is done in chunks. */
export type FanOut = {
  id: string
  kind: string
  objectId: string
  threadKey: string | null
  cursorUserId: string
  /**
   * `event`: for an audience, the event to send; users in `exceptIds` are notified separately. For a broadcast, the
   * recipients of the part. For the rest of an inbox, `exceptIds` are notifications that it leaves out.
   */
  firstShard: number
  lastShard: number
  event: unknown
  exceptIds: string[]
  /** For retract_actor: the blocked user. `upTo`: the last event to retract, or null until its id is drawn. */
  actorId: string
  upTo: string | null
  /** Failed chunks since the last one that succeeded. */
  attempts: number
}

/**
 * Result of a chunk: the new cursor, or that nothing is left to do. `afterSeconds`: when the next chunk is due, counted from the time this
 * one was due; by default at once.
 */
export type ChunkResult = { cursorUserId: string; afterSeconds?: number } | 'finished'

/** When only held inboxes are left, the next chunk is due after this time. Nothing has failed, so there is no backoff. */
export const HELD_SECONDS = 2

/** Ends the chunk of a fan-out for one inbox that could not be locked: it is held, or it no longer exists. */
export async function afterHeld(client: pg.ClientBase, userId: string, cursorUserId: string): Promise<ChunkResult> {
  const isHeld = (await existingInboxes(client, [userId])).length > 0
  return isHeld ? { cursorUserId, afterSeconds: HELD_SECONDS } : 'finished'
}

/** Notes users whose inbox another transaction holds in `except_ids`. The fan-out processes them last. */
export async function noteHeld(client: pg.ClientBase, { id }: FanOut, held: string[]): Promise<void> {
  await client.query({
    name: 'note_held_inboxes',
    text: 'update notify.fan_outs set except_ids = $2::bigint[] where id = $1',
    values: [id, held],
  })
}

/**
 * One chunk, in the transaction that moves the cursor. After a crash the next worker continues after the last commit.
 */
export type Chunk = (client: pg.ClientBase, fanOut: FanOut, types: TypeLookup) => Promise<ChunkResult>

/** The kinds of fan-outs that a worker runs, by `kind`. */
export type FanOutKinds = Record<string, Chunk>

/**
 * Runs chunks of due fan-outs that nobody else processes, until none is left. The least recently served comes first, so
 * a small fan-out never waits for the end of a large one. Several calls may run in parallel.
 */
export async function runFanOuts(
  { pool, log, types }: Pick<App, 'pool' | 'log' | 'types'>,
  kinds: FanOutKinds,
  stopping = () => false,
): Promise<void> {
  let taken: FanOut | undefined
  do {
    taken = undefined
    try {
      const lookup = await types.current()
      await inTransaction(pool, async (client) => {
        taken = await takeDue(client)
        if (taken) await runChunk(client, taken, kinds[taken.kind], lookup)
      })
    } catch (error) {
      if (!taken) throw error
      log.warn({ err: error, fanOut: taken }, 'a fan-out chunk failed; retrying later')
      await noteFailure(pool, taken, error)
    }
  } while (taken && !stopping())
}

/**
 * Parallel chunks in this process. Two keep a machine's cores busy with a million recipients. They leave connections
 * and jobs to the lanes, so that ordinary likes are dispatched meanwhile.
 */
const SIDE_BY_SIDE = 2

/** Runs the fan-outs of this process. Row locks keep processes apart. */
export class FanOutRunner {
  readonly #kinds: FanOutKinds
  readonly #running = new Set<Promise<void>>()
  #stopping = false

  constructor(kinds: FanOutKinds) {
    this.#kinds = kinds
  }

  /** True if another call of `run` would do nothing. */
  get full(): boolean {
    return this.#stopping || this.#running.size >= SIDE_BY_SIDE
  }

  /** Runs what is due to its end, in parallel with other calls. */
  async run(app: Pick<App, 'pool' | 'log' | 'types'>): Promise<void> {
    if (this.full) return
    const run = runFanOuts(app, this.#kinds, () => this.#stopping)
    this.#running.add(run)
    await run.finally(() => this.#running.delete(run))
  }

  /** Waits for the running chunks and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#running)
  }
}

/** Runs a chunk of a new fan-out without waiting for a worker. Waits for one that is already running. */
export async function runChunkOf(client: pg.ClientBase, id: string, chunk: Chunk, types: TypeLookup): Promise<void> {
  const { rows } = await client.query<FanOut>(
    `select ${columns} from notify.fan_outs where id = $1 and finished_at is null for update`,
    [id],
  )
  if (rows[0]) await runChunk(client, rows[0], chunk, types)
}

const columns = `id, kind, object_id as "objectId", thread_key as "threadKey", cursor_user_id as "cursorUserId", first_shard as "firstShard",
  last_shard as "lastShard", event, except_ids as "exceptIds", actor_id as "actorId", up_to as "upTo", attempts`

/**
 * Not prepared, because deleting a user creates thousands of fan-outs at once. A cached plan would sort all of them at each
 * call.
 */
async function takeDue(client: pg.ClientBase): Promise<FanOut | undefined> {
  const { rows } = await client.query<FanOut>(
    `select ${columns} from notify.fan_outs
     where finished_at is null and due_at <= now() order by due_at limit 1 for update skip locked`,
  )
  return rows[0]
}

async function runChunk(
  client: pg.ClientBase,
  fanOut: FanOut,
  chunk: Chunk | undefined,
  types: TypeLookup,
): Promise<void> {
  if (!chunk) throw new Error(`this version has no fan-out of kind ${fanOut.kind}`)
  const result = await chunk(client, fanOut, types)
  await client.query({
    name: 'move_fan_out',
    text: `update notify.fan_outs
           set cursor_user_id = coalesce($2, cursor_user_id), finished_at = case when $2::bigint is null then now() end, attempts = 0, last_error = null,
             due_at = case when $3::float8 > 0 then greatest(due_at, now() - interval '1 second') + make_interval(secs => $3::float8) else now() end
           where id = $1`,
    values: [
      fanOut.id,
      result === 'finished' ? null : result.cursorUserId,
      result === 'finished' ? 0 : (result.afterSeconds ?? 0),
    ],
  })
}

/**
 * Backoff from a second to ten minutes. Never gives up, because deleted content must not be shown. A lock timeout is
 * not a failure: the fan-out is tried again two seconds later.
 */
async function noteFailure(pool: pg.Pool, { id }: FanOut, error: unknown): Promise<void> {
  await pool.query(
    `update notify.fan_outs
     set attempts = attempts + (not $3)::int, last_error = $2,
       due_at = now() + make_interval(secs => case when $3 then 2 else ${sqlBackoff({ first: 1, longest: 600 }, 'attempts')} end)
     where id = $1`,
    [id, messageOf(error), isLockTimeout(error)],
  )
}
