import type { Notification } from '../../../protocol/notification.ts'
import { type Catalogue, wordsIn } from './words.ts'

export type Words = { subject: string; text: string; html: string }

/** Maximum number of notifications listed in a mail, which states how many more exist. */
const NAMED = 20

/** Digest of unread notifications, newest last. Relative links become absolute. `locale` is that of the recipient. */
export function digest(
  notifications: Notification[],
  publicUrl: string,
  unsubscribeUrl: string,
  locale: string | null = null,
): Words {
  const { digest: words, language } = wordsIn(locale)
  const named = notifications.slice(-NAMED)
  const more = notifications.length - named.length
  const [only] = notifications
  const subject = notifications.length === 1 && only ? only.title : words.unread(notifications.length)
  const [and, others] = words.more(more)
  const items = named.map(({ title, body, url }) => ({ title, body, link: url && absolute(url, publicUrl) }))
  const text = [
    ...items.map(({ title, body, link }) => [title, body, link].filter(Boolean).join('\n')),
    ...(more > 0 ? [`${and}${others}: ${publicUrl}`] : []),
    `--\n${words.unsubscribe}: ${unsubscribeUrl}`,
  ].join('\n\n')
  const html = page(
    subject,
    [
      ...items.map(({ title, body, link }) => {
        const head = link ? `<a href="${escapeHtml(link)}">${escapeHtml(title)}</a>` : escapeHtml(title)
        return `<p>${head}${body ? `<br>${escapeHtml(body)}` : ''}</p>`
      }),
      ...(more > 0 ? [`<p>${and}<a href="${escapeHtml(publicUrl)}">${others}</a></p>`] : []),
      `<hr><p><a href="${escapeHtml(unsubscribeUrl)}">${words.unsubscribe}</a></p>`,
    ],
    language,
  )
  return { subject: oneLine(subject), text, html }
}

/**
 * Texts of a mail with a link: to verify an address or to set a new password. Anyone can request it for any address, so it
 * contains no text of theirs.
 */
export function linking(
  { language, ...words }: Catalogue,
  about: 'address' | 'newAddress' | 'resetPassword',
  url: string,
): Words {
  const { subject, ask, label, otherwise } = words[about]
  return {
    subject,
    text: `${ask}\n\n${url}\n\n${otherwise}`,
    html: page(
      subject,
      [
        `<p>${escapeHtml(ask)}</p><p><a href="${escapeHtml(url)}">${escapeHtml(label)}</a></p><p>${escapeHtml(otherwise)}</p>`,
      ],
      language,
    ),
  }
}

/** Texts of a mail that reports a change to the owner of an address. */
export function reporting(
  { language, ...words }: Catalogue,
  about: 'passwordChanged' | 'addressChanging',
  publicUrl: string,
): Words {
  const { subject, what, otherwise } = words[about]
  return {
    subject,
    text: `${what(publicUrl)}\n\n${otherwise}`,
    html: page(subject, [`<p>${escapeHtml(what(publicUrl))}</p><p>${escapeHtml(otherwise)}</p>`], language),
  }
}

/** A page that loads nothing from other servers. `parts` are HTML. */
export function page(title: string, parts: string[], language = 'en'): string {
  return `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title></head><body>\n${parts.join('\n')}\n</body></html>\n`
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function absolute(url: string, publicUrl: string): string {
  return URL.parse(url, publicUrl)?.href ?? publicUrl
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
