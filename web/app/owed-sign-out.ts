import { inTurn, post } from './calls.ts'
import { Problem } from './problem.ts'

/** Key in local storage of the user whose session has yet to be ended on the server. */
const OWED = 'ravenpost.signout'

/** Milliseconds before the next attempt. */
const FIRST_PAUSE = 5000
const LONGEST_PAUSE = 60_000

const listeners = new Set<() => void>()
let isLate = false
let pause = FIRST_PAUSE
let timer: number | undefined

/** True after the server could not be told of a sign-out. */
export const lateSignOut = {
  getSnapshot: () => isLate,
  subscribe(listener: () => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}

export function owedSignOut(): string | null {
  return localStorage.getItem(OWED)
}

/** Ends the session in the cookie, now or once the server answers. It has to be this user's. */
export async function oweSignOut(userId: string): Promise<void> {
  localStorage.setItem(OWED, userId)
  await sendOwedSignOut()
}

/** Called at the start, when the network returns, before a sign-in, and again after a failure. */
export async function sendOwedSignOut(): Promise<void> {
  if (owedSignOut() === null) return setLate(false)
  try {
    await inTurn(endSession)
  } catch (error) {
    // After another refusal the session no longer exists.
    if (error instanceof Problem && error.status !== 0 && error.status !== 429 && error.status < 500) forgetSignOut()
    else setLate(true)
  }
}

/** Called when a new session has replaced the one that was to end. */
export function forgetSignOut(): void {
  localStorage.removeItem(OWED)
  setLate(false)
}

async function endSession(): Promise<void> {
  const owed = owedSignOut()
  if (owed === null) return setLate(false)
  const { user, accessToken } = await post<{ user: { id: string }; accessToken: string }>('/auth/refresh', {})
  // The cookie of another user has replaced this session's.
  if (user.id === owed) await post('/auth/signout', {}, { authorization: `Bearer ${accessToken}` })
  forgetSignOut()
}

function setLate(late: boolean): void {
  isLate = late
  clearTimeout(timer)
  if (late) timer = window.setTimeout(sendOwedSignOut, pause)
  pause = late ? Math.min(2 * pause, LONGEST_PAUSE) : FIRST_PAUSE
  for (const listener of listeners) listener()
}
