-- What people do: accounts, follows, posts, likes, comments, blocks.
-- Requests never write the counters in these tables: the consumer `counters` adds the events of the outbox to them.
--
-- In all these files, keys that programs make have the collation C and are compared byte by byte. The order of other collations may change
-- with an update of the C library, and break the unique indexes that keep a source from notifying twice.

create extension if not exists pg_trgm;

create schema social;
comment on schema social is 'Accounts and what people do: follow, post, like, comment, block. Written by the API.';

-- The migrator has created this schema for its own tables, before the first migration.
create schema if not exists notify;
comment on schema notify is 'The notification engine: the log of events, the positions of its readers, and every user''s inbox.';

create function notify.shard_of(user_id bigint) returns smallint
  language sql immutable strict parallel safe
  return ((hashint8(user_id)::bigint + 2147483648) >> 27)::smallint;
comment on function notify.shard_of is 'The shard of a user, 0 to 31. It is the hash bucket that Citus would use, so a batch inside one shard stays on one node.';

create table social.users (
  id bigint generated always as identity primary key,
  username text not null constraint username_well_formed check (username ~ '^[a-z0-9_]{3,30}$'),
  external_id text collate "C" constraint external_id_length check (length(external_id) between 1 and 255),
  email text,
  email_verified_at timestamptz,
  new_email text,
  password_hash text not null,
  password_change_required boolean not null default false,
  display_name text not null constraint display_name_length check (length(display_name) between 1 and 100),
  bio text not null default '' constraint bio_length check (length(bio) <= 500),
  avatar_media_id text collate "C",
  avatar_url text constraint avatar_url_is_http check (avatar_url ~ '^https?://\S+$' and length(avatar_url) <= 2000),
  role text not null default 'user' constraint role_known check (role in ('user', 'reader', 'operator', 'admin')),
  locale text constraint locale_well_formed check (locale ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$' and length(locale) <= 35),
  time_zone text constraint time_zone_length check (length(time_zone) between 1 and 100),
  follower_count integer not null default 0,
  following_count integer not null default 0,
  post_count integer not null default 0,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint username_taken unique (username),
  constraint verified_email_is_known check (email is not null or email_verified_at is null)
) with (fillfactor = 80);
comment on table social.users is 'Accounts. fillfactor 80 leaves room on each page: counters change often and are in no index, so their updates stay on the page (HOT).';
comment on column social.users.id is 'Id of the account; a string in the API.';
comment on column social.users.username is 'Name by which people are mentioned: 3 to 30 characters of a-z, 0-9 and _.';
comment on column social.users.external_id is 'Id of the user in the application beside Ravenpost: set by PUT /users/external, or taken from the claim sub of its identity provider''s tokens. Null for users who signed up here.';
comment on column social.users.email is 'Email address, visible to its owner only; null if unknown. Several accounts may claim an address, but only one can verify it.';
comment on column social.users.email_verified_at is 'Time of the verification. Null: not verified; the only mail sent to the address asks for its verification.';
comment on column social.users.new_email is 'Address that replaces email once the user verifies it. Null: no change is in progress.';
comment on column social.users.password_hash is 'argon2id in PHC string format; ! for users without a password: deleted users, and users of an application beside Ravenpost.';
comment on column social.users.password_change_required is 'True until the generated first password is changed. Meanwhile calls for admins are refused.';
comment on column social.users.display_name is 'Name shown to people, 1 to 100 characters.';
comment on column social.users.bio is 'Self-description, at most 500 characters.';
comment on column social.users.avatar_media_id is 'Uploaded profile picture; null if there is none.';
comment on column social.users.avatar_url is 'Address of a profile picture that the application beside Ravenpost hosts; null if there is none.';
comment on column social.users.role is 'user, reader, operator or admin. Each role includes the rights of the roles before it.';
comment on column social.users.locale is 'Language of the user as a BCP 47 tag, for example pt-BR; null: not chosen.';
comment on column social.users.time_zone is 'IANA time zone of the user, for example Europe/Berlin; null: not chosen.';
comment on column social.users.follower_count is 'Number of users who follow this one; written by the consumer counters.';
comment on column social.users.following_count is 'Number of users whom this one follows; written by the consumer counters.';
comment on column social.users.post_count is 'Number of posts that are not deleted; written by the consumer counters.';
comment on column social.users.created_at is 'Time of the sign-up.';
comment on column social.users.deleted_at is 'Time of the deletion; null: not deleted. Name, address and password are overwritten at once, other data is removed in chunks, and the row remains as author of comments whose text was removed.';

create unique index external_id_taken on social.users (external_id) where external_id is not null;
comment on index social.external_id_taken is 'One user per external id; finds users by it.';

create unique index email_taken on social.users (lower(email)) where email_verified_at is not null;
comment on index social.email_taken is 'One account per verified address, regardless of case.';

create index users_by_email on social.users (lower(email));
comment on index social.users_by_email is 'Finds accounts by address at sign-in.';

create index users_by_new_email on social.users (lower(new_email)) where new_email is not null;
comment on index social.users_by_new_email is 'Finds the accounts that requested a new address when it is verified.';

create index users_by_username on social.users (username collate "C") where deleted_at is null;
comment on index social.users_by_username is 'Search: finds usernames that begin with a text, in order.';

create index users_by_display_name on social.users (lower(display_name) collate "C", id) where deleted_at is null;
comment on index social.users_by_display_name is 'Search: finds display names that begin with a text, in order.';

create index users_by_part_of_name on social.users using gin (username gin_trgm_ops, lower(display_name) gin_trgm_ops) where deleted_at is null;
comment on index social.users_by_part_of_name is 'Search: finds names that contain a text.';

create index users_with_role on social.users (id) where role <> 'user';
comment on index social.users_with_role is 'Finds the admins to notify, and lists roles.';

create index users_by_time_zone on social.users (time_zone) where time_zone is not null;
comment on index social.users_by_time_zone is 'Lists the time zones in use, for broadcasts at the local time of each recipient.';

create index users_by_avatar on social.users (avatar_media_id) where avatar_media_id is not null;
comment on index social.users_by_avatar is 'Serves the foreign key.';

create function social.name_look(username text) returns bytea
  language sql immutable strict parallel safe
  return sha256(convert_to(replace(replace(translate(username, '01i_', 'oll'), 'rn', 'm'), 'vv', 'w'), 'utf8'));
comment on function social.name_look is 'Hash of a username''s appearance: 0 counts as o, 1 and i as l, rn as m, vv as w, and underscores are ignored. Names with the same hash look alike. Written for the alphabet of usernames: a to z, 0 to 9 and _.';

create table social.taken_names (
  look bytea primary key
);
comment on table social.taken_names is 'Usernames that are not available: used ones, those of deleted users, and those reserved for the operator. A row is written with the account and never removed, so that nobody inherits the mentions and the past of another user.';
comment on column social.taken_names.look is 'Result of social.name_look for the username. It is a hash, because the name of a deleted user is stored nowhere.';

insert into social.taken_names (look)
select distinct social.name_look(name) from unnest(array[
  'abuse', 'admin', 'administrator', 'administration', 'api', 'billing', 'contact', 'everyone', 'help', 'helpdesk', 'info', 'mail',
  'mod', 'moderator', 'moderators', 'noreply', 'null', 'official', 'owner', 'postmaster', 'ravenpost', 'root', 'security', 'staff',
  'support', 'sysadmin', 'system', 'team', 'undefined', 'webmaster'
]) name;

create table social.ended_external_ids (
  hash bytea primary key,
  ended_at timestamptz not null default now()
);
comment on table social.ended_external_ids is 'External ids of deleted users, kept for 30 days: a token issued before the deletion must not create the user again.';
comment on column social.ended_external_ids.hash is 'SHA-256 of the external id.';
comment on column social.ended_external_ids.ended_at is 'Time of the deletion.';

create index ended_external_ids_by_age on social.ended_external_ids (ended_at);
comment on index social.ended_external_ids_by_age is 'Finds expired rows for retention.';

create table social.demo_users (
  user_id bigint primary key references social.users (id) on delete cascade,
  kind text collate "C" not null constraint demo_user_kind_known check (kind in ('crowd', 'device')),
  look bytea not null
);
comment on table social.demo_users is 'Users that the calls below /demo created. Their rows in social.users are removed after everything they did has been retracted.';
comment on column social.demo_users.user_id is 'Id of the account.';
comment on column social.demo_users.kind is 'crowd: acts in simulations. device: one of the two users that the demo shows side by side.';
comment on column social.demo_users.look is 'Key of the user''s row in social.taken_names, which is removed with the user.';

create table social.sessions (
  id bigint generated always as identity primary key,
  user_id bigint not null references social.users (id) on delete no action,
  user_agent text not null default '',
  network bytea,
  provider_sid text collate "C",
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
comment on table social.sessions is 'One row per sign-in on one device.';
comment on column social.sessions.id is 'Id of the session; the claim sid of its access tokens.';
comment on column social.sessions.user_id is 'Owner of the session.';
comment on column social.sessions.user_agent is 'User-Agent header of the sign-in, cut to 200 characters, so that users recognise the device.';
comment on column social.sessions.network is 'Keyed hash of the network of the sign-in; null if unknown. From this network, sign-in stays possible while others guess the account''s password.';
comment on column social.sessions.provider_sid is 'Id of the session at the identity provider (claim sid of its tokens); empty if its tokens have none. Null: the session began with a sign-in here.';
comment on column social.sessions.created_at is 'Time of the sign-in.';
comment on column social.sessions.last_used_at is 'Time of the latest exchange of a refresh token.';
comment on column social.sessions.expires_at is 'Expiry of the newest refresh token.';
comment on column social.sessions.revoked_at is 'Time of the revocation: by sign-out, by deletion of the session or the user, or because a refresh token was used twice. Its sockets are closed with 4403. Null: not revoked.';

create index sessions_of_user on social.sessions (user_id, id);
comment on index social.sessions_of_user is 'Lists and deletes the sessions of a user.';

create unique index sessions_of_provider on social.sessions (user_id, provider_sid) where provider_sid is not null and revoked_at is null;
comment on index social.sessions_of_provider is 'Finds the session for a token of the identity provider.';

create index sessions_by_expiry on social.sessions (expires_at);
comment on index social.sessions_by_expiry is 'Finds expired rows for retention.';

create index sessions_revoked on social.sessions (revoked_at) where revoked_at is not null;
comment on index social.sessions_revoked is 'Finds sessions whose access tokens must be refused.';

create table social.refresh_tokens (
  token_hash bytea primary key,
  session_id bigint not null references social.sessions (id) on delete cascade,
  predecessor bytea,
  created_at timestamptz not null default now(),
  used_at timestamptz
);
comment on table social.refresh_tokens is 'Hashes of all refresh tokens of unexpired sessions. Using a token twice revokes its session (RFC 9700, section 4.14.2), except within 10 s of its first use while none of its successors was used.';
comment on column social.refresh_tokens.token_hash is 'SHA-256 of the token. The token itself has 256 random bits and is not stored.';
comment on column social.refresh_tokens.session_id is 'The session that the token renews.';
comment on column social.refresh_tokens.predecessor is 'Hash of the token that was exchanged for this one. Null: issued by a sign-up or sign-in. No foreign key, because the predecessor may be removed first.';
comment on column social.refresh_tokens.created_at is 'Time of issue.';
comment on column social.refresh_tokens.used_at is 'Time at which the token was first exchanged for a successor; null: not used.';

create index refresh_tokens_of_session on social.refresh_tokens (session_id);
comment on index social.refresh_tokens_of_session is 'Serves the cascade of the foreign key.';

create index refresh_tokens_by_age on social.refresh_tokens ((coalesce(used_at, created_at)));
comment on index social.refresh_tokens_by_age is 'Finds expired rows for retention: tokens so old that their reuse no longer proves a theft.';

create table social.follows (
  follower_id bigint not null references social.users (id) on delete no action,
  followee_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (follower_id, followee_id),
  constraint cannot_follow_self check (follower_id <> followee_id)
);
comment on table social.follows is 'Follows between users. The primary key serves the list of users whom a user follows.';
comment on column social.follows.follower_id is 'The user who follows.';
comment on column social.follows.followee_id is 'The user who is followed.';
comment on column social.follows.created_at is 'Start of the follow.';

create index follows_by_followee on social.follows (followee_id, follower_id);
comment on index social.follows_by_followee is 'Lists the followers of a user.';

create table social.blocks (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
comment on table social.blocks is 'Blocks between users. A block is committed before the inbox of the blocking user is locked. So a batch that has locked this inbox earlier comes before the block, and later batches see it.';
comment on column social.blocks.user_id is 'The user who blocks the other.';
comment on column social.blocks.other_id is 'The blocked user.';
comment on column social.blocks.created_at is 'Start of the block.';

create index blocks_by_other on social.blocks (other_id, user_id);
comment on index social.blocks_by_other is 'Finds the rows of a deleted user.';

create index blocks_by_time on social.blocks (created_at);
comment on index social.blocks_by_time is 'Finds the blocks of the last seconds, for push nodes.';

create function social.either_blocks(one bigint, other bigint) returns boolean
  language plpgsql volatile strict
as $$
begin
  return exists (select from social.blocks b where b.user_id = either_blocks.one and b.other_id = either_blocks.other)
      or exists (select from social.blocks b where b.user_id = either_blocks.other and b.other_id = either_blocks.one);
end
$$;
comment on function social.either_blocks is 'True if one of two users blocks the other at this moment. Volatile, so that it takes its own snapshot (PostgreSQL manual, "Function Volatility Categories"). So a statement that waited for a lock on the users sees a block that was committed meanwhile.';

create table social.posts (
  id bigint generated always as identity primary key,
  author_id bigint not null references social.users (id) on delete no action,
  body text not null constraint post_body_length check (length(body) between 1 and 5000),
  mentions jsonb,
  like_count integer not null default 0,
  comment_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
) with (fillfactor = 70);
comment on table social.posts is 'Posts. fillfactor 70 leaves room on each page: counters change with every batch of likes and are in no index, so their updates stay on the page (HOT). The primary key serves the feed of all posts.';
comment on column social.posts.id is 'Id of the post; a string in the API.';
comment on column social.posts.author_id is 'The user who wrote the post.';
comment on column social.posts.body is 'Text, 1 to 5,000 characters.';
comment on column social.posts.mentions is 'Users mentioned with @username in the text: [{id, start, end}], with offsets in UTF-16 code units. Null: nobody is mentioned.';
comment on column social.posts.like_count is 'Number of users who like the post; written by the consumer counters.';
comment on column social.posts.comment_count is 'Number of comments and replies that are not deleted; written by the consumer counters.';
comment on column social.posts.created_at is 'Time of the publication.';
comment on column social.posts.updated_at is 'Time of the latest edit.';
comment on column social.posts.deleted_at is 'Time of the deletion, set while the row is locked; null: not deleted. Dispatch locks the row too: if it is first, the fan-out retracts its notifications; if it is later, it sees the deletion and skips the event.';

create index posts_of_author on social.posts (author_id, id desc) include (deleted_at);
comment on index social.posts_of_author is 'Serves the feed of one user, and finds the newest post of each followed user without reading the table.';

create index posts_by_words on social.posts using gin (to_tsvector('simple', body)) with (fastupdate = off) where deleted_at is null;
comment on index social.posts_by_words is 'Search of posts. fastupdate is off, because a search would have to read the whole list of pending entries. Updates of counters do not touch the text, so they stay on the page (HOT).';

create table social.likes (
  post_id bigint not null references social.posts (id) on delete no action,
  user_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.likes is 'Likes of posts. The primary key finds the likes of a deleted user, and which posts of a page the viewer likes.';
comment on column social.likes.post_id is 'The liked post.';
comment on column social.likes.user_id is 'The user who likes the post.';
comment on column social.likes.created_at is 'Time of the like.';

create index likes_of_post on social.likes (post_id, created_at, user_id);
comment on index social.likes_of_post is 'Lists the users who like a post, latest first. A like writes only two indexes.';

create table social.comments (
  id bigint generated always as identity primary key,
  post_id bigint not null references social.posts (id) on delete no action,
  parent_id bigint references social.comments (id) on delete no action,
  author_id bigint not null references social.users (id) on delete no action,
  body text not null constraint comment_body_length check (length(body) <= 2000),
  mentions jsonb,
  reply_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
) with (fillfactor = 80);
comment on table social.comments is 'Comments and their replies.';
comment on column social.comments.id is 'Id of the comment; a string in the API.';
comment on column social.comments.post_id is 'The post to which the comment belongs.';
comment on column social.comments.parent_id is 'The comment of the same post that this one answers; null: it answers the post.';
comment on column social.comments.author_id is 'The user who wrote the comment.';
comment on column social.comments.body is 'Text, 1 to 2,000 characters; emptied when the comment is deleted.';
comment on column social.comments.mentions is 'Mentioned users, as in social.posts.mentions. Null: nobody is mentioned, or the comment is deleted.';
comment on column social.comments.reply_count is 'Number of replies that are not deleted; written by the consumer counters.';
comment on column social.comments.created_at is 'Time of the publication.';
comment on column social.comments.updated_at is 'Time of the latest edit.';
comment on column social.comments.deleted_at is 'Time of the deletion, set while the row is locked; null: not deleted. The row exists as long as the post, so that replies keep their place.';

create index comments_of_post on social.comments (post_id, parent_id, id);
comment on index social.comments_of_post is 'Reads a page of the comments of a post.';

create index comments_of_parent on social.comments (parent_id) where parent_id is not null;
comment on index social.comments_of_parent is 'Serves the foreign key.';

create index comments_of_author on social.comments (author_id, id);
comment on index social.comments_of_author is 'Finds the rows of a deleted user.';

create index comments_by_deletion on social.comments (deleted_at) where deleted_at is not null;
comment on index social.comments_by_deletion is 'Finds the comments deleted in the last seconds, for push nodes.';

create index comments_by_edit on social.comments (updated_at) where updated_at > created_at;
comment on index social.comments_by_edit is 'Finds the comments edited in the last seconds, for push nodes.';

create table social.bookmarks (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  id bigint generated always as identity,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.bookmarks is 'Bookmarked posts, visible to their user only.';
comment on column social.bookmarks.user_id is 'The user who bookmarked the post.';
comment on column social.bookmarks.post_id is 'The bookmarked post.';
comment on column social.bookmarks.id is 'Number of the bookmark, in the order of creation. The newest is listed first.';
comment on column social.bookmarks.created_at is 'Time of the bookmark.';

create index bookmarks_of_user on social.bookmarks (user_id, id desc);
comment on index social.bookmarks_of_user is 'Reads a page of the bookmarks of a user.';

create index bookmarks_of_post on social.bookmarks (post_id);
comment on index social.bookmarks_of_post is 'Finds the rows of a deleted post.';

create table social.mutes (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  until timestamptz,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
comment on table social.mutes is 'Muted users: their actions do not notify the user who mutes them.';
comment on column social.mutes.user_id is 'The user who mutes.';
comment on column social.mutes.other_id is 'The user who is muted.';
comment on column social.mutes.until is 'End of the mute. Null: the mute ends when the user removes it.';
comment on column social.mutes.created_at is 'Start of the mute.';

create index mutes_by_other on social.mutes (other_id, user_id);
comment on index social.mutes_by_other is 'Finds the rows of a deleted user.';

create table social.thread_mutes (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.thread_mutes is 'Muted posts: nothing below them notifies the user.';
comment on column social.thread_mutes.user_id is 'The user who mutes.';
comment on column social.thread_mutes.post_id is 'The post that is muted.';
comment on column social.thread_mutes.created_at is 'Start of the mute.';

create index thread_mutes_by_post on social.thread_mutes (post_id);
comment on index social.thread_mutes_by_post is 'Serves the foreign key.';

create table social.bells (
  author_id bigint not null references social.users (id) on delete no action,
  user_id bigint not null references social.users (id) on delete no action,
  shard smallint not null generated always as (notify.shard_of(user_id)) stored,
  created_at timestamptz not null default now(),
  primary key (author_id, user_id) include (shard),
  constraint cannot_ring_for_self check (author_id <> user_id)
);
comment on table social.bells is 'Subscriptions to all posts of an author. A fan-out reads an audience by the primary key: in the order of users, as inboxes are stored. The included shard selects the users of one lane.';
comment on column social.bells.author_id is 'The author of the posts.';
comment on column social.bells.user_id is 'The subscriber.';
comment on column social.bells.shard is 'Shard of the subscriber. So a chunk of a fan-out stays inside one lane, and on one node.';
comment on column social.bells.created_at is 'Start of the subscription.';

create index bells_of_user on social.bells (user_id, author_id);
comment on index social.bells_of_user is 'Finds the rows of a deleted user.';

create table social.media_contents (
  id bigint generated always as identity primary key,
  sha256 bytea constraint media_content_once unique constraint sha256_has_32_bytes check (length(sha256) = 32),
  mime text not null constraint mime_is_media check (mime ~ '^(image|audio|video)/'),
  extension text not null,
  size integer constraint media_is_not_empty check (size > 0),
  width integer constraint width_positive check (width > 0),
  height integer constraint height_positive check (height > 0),
  created_at timestamptz not null default now(),
  constraint media_content_complete check ((sha256 is null) = (size is null))
);
comment on table social.media_contents is 'Uploaded files, each stored once however often it is uploaded. A row without sha256 belongs to an upload in progress, or to an aborted one, which is removed an hour later.';
comment on column social.media_contents.id is 'Internal number of the file.';
comment on column social.media_contents.sha256 is 'SHA-256 of the stored file, from which metadata was removed. Set with the last chunk; null: the upload is not complete.';
comment on column social.media_contents.mime is 'Media type detected from the first bytes; the type that the client sent is ignored.';
comment on column social.media_contents.extension is 'File name extension for this type.';
comment on column social.media_contents.size is 'Size in bytes, set with sha256. Null: the upload is not complete.';
comment on column social.media_contents.width is 'Width of an image in pixels, after the rotation in its header. Null: not an image, or the header has no size.';
comment on column social.media_contents.height is 'Height of an image in pixels, after the rotation in its header. Null: not an image, or the header has no size.';
comment on column social.media_contents.created_at is 'Start of the upload.';

create index media_contents_unfinished on social.media_contents (created_at) where sha256 is null;
comment on index social.media_contents_unfinished is 'Finds aborted uploads to remove.';

create table social.media_chunks (
  content_id bigint not null references social.media_contents (id) on delete cascade,
  number integer not null,
  bytes bytea not null,
  primary key (content_id, number)
);
comment on table social.media_chunks is 'Bytes of the files, 256 KiB per row. They are written and read row by row, so that neither a process nor a connection has a whole file in memory.';
comment on column social.media_chunks.content_id is 'The file.';
comment on column social.media_chunks.number is 'Number of the chunk, from 0. Each chunk except the last has 262,144 bytes.';
comment on column social.media_chunks.bytes is 'Content of the chunk. Not compressed (storage external), because media files are compressed already and parts of a chunk are read.';

-- PostgreSQL 15 does not accept `storage external` in `create table`.
alter table social.media_chunks alter column bytes set storage external;

create table social.media (
  id text collate "C" primary key constraint media_id_has_128_bits check (id ~ '^[A-Za-z0-9_-]{22}$'),
  owner_id bigint not null references social.users (id) on delete no action,
  content_id bigint not null references social.media_contents (id) on delete no action,
  post_id bigint references social.posts (id) on delete no action,
  position smallint,
  alt text constraint alt_length check (length(alt) between 1 and 1000),
  unused_since timestamptz default now(),
  created_at timestamptz not null default now(),
  constraint media_in_post_is_used check (post_id is null or (unused_since is null and position is not null))
);
comment on table social.media is 'Uploaded media. Each is in one post, or is a profile picture, or is not used yet.';
comment on column social.media.id is 'Id of the medium: 128 random bits in base64url. Anyone who knows it may read the file.';
comment on column social.media.owner_id is 'The user who uploaded the medium; only this user may use it.';
comment on column social.media.content_id is 'The file.';
comment on column social.media.post_id is 'The post that shows the medium; null if no post does.';
comment on column social.media.position is 'Position in the post, from 1; null if no post shows the medium.';
comment on column social.media.alt is 'Text for people who cannot see the medium, written by its owner; null: none.';
comment on column social.media.unused_since is 'Time since which neither a post nor a profile shows the medium; null while one does. It is deleted a day later.';
comment on column social.media.created_at is 'End of the upload.';

create index media_of_owner on social.media (owner_id, id);
comment on index social.media_of_owner is 'Sums up the quota of a user, and finds the media of a deleted user.';

create index media_of_content on social.media (content_id);
comment on index social.media_of_content is 'Checks whether a file is still used.';

create unique index media_of_post on social.media (post_id, position) where post_id is not null;
comment on index social.media_of_post is 'Reads the media of a post, in order.';

create index media_unused on social.media (unused_since) where unused_since is not null;
comment on index social.media_unused is 'Finds unused media to remove.';

-- Added here, because users refer to media and media to users.
alter table social.users add constraint avatar_is_a_medium foreign key (avatar_media_id) references social.media (id) on delete no action;

create table social.media_uploads (
  id bigint generated always as identity primary key,
  owner_id bigint not null references social.users (id) on delete no action,
  bytes bigint not null constraint upload_reserves_bytes check (bytes > 0),
  begun_at timestamptz not null default now()
);
comment on table social.media_uploads is 'Uploads in progress and the space they reserve. A row is removed with the response; after a crash it counts for ten minutes and is then removed.';
comment on column social.media_uploads.id is 'Number of the upload.';
comment on column social.media_uploads.owner_id is 'The user who uploads.';
comment on column social.media_uploads.bytes is 'Reserved space: the size that the client announced, or the maximum size of a file.';
comment on column social.media_uploads.begun_at is 'Start of the upload.';

create index media_uploads_of_owner on social.media_uploads (owner_id);
comment on index social.media_uploads_of_owner is 'Sums up the space that the uploads of a user reserve.';

create unlogged table social.rate_limits (
  key text collate "C" primary key,
  points integer not null default 0,
  expire bigint
);
comment on table social.rate_limits is 'Numbers of requests in each period, shared by all processes: sign-ins, sign-ups, calls of admins. The table is unlogged: after a crash it is empty and counting starts again.';
comment on column social.rate_limits.key is 'Name of the limit and what it counts by, such as sign-in:192.0.2.1 or admin:17.';
comment on column social.rate_limits.points is 'Number of requests in this period.';
comment on column social.rate_limits.expire is 'End of the period, in milliseconds since 1970.';

create index rate_limits_by_expiry on social.rate_limits (expire);
comment on index social.rate_limits_by_expiry is 'Finds expired rows for retention.';

create table social.segments (
  id bigint generated always as identity primary key,
  name text collate "C" not null constraint segment_name_length check (length(name) between 1 and 100),
  rule jsonb,
  query text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint segment_name_taken unique (name),
  constraint rule_or_query check ((rule is null) <> (query is null))
);
comment on table social.segments is 'Named sets of users, for broadcasts. A broadcast keeps a copy of the segment, so the segment can be changed and deleted.';
comment on column social.segments.id is 'Id of the segment, as in the API.';
comment on column social.segments.name is 'Name of the segment, for people.';
comment on column social.segments.rule is 'Rule as in the API: conditions on one user, combined by all, any and not. Null: the segment has a query.';
comment on column social.segments.query is 'A select that returns user ids, run by social.users_of_query. Null: the segment has a rule.';
comment on column social.segments.created_at is 'Time at which the segment was created.';
comment on column social.segments.updated_at is 'Time of the last change.';

create function social.users_of_query(query text) returns setof bigint
  language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  called text;
begin
  if current_user <> 'ravenpost_readonly' then
    raise exception 'segments in SQL need the role ravenpost_readonly, which does not own this function; docs/security.md says what to do'
      using errcode = 'feature_not_supported';
  end if;
  -- A function of one argument may be written like a column: x.f. Immutable ones do nothing but compute; age and timestamp are also columns.
  select p.proname into called
  from regexp_matches(regexp_replace(query, '''[^'']*''', '''''', 'g'), '\.\s*"?([A-Za-z_][A-Za-z0-9_$]*)', 'g') w (found)
  join pg_proc p on p.proname = lower(w.found[1]) and p.pronamespace = 'pg_catalog'::regnamespace
  where p.provolatile <> 'i' and p.pronargs > 0 and p.proname not in ('age', 'timestamp')
  limit 1;
  if called is not null then
    raise exception 'the query of a segment may not call %', called using errcode = 'insufficient_privilege';
  end if;
  return query execute 'select distinct user_id::bigint from (' || query || ') as segment (user_id) where user_id is not null';
end $$;
comment on function social.users_of_query is 'User ids that the query of a segment selects. Runs as ravenpost_readonly, its owner: the query cannot change the role, write, or read secrets. Names after a dot may not be those of functions of pg_catalog that do more than compute. The caller sets statement_timeout.';
