import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { App } from '../app.ts'
import { hashPassword } from './passwords.ts'

/**
 * On a database without users, makes the user `admin` with ADMIN_PASSWORD, or with a password made here when the database
 * is our own embedded one.
 * @returns that new password, to be printed once; undefined when nobody needs to be told anything
 */
export async function ensureAdmin({ pool, config }: App): Promise<string | undefined> {
  const { rows } = await pool.query<{ empty: boolean }>('select not exists (select from social.users) as empty')
  if (!rows[0]?.empty) return undefined
  const made = config.adminPassword === undefined && config.embedded ? randomBytes(12).toString('base64url') : undefined
  const password = config.adminPassword ?? made
  if (password === undefined) return undefined
  return (await insertAdmin(pool, await hashPassword(password))) ? made : undefined
}

/** Processes that start together all find no users; the name's constraint lets one of them make the admin. */
async function insertAdmin(pool: pg.Pool, passwordHash: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `with u as (
       insert into social.users (username, email, password_hash, display_name, role)
       values ('admin', 'admin@localhost', $1, 'Admin', 'admin')
       on conflict do nothing returning id
     )
     insert into notify.inbox (user_id) select id from u`,
    [passwordHash],
  )
  return rowCount === 1
}

/** @returns false when there is no such user */
export async function grantAdmin(pool: pg.Pool, username: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update social.users set role = 'admin' where username = $1 and deleted_at is null`,
    [username],
  )
  return rowCount === 1
}

/** From now on: calls for admins look the role up. @returns false when there is no such admin */
export async function revokeAdmin(pool: pg.Pool, username: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update social.users set role = 'user' where username = $1 and role = 'admin' and deleted_at is null`,
    [username],
  )
  return rowCount === 1
}

export type Candidate = { id: string; email: string; verified: boolean; createdAt: Date }

/** What the operator should look at before this user becomes an admin: names can be alike, and who was first is not who is meant. */
export async function findCandidate(pool: pg.Pool, username: string): Promise<Candidate | undefined> {
  const { rows } = await pool.query<Candidate>(
    `select id, email, email_verified_at is not null as verified, created_at as "createdAt" from social.users
     where username = $1 and deleted_at is null`,
    [username],
  )
  return rows[0]
}
