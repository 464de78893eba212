/** All texts of the components. The server provides the texts of notifications. */
export type Strings = {
  /** BCP 47 tag for numbers, times and plurals. */
  locale: string
  notifications: string
  /** Accessible name of the bell. */
  bell(unread: number): string
  markAllRead: string
  all: string
  unread: string
  mentions: string
  requests: string
  archive: string
  unarchive: string
  markRead: string
  markUnread: string
  remove: string
  why: string
  closeWhy: string
  loadMore: string
  newOnes(count: number): string
  empty: string
  emptyUnread: string
  loading: string
  failed: string
  retry: string
  upToDate: string
  /** Number of actions that wait for the network. */
  saved(count: number): string
  live: string
  connecting: string
  catchingUp(count: number | undefined): string
  offlineSince(time: string | undefined): string
  nextTry(seconds: number): string
  now: string
  signedOut: string
  refused: string
  dismiss: string
  /** Accessible name of the toast region. */
  toasts: string
  moreToasts(count: number): string
  /** Sentence for screen readers about the latest toasts. */
  arrived(count: number, latest: string): string
  settings: string
  back: string
  channels: { inApp: string; email: string; webPush: string }
  /** Labels of types. A type without a label is shown by its name. */
  types: Readonly<Record<string, string>>
  /** Label of the row that sets a channel for all types. */
  allTypes: string
  decidedBy(by: string): string
  strangers: string
  policies: { accept: string; filter: string; drop: string }
  quiet: string
  quietOn: string
  timeZone: string
  from: string
  to: string
  days: string
  addWindow: string
  removeWindow: string
  snooze: string
  snoozedUntil(time: string): string
  snoozeHour: string
  snoozeMorning: string
  snoozeEnd: string
  saving: string
  notSaved: string
  decisions: { allow: string; suppress: string; defer: string }
}

const byCount = (locale: string, one: string, other: string) => {
  const rules = new Intl.PluralRules(locale)
  const numbers = new Intl.NumberFormat(locale)
  return (count: number) => (rules.select(count) === 'one' ? one : other).replace('#', numbers.format(count))
}

export const english: Strings = {
  locale: 'en',
  notifications: 'Notifications',
  bell: (unread) => (unread > 0 ? `Notifications, ${unread} unread` : 'Notifications, none unread'),
  markAllRead: 'Mark all as read',
  all: 'All',
  unread: 'Unread',
  mentions: 'Mentions',
  requests: 'Requests',
  archive: 'Archive',
  unarchive: 'Move back to the inbox',
  markRead: 'Mark as read',
  markUnread: 'Mark as unread',
  remove: 'Delete',
  why: 'Why did I get this?',
  closeWhy: 'Close',
  loadMore: 'Show older ones',
  newOnes: byCount('en', '# new', '# new'),
  empty: 'Nothing new. You will hear of likes, comments and follows here.',
  emptyUnread: 'Everything is read.',
  loading: 'Loading',
  failed: 'The notifications could not be loaded. Nothing is lost.',
  retry: 'Try again',
  upToDate: 'Up to date, nothing missed',
  saved: byCount('en', '# change is saved here, and will sync', '# changes are saved here, and will sync'),
  live: 'Live',
  connecting: 'Connecting',
  catchingUp: (count) => (count ? `Catching up (${count})` : 'Catching up'),
  offlineSince: (time) => (time ? `Offline since ${time}` : 'Offline'),
  nextTry: (seconds) => `trying again in ${seconds} s`,
  now: 'Try now',
  signedOut: 'Signed out',
  refused: 'This version is too old. Reload the page.',
  dismiss: 'Dismiss',
  toasts: 'New notifications',
  moreToasts: byCount('en', '# more', '# more'),
  arrived: (count, latest) => (count > 1 ? `${count} new notifications, latest: ${latest}` : latest),
  settings: 'Settings',
  back: 'Back to the notifications',
  channels: { inApp: 'In the app', email: 'E-mail', webPush: 'Push' },
  types: {
    'post.liked': 'Likes of my posts',
    'comment.created': 'Comments on my posts',
    'comment.replied': 'Replies to my comments',
    'user.mentioned': 'Mentions of me',
    'user.followed': 'New followers',
    'post.published': 'Posts of people whose bell I switched on',
    system: 'Messages of this site',
  },
  allTypes: 'Everything',
  decidedBy: (by) =>
    ({ user: 'You chose this', type: 'Set for this type', channel: 'The channel is off', default: 'Default' })[by] ??
    by,
  strangers: 'From people I do not follow',
  policies: { accept: 'Show them', filter: 'Keep them under Requests', drop: 'Do not keep them' },
  quiet: 'Do not disturb',
  quietOn: 'No sound and no toast in these hours',
  timeZone: 'Time zone',
  from: 'From',
  to: 'To',
  days: 'Days',
  addWindow: 'Add hours',
  removeWindow: 'Remove these hours',
  snooze: 'Pause all',
  snoozedUntil: (time) => `Paused until ${time}`,
  snoozeHour: 'For an hour',
  snoozeMorning: 'Until tomorrow at 8',
  snoozeEnd: 'End the pause',
  saving: 'Saving',
  notSaved: 'This was not saved.',
  decisions: { allow: 'sent', suppress: 'not sent', defer: 'later' },
}

