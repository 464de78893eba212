-- Media in the database: the bytes once, in chunks, and who holds them.

create table social.media_contents (
  id bigint generated always as identity primary key,
  sha256 bytea constraint media_content_once unique constraint sha256_has_32_bytes check (length(sha256) = 32),
  mime text not null constraint mime_is_media check (mime ~ '^(image|audio|video)/'),
  extension text not null,
  size integer constraint media_is_not_empty check (size > 0),
  created_at timestamptz not null default now(),
  constraint media_content_complete check ((sha256 is null) = (size is null))
);
create index media_contents_unfinished on social.media_contents (created_at) where sha256 is null;
comment on table social.media_contents is 'Files, each stored once however often it was uploaded. A row without sha256 belongs to an upload under way, or to one that broke off and is removed an hour later. Index media_contents_unfinished: that clean-up.';
comment on column social.media_contents.id is 'Number of the file, seen by nobody outside.';
comment on column social.media_contents.sha256 is 'SHA-256 of the whole file; set when its last chunk is stored.';
comment on column social.media_contents.mime is 'Type told from the first bytes, whatever the client called it.';
comment on column social.media_contents.extension is 'Ending of a file name for this type.';
comment on column social.media_contents.size is 'Bytes; set with sha256.';
comment on column social.media_contents.created_at is 'When the upload began.';

create table social.media_chunks (
  content_id bigint not null references social.media_contents (id) on delete cascade,
  number integer not null,
  bytes bytea not null,
  primary key (content_id, number)
);
alter table social.media_chunks alter column bytes set storage external;
comment on table social.media_chunks is 'The bytes of a file, 256 KiB a row; written and read row by row, so that neither a process nor a connection holds a whole file.';
comment on column social.media_chunks.content_id is 'Which file.';
comment on column social.media_chunks.number is 'From 0; each but the last has 262,144 bytes.';
comment on column social.media_chunks.bytes is 'Not compressed (storage external): media are already, and parts of it are read alone.';

create table social.media (
  id text primary key constraint media_id_has_128_bits check (id ~ '^[A-Za-z0-9_-]{22}$'),
  owner_id bigint not null references social.users (id) on delete no action,
  content_id bigint not null references social.media_contents (id) on delete no action,
  post_id bigint references social.posts (id) on delete no action,
  position smallint,
  unused_since timestamptz default now(),
  created_at timestamptz not null default now(),
  constraint media_in_post_is_used check (post_id is null or (unused_since is null and position is not null))
);
create index media_of_owner on social.media (owner_id, id);
create index media_of_content on social.media (content_id);
create unique index media_of_post on social.media (post_id, position) where post_id is not null;
create index media_unused on social.media (unused_since) where unused_since is not null;
comment on table social.media is 'What somebody uploaded: in one post, the picture of a profile, or not used yet. Index media_of_owner: the quota, and clean-up of a deleted user; media_of_content: whether a file is still held; media_of_post: the media of a post, in order; media_unused: clean-up of what nothing shows.';
comment on column social.media.id is '128 random bits in base64url: who has it may see it.';
comment on column social.media.owner_id is 'Who uploaded it, and alone may use it.';
comment on column social.media.content_id is 'The file.';
comment on column social.media.post_id is 'The post that shows it, if any.';
comment on column social.media.position is 'Its place in the post, from 1.';
comment on column social.media.unused_since is 'Null while a post or a profile shows it; a day after this it is removed.';
comment on column social.media.created_at is 'When the upload ended.';

alter table social.users add constraint avatar_is_a_medium foreign key (avatar_media_id) references social.media (id) on delete no action;
create index users_by_avatar on social.users (avatar_media_id) where avatar_media_id is not null;
comment on column social.users.avatar_media_id is 'Picture of the profile, if any. Index users_by_avatar serves the foreign key.';
