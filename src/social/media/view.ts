import { type Static, Type } from '@sinclair/typebox'

const pixels = Type.Optional(
  Type.Integer({ description: 'Pixels of an image as displayed; absent when its header does not contain them' }),
)

/** Fields that are absent if unknown. */
const described = {
  width: pixels,
  height: pixels,
  alt: Type.Optional(Type.String({ description: 'Alternative text for people who cannot see it' })),
}

export const Media = Type.Object({
  id: Type.String(),
  mime: Type.String(),
  size: Type.Integer({ description: 'Bytes' }),
  sha256: Type.String({ description: 'Hexadecimal' }),
  ...described,
})
export type Media = Static<typeof Media>

/** Id of a medium: 128 random bits in base64url. */
export const MediaId = Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: 'From `POST /media/upload`' })

export const MediaOfPost = Type.Object({ id: Type.String(), mime: Type.String(), size: Type.Integer(), ...described })

/** The media of a post as ordered JSON, for statements over `social.posts p`. */
export const mediaOfPostColumn = `(
  select coalesce(json_agg(json_strip_nulls(json_build_object(
    'id', m.id, 'mime', c.mime, 'size', c.size, 'width', c.width, 'height', c.height, 'alt', m.alt)) order by m.position), '[]')
  from social.media m join social.media_contents c on c.id = m.content_id where m.post_id = p.id) as media`