export const german: Strings = {
  locale: 'de',
  notifications: 'Mitteilungen',
  bell: (unread) => (unread > 0 ? `Mitteilungen, ${unread} ungelesen` : 'Mitteilungen, keine ungelesen'),
  markAllRead: 'Alle als gelesen markieren',
  all: 'Alle',
  unread: 'Ungelesen',
  mentions: 'Erwähnungen',
  requests: 'Anfragen',
  archive: 'Archivieren',
  unarchive: 'Zurück in den Eingang',
  markRead: 'Als gelesen markieren',
  markUnread: 'Als ungelesen markieren',
  remove: 'Löschen',
  why: 'Warum bekomme ich das?',
  closeWhy: 'Schließen',
  loadMore: 'Ältere anzeigen',
  newOnes: byCount('de', '# neue', '# neue'),
  empty: 'Nichts Neues. Hier erfährst du von Likes, Kommentaren und neuen Followern.',
  emptyUnread: 'Alles ist gelesen.',
  loading: 'Lädt',
  failed: 'Die Mitteilungen konnten nicht geladen werden. Nichts ist verloren.',
  retry: 'Noch einmal versuchen',
  upToDate: 'Auf dem neuesten Stand, nichts verpasst',
  saved: byCount(
    'de',
    '# Änderung ist hier gespeichert und wird übertragen',
    '# Änderungen sind hier gespeichert und werden übertragen',
  ),
  live: 'Live',
  connecting: 'Verbindet',
  catchingUp: (count) => (count ? `Holt auf (${count})` : 'Holt auf'),
  offlineSince: (time) => (time ? `Offline seit ${time}` : 'Offline'),
  nextTry: (seconds) => `nächster Versuch in ${seconds} s`,
  now: 'Jetzt versuchen',
  signedOut: 'Abgemeldet',
  refused: 'Diese Version ist zu alt. Lade die Seite neu.',
  dismiss: 'Ausblenden',
  toasts: 'Neue Mitteilungen',
  moreToasts: byCount('de', '# weitere', '# weitere'),
  arrived: (count, latest) => (count > 1 ? `${count} neue Mitteilungen, zuletzt: ${latest}` : latest),
  settings: 'Einstellungen',
  back: 'Zurück zu den Mitteilungen',
  channels: { inApp: 'In der App', email: 'E-Mail', webPush: 'Push' },
  types: {
    'post.liked': 'Likes für meine Beiträge',
    'comment.created': 'Kommentare zu meinen Beiträgen',
    'comment.replied': 'Antworten auf meine Kommentare',
    'user.mentioned': 'Erwähnungen',
    'user.followed': 'Neue Follower',
    'post.published': 'Beiträge von Leuten, deren Glocke ich angeschaltet habe',
    system: 'Nachrichten dieser Seite',
  },
  allTypes: 'Alles',
  decidedBy: (by) =>
    ({
      user: 'Von dir gewählt',
      type: 'Für diese Art festgelegt',
      channel: 'Der Kanal ist aus',
      default: 'Voreinstellung',
    })[by] ?? by,
  strangers: 'Von Leuten, denen ich nicht folge',
  policies: { accept: 'Anzeigen', filter: 'Unter Anfragen ablegen', drop: 'Nicht behalten' },
  quiet: 'Nicht stören',
  quietOn: 'Kein Ton und kein Hinweis in diesen Stunden',
  timeZone: 'Zeitzone',
  from: 'Von',
  to: 'Bis',
  days: 'Tage',
  addWindow: 'Stunden hinzufügen',
  removeWindow: 'Diese Stunden entfernen',
  snooze: 'Alles pausieren',
  snoozedUntil: (time) => `Pausiert bis ${time}`,
  snoozeHour: 'Eine Stunde lang',
  snoozeMorning: 'Bis morgen um 8',
  snoozeEnd: 'Pause beenden',
  saving: 'Speichert',
  notSaved: 'Das wurde nicht gespeichert.',
  decisions: { allow: 'gesendet', suppress: 'nicht gesendet', defer: 'später' },
}
