import type { Device } from './device.ts'
import type { Created } from './person.ts'

/** What is to be seen on a device because of a step: a condition that a frame makes true. */
export type Effect = { device: Device; says: string; met: () => boolean }

/** A notification of this title is there, and the badge says how many are unread. */
export function shows(devices: Device[], title: string, unread: number): Effect[] {
  const met = (device: Device) => device.find(title) !== undefined && device.unreadCount === unread
  return on(devices, `shows "${title}", badge ${unread}`, met)
}

export function loses(devices: Device[], title: string, unread: number): Effect[] {
  const met = (device: Device) => device.find(title) === undefined && device.unreadCount === unread
  return on(devices, `no longer shows "${title}", badge ${unread}`, met)
}

export function badge(devices: Device[], unread: number): Effect[] {
  return on(devices, `shows badge ${unread}`, (device) => device.unreadCount === unread)
}

/** The live counts of a watched post. */
export function counts(device: Device, { id }: Created, likeCount: number, commentCount: number): Effect[] {
  const met = () => {
    const post = device.counts(id)
    return post?.likeCount === likeCount && post.commentCount === commentCount
  }
  return on([device], `shows ${likeCount} likes, ${commentCount} comments`, met)
}

/** Its socket is closed with this code. */
export function closes(device: Device, code: number): Effect[] {
  return on([device], `is closed with ${code}`, () => device.closeCode === code)
}

function on(devices: Device[], says: string, met: (device: Device) => boolean): Effect[] {
  return devices.map((device) => ({ device, says, met: () => met(device) }))
}
