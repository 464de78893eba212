import type { Notification } from '../../../protocol/notification.ts'

export type Words = { subject: string; text: string; html: string }

/** Number of notifications that a mail lists. It shows how many more exist. */
const NAMED = 20

/** Words of the digest around its notifications, by language. English is the default. */
const wordsOfDigest = {
  en: {
    unread: (count: number) => `${count} unread notifications`,
    more: (count: number) => [`… and `, `${count} more`] as const,
    unsubscribe: 'No more mails like this',
  },
  de: {
    unread: (count: number) => `${count} ungelesene Benachrichtigungen`,
    more: (count: number) => [`… und `, `${count} weitere`] as const,
    unsubscribe: 'Keine solchen Mails mehr',
  },
}

/** Digest of unread notifications, newest last. Relative links become absolute. `locale` is that of the recipient. */
export function digest(
  notifications: Notification[],
  publicUrl: string,
  unsubscribeUrl: string,
  locale: string | null = null,
): Words {
  const language = locale?.split('-', 1)[0] === 'de' ? 'de' : 'en'
  const words = wordsOfDigest[language]
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
 * Asks whether the address belongs to the user. Anyone can enter an address, so the mail contains no text of theirs.
 */
export function question(url: string): Words {
  return linking({
    subject: 'Is this your address?',
    ask: 'Please confirm that mail of ours may come to this address:',
    url,
    label: 'Confirm',
    otherwise: 'If you did not sign up, do nothing: you will not hear from us again.',
  })
}

/** Asks the same for an address that will replace another one. */
export function newAddress(url: string): Words {
  return linking({
    subject: 'Confirm your new address',
    ask: 'Please confirm that this is the new address of your account:',
    url,
    label: 'Confirm',
    otherwise: 'If you did not ask for this, do nothing: the address is not used.',
  })
}

/** Anyone can request this mail, so it contains no text of theirs. */
export function resetPassword(url: string): Words {
  return linking({
    subject: 'Reset your password',
    ask: 'Follow this link within 30 minutes to choose a new password:',
    url,
    label: 'Choose a new password',
    otherwise: 'If you did not ask for this, do nothing: your password stays as it is.',
  })
}

/** For the owner of a verified address. */
export function passwordChanged(publicUrl: string): Words {
  return plain({
    subject: 'Your password was changed',
    what: `The password of your account at ${publicUrl} was changed, and all other sessions were ended.`,
    otherwise: 'If it was not you who changed it, ask the people who run this service for help.',
  })
}

/** For the address that will be replaced. */
export function addressChanging(publicUrl: string): Words {
  return plain({
    subject: 'Your address is about to change',
    what: `Someone who knows the password of your account at ${publicUrl} asked to replace this address by another one.`,
    otherwise:
      'If it was not you, change your password now, or reset it, and ask the people who run this service for help.',
  })
}

type Linking = { subject: string; ask: string; url: string; label: string; otherwise: string }

function linking({ subject, ask, url, label, otherwise }: Linking): Words {
  return {
    subject,
    text: `${ask}\n\n${url}\n\n${otherwise}`,
    html: page(subject, [
      `<p>${escapeHtml(ask)}</p><p><a href="${escapeHtml(url)}">${escapeHtml(label)}</a></p><p>${escapeHtml(otherwise)}</p>`,
    ]),
  }
}

function plain({ subject, what, otherwise }: { subject: string; what: string; otherwise: string }): Words {
  return {
    subject,
    text: `${what}\n\n${otherwise}`,
    html: page(subject, [`<p>${escapeHtml(what)}</p><p>${escapeHtml(otherwise)}</p>`]),
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
