import type pg from 'pg'

const english = {
  language: 'en',
  digest: {
    unread: (count: number) => `${count} unread notifications`,
    more: (count: number): [and: string, others: string] => ['… and ', `${count} more`],
    unsubscribe: 'No more mails like this',
  },
  address: {
    subject: 'Is this your address?',
    ask: 'Please confirm that mail of ours may come to this address:',
    label: 'Confirm',
    otherwise: 'If you did not sign up, do nothing: you will not hear from us again.',
  },
  newAddress: {
    subject: 'Confirm your new address',
    ask: 'Please confirm that this is the new address of your account:',
    label: 'Confirm',
    otherwise: 'If you did not ask for this, do nothing: the address is not used.',
  },
  resetPassword: {
    subject: 'Reset your password',
    ask: 'Follow this link within 30 minutes to choose a new password:',
    label: 'Choose a new password',
    otherwise: 'If you did not ask for this, do nothing: your password stays as it is.',
  },
  passwordChanged: {
    subject: 'Your password was changed',
    what: (url: string) => `The password of your account at ${url} was changed, and all other sessions were ended.`,
    otherwise: 'If it was not you who changed it, ask the people who run this service for help.',
  },
  addressChanging: {
    subject: 'Your address is about to change',
    what: (url: string) =>
      `Someone who knows the password of your account at ${url} asked to replace this address by another one.`,
    otherwise:
      'If it was not you, change your password now, or reset it, and ask the people who run this service for help.',
  },
  pages: {
    confirm: 'Confirm this address',
    /** A text as HTML. */
    mailFor: (username: string) => `Mail for the account ${username} will come to your address.`,
    onlyYours: 'Confirm an account only if it is yours; otherwise close this page.',
    confirmed: 'Confirmed',
    isConfirmed: 'Thank you, the address is confirmed.',
    noMails: 'No more mails',
    unsubscribed: 'Unsubscribed',
    isUnsubscribed: 'No more mails. You can change your mind in your preferences.',
    choosePassword: 'Choose a new password',
    newPassword: 'New password, at least 8 characters',
    save: 'Save',
    passwordChanged: 'Password changed',
    isPasswordChanged: 'Your password was changed. You can sign in with it now.',
  },
  /** Texts by error code; other errors are shown with the API's own texts. */
  errors: {} as Record<string, string>,
}

/** Words of mails about accounts, of digests, and of the pages that mails link to. */
export type Catalogue = typeof english

const german: Catalogue = {
  language: 'de',
  digest: {
    unread: (count) => `${count} ungelesene Benachrichtigungen`,
    more: (count) => ['… und ', `${count} weitere`],
    unsubscribe: 'Keine solchen Mails mehr',
  },
  address: {
    subject: 'Ist das deine Adresse?',
    ask: 'Bitte bestätige, dass wir an diese Adresse schreiben dürfen:',
    label: 'Bestätigen',
    otherwise: 'Wenn du dich nicht angemeldet hast, musst du nichts tun: Du hörst nicht wieder von uns.',
  },
  newAddress: {
    subject: 'Bestätige deine neue Adresse',
    ask: 'Bitte bestätige, dass dies die neue Adresse deines Kontos ist:',
    label: 'Bestätigen',
    otherwise: 'Wenn du das nicht wolltest, musst du nichts tun: Die Adresse wird nicht verwendet.',
  },
  resetPassword: {
    subject: 'Setze dein Passwort zurück',
    ask: 'Öffne innerhalb von 30 Minuten diesen Link, um ein neues Passwort zu wählen:',
    label: 'Neues Passwort wählen',
    otherwise: 'Wenn du das nicht wolltest, musst du nichts tun: Dein Passwort bleibt, wie es ist.',
  },
  passwordChanged: {
    subject: 'Dein Passwort wurde geändert',
    what: (url) => `Das Passwort deines Kontos bei ${url} wurde geändert, und alle anderen Sitzungen wurden beendet.`,
    otherwise: 'Wenn du es nicht warst, wende dich an die Betreiber dieses Dienstes.',
  },
  addressChanging: {
    subject: 'Deine Adresse soll geändert werden',
    what: (url) =>
      `Jemand, der das Passwort deines Kontos bei ${url} kennt, möchte diese Adresse durch eine andere ersetzen.`,
    otherwise:
      'Wenn du es nicht warst, ändere jetzt dein Passwort oder setze es zurück, und wende dich an die Betreiber dieses Dienstes.',
  },
  pages: {
    confirm: 'Bestätige diese Adresse',
    mailFor: (username) => `Mails für das Konto ${username} kommen dann an deine Adresse.`,
    onlyYours: 'Bestätige nur ein Konto, das dir gehört; sonst schließe diese Seite.',
    confirmed: 'Bestätigt',
    isConfirmed: 'Danke, die Adresse ist bestätigt.',
    noMails: 'Keine Mails mehr',
    unsubscribed: 'Abbestellt',
    isUnsubscribed: 'Es kommen keine Mails mehr. In deinen Einstellungen kannst du das wieder ändern.',
    choosePassword: 'Wähle ein neues Passwort',
    newPassword: 'Neues Passwort, mindestens 8 Zeichen',
    save: 'Speichern',
    passwordChanged: 'Passwort geändert',
    isPasswordChanged: 'Dein Passwort wurde geändert. Du kannst dich jetzt damit anmelden.',
  },
  errors: {
    BAD_TOKEN: 'Der Link ist ungültig oder abgelaufen.',
    PASSWORD_TOO_COMMON: 'Dieses Passwort ist zu gebräuchlich.',
  },
}

const catalogues: Record<string, Catalogue> = { en: english, de: german }

/** Texts for a locale, in English if its language is not available. `locale`: a BCP 47 tag, such as de-AT. */
export function wordsIn(locale: string | null | undefined): Catalogue {
  return catalogues[locale?.split('-', 1)[0] ?? ''] ?? english
}

/** Texts in the language of this user. Call it only for users whom a valid token names, because a language is personal. */
export async function wordsFor(pool: pg.Pool, userId: string): Promise<Catalogue> {
  const { rows } = await pool.query<{ locale: string | null }>(
    'select locale from social.users where id = $1 and deleted_at is null',
    [userId],
  )
  return wordsIn(rows[0]?.locale)
}
