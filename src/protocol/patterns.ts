/** A BCP 47 language tag: de, pt-BR. */
export const LANGUAGE_TAG = '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$'

/** A notification type that belongs to no social action: system, or a name with a dot. */
export const SENT_TYPE = '^(system|[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)+)$'
