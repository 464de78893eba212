import assert from 'node:assert/strict'
import { HttpError } from '@oazapfts/runtime'
import { api } from './counted.ts'

export const PASSWORD = 'correct horse battery'
const SECOND = 1000

export type Token = { headers: { authorization: string } }

export async function signUp(username: string, displayName: string | undefined) {
  const account = { username, email: `${username}@example.org`, password: PASSWORD, displayName }
  const { user, accessToken, refreshToken, expiresIn } = await api.postAuthSignup(account)
  assert.ok(expiresIn > 0 && refreshToken !== undefined)
  return { user, refreshToken, token: tokenOf(accessToken) }
}

export function tokenOf(accessToken: string): Token {
  return { headers: { authorization: `Bearer ${accessToken}` } }
}

/** The inbox, once that many notifications are unread. */
export async function listOf(token: Token, length: number) {
  const deadline = Date.now() + 30 * SECOND
  for (;;) {
    const list = await api.getNotifications({ filter: 'unread' }, token)
    if (list.items.length === length || Date.now() > deadline) return list
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export async function refused(status: number, code: string, answer: Promise<unknown>): Promise<void> {
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof HttpError, String(error))
    assert.deepEqual([error.status, error.data?.code], [status, code])
    return true
  })
}
