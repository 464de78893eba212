import { type Static, Type } from '@sinclair/typebox'

const pixels = Type.Optional(
  Type.Integer({
    description: 'Pixels of an image as displayed; absent when its header does not contain them',
    examples: [640],
  }),
)

const id = Type.String({ description: 'The file is at /media/{id}/stream', examples: ['tLoT_0VF5zSkEiKNx8zBuA'] })
const mime = Type.String({ description: 'By its content' })
const size = Type.Integer({ description: 'Bytes' })

/** Fields that are absent if unknown. */
const described = {
  width: pixels,
  height: pixels,
  alt: Type.Optional(
    Type.String({ description: 'Alternative text for people who cannot see it', examples: ['A raven on a fence'] }),
  ),
}

export const Media = Type.Object({
  id,
  mime,
  size,
  sha256: Type.String({
    description: 'Of the stored file, in hexadecimal digits',
    examples: ['6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0'],
  }),
  ...described,
})
export type Media = Static<typeof Media>

/** Id of a medium: 128 random bits in base64url. */
export const MediaId = Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: 'From `POST /media/upload`' })

export const MediaOfPost = Type.Object({ id, mime, size, ...described })

/** The media of a post as ordered JSON, for statements over `social.posts p`. */
export const mediaOfPostColumn = `(
  select coalesce(json_agg(json_strip_nulls(json_build_object(
    'id', m.id, 'mime', c.mime, 'size', c.size, 'width', c.width, 'height', c.height, 'alt', m.alt)) order by m.position), '[]')
  from social.media m join social.media_contents c on c.id = m.content_id where m.post_id = p.id) as media`
