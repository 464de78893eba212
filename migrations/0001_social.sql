-- What people do: accounts, follows, posts, likes, comments, blocks.
-- Requests never write the counters here: the consumer `counters` folds them from the outbox.
--
-- In all these files, keys that programs make have the collation C and are compared byte by byte. The order of other collations may change
-- with an update of the C library, and break the unique indexes that keep a source from notifying twice.

create extension if not exists pg_trgm;

create schema social;
comment on schema social is 'What people do: accounts, follows, posts, likes, comments, blocks. The API writes it.';

-- The migrator makes it for its own tables, before the first migration.
create schema if not exists notify;
comment on schema notify is 'The notification engine: the log of events, the positions of its readers, and every user''s inbox.';

create function notify.shard_of(user_id bigint) returns smallint
  language sql immutable strict parallel safe
  return ((hashint8(user_id)::bigint + 2147483648) >> 27)::smallint;
comment on function notify.shard_of is 'The user''s shard, 0 to 31: Citus'' own hash bucket, so that a batch inside one shard stays on one node.';

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
comment on table social.users is 'Accounts. fillfactor 80: folded counters change often and are in no index, so their updates stay on the page (HOT).';
comment on column social.users.id is 'The account''s id; a string in the API.';
comment on column social.users.username is 'Name people are mentioned by: 3 to 30 of a-z, 0-9 and _.';
comment on column social.users.external_id is 'Id of the user in the application beside Ravenpost: named by PUT /users/external, and sub in tokens of its identity provider. Null for users who signed up here.';
comment on column social.users.email is 'Only its owner sees it; null: unknown. Several accounts may claim an address; one of them can verify it.';
comment on column social.users.email_verified_at is 'Null: not verified, and no mail goes there but the one that asks for the verification.';
comment on column social.users.new_email is 'Address that replaces email once the user verifies it; null: no change is under way.';
comment on column social.users.password_hash is 'argon2id in PHC string format; ! for users without a password: deleted ones, and those of an application beside Ravenpost.';
comment on column social.users.password_change_required is 'True while the password is the one that the first start made: calls for admins are refused.';
comment on column social.users.display_name is 'Name shown to people, 1 to 100 characters.';
comment on column social.users.bio is 'A few words about oneself, 500 characters at most.';
comment on column social.users.avatar_media_id is 'Picture of the profile, if any.';
comment on column social.users.avatar_url is 'Picture of the profile, hosted by the application beside Ravenpost, if any.';
comment on column social.users.role is 'user, reader, operator or admin: each may do what those before it may.';
comment on column social.users.locale is 'Language of the user as a BCP 47 tag, for example pt-BR; null: not chosen.';
comment on column social.users.time_zone is 'IANA time zone of the user, for example Europe/Berlin; null: not chosen.';
comment on column social.users.follower_count is 'Users who follow this one; folded by the consumer counters.';
comment on column social.users.following_count is 'Users whom this one follows; folded by the consumer counters.';
comment on column social.users.post_count is 'Posts that are not deleted; folded by the consumer counters.';
comment on column social.users.created_at is 'Time of the sign-up.';
comment on column social.users.deleted_at is 'Time of the deletion: name, address and password are overwritten at once, the rest is removed in chunks, and the row stays as the author of emptied comments.';

create unique index external_id_taken on social.users (external_id) where external_id is not null;
comment on index social.external_id_taken is 'Users by external id; one user each.';

create unique index email_taken on social.users (lower(email)) where email_verified_at is not null;
comment on index social.email_taken is 'One account per verified address, without regard to case.';

create index users_by_email on social.users (lower(email));
comment on index social.users_by_email is 'Sign-in by address.';

create index users_by_new_email on social.users (lower(new_email)) where new_email is not null;
comment on index social.users_by_new_email is 'Verification of a new address: the accounts that named it.';

create index users_by_username on social.users (username collate "C") where deleted_at is null;
comment on index social.users_by_username is 'Search: usernames that begin with the text, in order.';

create index users_by_display_name on social.users (lower(display_name) collate "C", id) where deleted_at is null;
comment on index social.users_by_display_name is 'Search: display names that begin with the text, in order.';

create index users_by_part_of_name on social.users using gin (username gin_trgm_ops, lower(display_name) gin_trgm_ops) where deleted_at is null;
comment on index social.users_by_part_of_name is 'Search: names that contain the text.';

create index users_with_role on social.users (id) where role <> 'user';
comment on index social.users_with_role is 'Admins to notify; the list of roles.';

create index users_by_time_zone on social.users (time_zone) where time_zone is not null;
comment on index social.users_by_time_zone is 'The time zones in use, for broadcasts at the wall-clock time of each recipient.';

create index users_by_avatar on social.users (avatar_media_id) where avatar_media_id is not null;
comment on index social.users_by_avatar is 'Serves the foreign key.';

create function social.name_look(username text) returns bytea
  language sql immutable strict parallel safe
  return sha256(convert_to(replace(replace(translate(username, '01i_', 'oll'), 'rn', 'm'), 'vv', 'w'), 'utf8'));
comment on function social.name_look is 'Hash of how a username looks: 0 as o, 1 and i as l, rn as m, vv as w, without underscores. Names with the same hash are taken for each other. Written for the alphabet of usernames, a to z, 0 to 9 and _.';

create table social.taken_names (
  look bytea primary key
);
comment on table social.taken_names is 'Usernames that are not given out: those in use, those of deleted users, and those reserved for the operator. A row is written with the account and never removed, so nobody gets the name, mentions and past of another.';
comment on column social.taken_names.look is 'social.name_look of the username: a hash, because a deleted user''s name is stored nowhere.';

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
comment on table social.ended_external_ids is 'External ids of deleted users, for 30 days: a token that was issued before the deletion does not make the user again.';
comment on column social.ended_external_ids.hash is 'SHA-256 of the external id.';
comment on column social.ended_external_ids.ended_at is 'Time of the deletion.';

create index ended_external_ids_by_age on social.ended_external_ids (ended_at);
comment on index social.ended_external_ids_by_age is 'Retention.';

create table social.demo_users (
  user_id bigint primary key references social.users (id) on delete cascade,
  kind text collate "C" not null constraint demo_user_kind_known check (kind in ('crowd', 'device')),
  look bytea not null
);
comment on table social.demo_users is 'Users made by the calls below /demo. Their rows in social.users are removed once what they did has been taken back.';
comment on column social.demo_users.user_id is 'The account.';
comment on column social.demo_users.kind is 'crowd: acts in simulations. device: one of the two who are shown side by side.';
comment on column social.demo_users.look is 'Row of the user in social.taken_names, removed with the user.';

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
comment on column social.sessions.id is 'Named in the access token as sid.';
comment on column social.sessions.user_id is 'Owner of the session.';
comment on column social.sessions.user_agent is 'User-Agent header at sign-in, cut to 200 characters, to recognise the device.';
comment on column social.sessions.network is 'Keyed hash of the network of the sign-in: from there an account can be signed in to while others guess its password. Null: unknown.';
comment on column social.sessions.provider_sid is 'Session at the identity provider: claim sid of its tokens, empty without one. Null: the session began with a sign-in here.';
comment on column social.sessions.created_at is 'Time of the sign-in.';
comment on column social.sessions.last_used_at is 'Time of the latest rotation of the refresh token.';
comment on column social.sessions.expires_at is 'End of the newest refresh token.';
comment on column social.sessions.revoked_at is 'Set by sign-out, by deletion of the session or the user, and by reuse of a spent refresh token; its sockets are closed with 4403.';

create index sessions_of_user on social.sessions (user_id, id);
comment on index social.sessions_of_user is 'Lists and deletes a user''s sessions.';

create unique index sessions_of_provider on social.sessions (user_id, provider_sid) where provider_sid is not null and revoked_at is null;
comment on index social.sessions_of_provider is 'Session of a token of the identity provider.';

create index sessions_by_expiry on social.sessions (expires_at);
comment on index social.sessions_by_expiry is 'Retention.';

create index sessions_revoked on social.sessions (revoked_at) where revoked_at is not null;
comment on index social.sessions_revoked is 'Sessions whose access tokens are refused.';

create table social.refresh_tokens (
  token_hash bytea primary key,
  session_id bigint not null references social.sessions (id) on delete cascade,
  predecessor bytea,
  created_at timestamptz not null default now(),
  used_at timestamptz
);
comment on table social.refresh_tokens is 'Every refresh token of a live session, hashed. Presenting a used one revokes its session (RFC 9700, section 4.14.2), unless it was used in the last 10 s and none of its successors was.';
comment on column social.refresh_tokens.token_hash is 'SHA-256 of the token, which has 256 random bits and is stored nowhere.';
comment on column social.refresh_tokens.session_id is 'The session it renews.';
comment on column social.refresh_tokens.predecessor is 'Hash of the token it was exchanged for; null: issued by a sign-up or sign-in. Without a foreign key: the predecessor may be removed first.';
comment on column social.refresh_tokens.created_at is 'Time of issue.';
comment on column social.refresh_tokens.used_at is 'Time of the first exchange for a successor.';

create index refresh_tokens_of_session on social.refresh_tokens (session_id);
comment on index social.refresh_tokens_of_session is 'Serves the cascade of the foreign key.';

create index refresh_tokens_by_age on social.refresh_tokens ((coalesce(used_at, created_at)));
comment on index social.refresh_tokens_by_age is 'Retention: tokens used, or issued and never used, so long ago that they prove nothing any more.';

create table social.follows (
  follower_id bigint not null references social.users (id) on delete no action,
  followee_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (follower_id, followee_id),
  constraint cannot_follow_self check (follower_id <> followee_id)
);
comment on table social.follows is 'Follows between users. The primary key lists whom a user follows.';
comment on column social.follows.follower_id is 'The user who follows.';
comment on column social.follows.followee_id is 'The user who is followed.';
comment on column social.follows.created_at is 'Start of the follow.';

create index follows_by_followee on social.follows (followee_id, follower_id);
comment on index social.follows_by_followee is 'Followers of a user.';

create table social.blocks (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
comment on table social.blocks is 'Blocks between users. A block is committed before the inbox of the blocker is locked: a batch that holds that lock came before the block, and later ones see it.';
comment on column social.blocks.user_id is 'The user who blocks.';
comment on column social.blocks.other_id is 'The user who is blocked.';
comment on column social.blocks.created_at is 'Start of the block.';

create index blocks_by_other on social.blocks (other_id, user_id);
comment on index social.blocks_by_other is 'Clean-up of a deleted user.';

create index blocks_by_time on social.blocks (created_at);
comment on index social.blocks_by_time is 'Blocks of the last seconds, for push nodes.';

create function social.either_blocks(one bigint, other bigint) returns boolean
  language plpgsql volatile strict
as $$
begin
  return exists (select from social.blocks b where b.user_id = either_blocks.one and b.other_id = either_blocks.other)
      or exists (select from social.blocks b where b.user_id = either_blocks.other and b.other_id = either_blocks.one);
end
$$;
comment on function social.either_blocks is 'Whether one of two users blocks the other at this moment. Volatile, so that it takes a snapshot of its own (PostgreSQL manual, "Function Volatility Categories"): a statement that has waited for a lock on the users sees a block committed meanwhile, which its own snapshot does not show.';

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
comment on table social.posts is 'Posts. fillfactor 70: folded counters change with every batch of likes and are in no index, so their updates stay on the page (HOT). The primary key serves the feed of everyone.';
comment on column social.posts.id is 'The post''s id; a string in the API.';
comment on column social.posts.author_id is 'The user who wrote it.';
comment on column social.posts.body is 'Text, 1 to 5,000 characters.';
comment on column social.posts.mentions is 'Users named with @username in the text: [{id, start, end}], offsets in UTF-16 code units; null: nobody.';
comment on column social.posts.like_count is 'Users who like it; folded by the consumer counters.';
comment on column social.posts.comment_count is 'Comments that are not deleted, replies included; folded by the consumer counters.';
comment on column social.posts.created_at is 'Time of the publication.';
comment on column social.posts.updated_at is 'Time of the latest edit.';
comment on column social.posts.deleted_at is 'Time of the deletion, set under for update: dispatch either comes before it, and the fan-out retracts the result, or sees it and does nothing.';

create index posts_of_author on social.posts (author_id, id desc) include (deleted_at);
comment on index social.posts_of_author is 'The feed of one user; and the newest post of each followed user, by the index alone.';

create index posts_by_words on social.posts using gin (to_tsvector('simple', body)) with (fastupdate = off) where deleted_at is null;
comment on index social.posts_by_words is 'Search of posts. Without the list of pending entries that a search would have to read through. The text is in no counter''s update, so those stay on the page (HOT).';

create table social.likes (
  post_id bigint not null references social.posts (id) on delete no action,
  user_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.likes is 'Likes of posts. The primary key serves the clean-up of a deleted user, and whether the viewer likes the posts of a page.';
comment on column social.likes.post_id is 'The post that is liked.';
comment on column social.likes.user_id is 'The user who likes it.';
comment on column social.likes.created_at is 'Time of the like.';

create index likes_of_post on social.likes (post_id, created_at, user_id);
comment on index social.likes_of_post is 'Users who like a post, latest first. A like writes two indexes, no more.';

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
comment on column social.comments.id is 'The comment''s id; a string in the API.';
comment on column social.comments.post_id is 'The post it belongs to.';
comment on column social.comments.parent_id is 'The comment it answers, of the same post; null on the first level.';
comment on column social.comments.author_id is 'The user who wrote it.';
comment on column social.comments.body is 'Text, 1 to 2,000 characters; emptied when the comment is deleted.';
comment on column social.comments.mentions is 'As in social.posts; null also when the comment is deleted.';
comment on column social.comments.reply_count is 'Replies that are not deleted; folded by the consumer counters.';
comment on column social.comments.created_at is 'Time of the publication.';
comment on column social.comments.updated_at is 'Time of the latest edit.';
comment on column social.comments.deleted_at is 'Time of the deletion, set under for update; the row stays as long as the post, so that replies keep their place.';

create index comments_of_post on social.comments (post_id, parent_id, id);
comment on index social.comments_of_post is 'A page of a thread.';

create index comments_of_parent on social.comments (parent_id) where parent_id is not null;
comment on index social.comments_of_parent is 'Serves the foreign key.';

create index comments_of_author on social.comments (author_id, id);
comment on index social.comments_of_author is 'Clean-up of a deleted user.';

create index comments_by_deletion on social.comments (deleted_at) where deleted_at is not null;
comment on index social.comments_by_deletion is 'Comments that were deleted in the last seconds, for push nodes.';

create index comments_by_edit on social.comments (updated_at) where updated_at > created_at;
comment on index social.comments_by_edit is 'Comments that were edited in the last seconds, for push nodes.';

create table social.bookmarks (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  id bigint generated always as identity,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.bookmarks is 'Posts that a user keeps; nobody else sees them.';
comment on column social.bookmarks.user_id is 'The user who keeps it.';
comment on column social.bookmarks.post_id is 'The post that is kept.';
comment on column social.bookmarks.id is 'Order of keeping: the newest is listed first.';
comment on column social.bookmarks.created_at is 'Time of the bookmark.';

create index bookmarks_of_user on social.bookmarks (user_id, id desc);
comment on index social.bookmarks_of_user is 'A page of a user''s bookmarks.';

create index bookmarks_of_post on social.bookmarks (post_id);
comment on index social.bookmarks_of_post is 'Clean-up of a deleted post.';

create table social.mutes (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  until timestamptz,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
comment on table social.mutes is 'Users whose actions another user is not notified of.';
comment on column social.mutes.user_id is 'The user who mutes.';
comment on column social.mutes.other_id is 'The user who is muted.';
comment on column social.mutes.until is 'End of the mute; null: until it is removed.';
comment on column social.mutes.created_at is 'Start of the mute.';

create index mutes_by_other on social.mutes (other_id, user_id);
comment on index social.mutes_by_other is 'Clean-up of a deleted user.';

create table social.thread_mutes (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
comment on table social.thread_mutes is 'Posts below which nothing notifies the user.';
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
comment on table social.bells is 'Subscriptions to every post of an author. The primary key is the order in which a fan-out walks an audience: by user, as inboxes are stored; the shards in it separate the lanes.';
comment on column social.bells.author_id is 'The author of the posts.';
comment on column social.bells.user_id is 'The subscriber.';
comment on column social.bells.shard is 'Shard of the subscriber: a chunk of a fan-out stays inside one lane, and so on one node.';
comment on column social.bells.created_at is 'Start of the subscription.';

create index bells_of_user on social.bells (user_id, author_id);
comment on index social.bells_of_user is 'Clean-up of a deleted user.';

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
comment on table social.media_contents is 'Files, each stored once however often it is uploaded. A row without sha256 belongs to an upload under way, or to one that broke off and is removed an hour later.';
comment on column social.media_contents.id is 'Internal number of the file.';
comment on column social.media_contents.sha256 is 'SHA-256 of the file as it is stored, without the metadata that was removed; set with the last chunk.';
comment on column social.media_contents.mime is 'Type read from the first bytes, whatever the client called it.';
comment on column social.media_contents.extension is 'File name extension for this type.';
comment on column social.media_contents.size is 'Bytes; set with sha256.';
comment on column social.media_contents.width is 'Of an image: pixels as it is shown, turned as its header has it; null where the header does not have it.';
comment on column social.media_contents.height is 'As width.';
comment on column social.media_contents.created_at is 'Start of the upload.';

create index media_contents_unfinished on social.media_contents (created_at) where sha256 is null;
comment on index social.media_contents_unfinished is 'Clean-up of uploads that broke off.';

create table social.media_chunks (
  content_id bigint not null references social.media_contents (id) on delete cascade,
  number integer not null,
  bytes bytea not null,
  primary key (content_id, number)
);
comment on table social.media_chunks is 'The bytes of a file, 256 KiB a row; written and read row by row, so that neither a process nor a connection holds a whole file.';
comment on column social.media_chunks.content_id is 'The file.';
comment on column social.media_chunks.number is 'From 0; each chunk but the last has 262,144 bytes.';
comment on column social.media_chunks.bytes is 'Not compressed (storage external): media already are, and ranges of it are read alone.';

-- `create table` takes it from PostgreSQL 16 on.
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
comment on table social.media is 'Uploaded media: each in one post, as the picture of a profile, or not used yet.';
comment on column social.media.id is '128 random bits in base64url: anyone who has it may see the file.';
comment on column social.media.owner_id is 'The user who uploaded it, and alone may use it.';
comment on column social.media.content_id is 'The file.';
comment on column social.media.post_id is 'The post that shows it, if any.';
comment on column social.media.position is 'Its place in the post, from 1.';
comment on column social.media.alt is 'Text for people who do not see it, from its owner; null: none.';
comment on column social.media.unused_since is 'Null while a post or a profile shows it; removed a day after this.';
comment on column social.media.created_at is 'End of the upload.';

create index media_of_owner on social.media (owner_id, id);
comment on index social.media_of_owner is 'The quota, and clean-up of a deleted user.';

create index media_of_content on social.media (content_id);
comment on index social.media_of_content is 'Whether a file is still used.';

create unique index media_of_post on social.media (post_id, position) where post_id is not null;
comment on index social.media_of_post is 'The media of a post, in order.';

create index media_unused on social.media (unused_since) where unused_since is not null;
comment on index social.media_unused is 'Clean-up of media that nothing shows.';

-- Users have media and media have owners.
alter table social.users add constraint avatar_is_a_medium foreign key (avatar_media_id) references social.media (id) on delete no action;

create table social.media_uploads (
  id bigint generated always as identity primary key,
  owner_id bigint not null references social.users (id) on delete no action,
  bytes bigint not null constraint upload_reserves_bytes check (bytes > 0),
  begun_at timestamptz not null default now()
);
comment on table social.media_uploads is 'Uploads under way and the space they reserve; removed with the response. Rows of a killed process count for ten minutes and are then removed.';
comment on column social.media_uploads.id is 'Number of the upload.';
comment on column social.media_uploads.owner_id is 'The user who uploads.';
comment on column social.media_uploads.bytes is 'Bytes that the client announced, or the maximum of a file.';
comment on column social.media_uploads.begun_at is 'Start of the upload.';

create index media_uploads_of_owner on social.media_uploads (owner_id);
comment on index social.media_uploads_of_owner is 'The quota.';

create unlogged table social.rate_limits (
  key text collate "C" primary key,
  points integer not null default 0,
  expire bigint
);
comment on table social.rate_limits is 'Requests counted for all processes together: sign-ins, sign-ups, calls of admins. Not logged: after a crash counting starts anew.';
comment on column social.rate_limits.key is 'Policy and what it counts by: sign-in:192.0.2.1, admin:17.';
comment on column social.rate_limits.points is 'Requests in this period.';
comment on column social.rate_limits.expire is 'End of the period, in milliseconds since 1970.';

create index rate_limits_by_expiry on social.rate_limits (expire);
comment on index social.rate_limits_by_expiry is 'Retention.';

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
comment on table social.segments is 'Named sets of users, for broadcasts. A broadcast keeps a copy, so that a segment may be changed and deleted.';
comment on column social.segments.id is 'Id in the API.';
comment on column social.segments.name is 'Name for people.';
comment on column social.segments.rule is 'Rule as in the API: all, any and not of conditions on one user; null: it has a query.';
comment on column social.segments.query is 'A select of user ids, run by social.users_of_query; null: it has a rule.';
comment on column social.segments.created_at is 'Time it was made.';
comment on column social.segments.updated_at is 'Time of the last change.';

create function social.users_of_query(query text) returns setof bigint
  language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if current_user <> 'ravenpost_readonly' then
    raise exception 'segments in SQL need the role ravenpost_readonly, which does not own this function; docs/security.md says what to do'
      using errcode = 'feature_not_supported';
  end if;
  return query execute 'select distinct user_id::bigint from (' || query || ') as segment (user_id) where user_id is not null';
end $$;
comment on function social.users_of_query is 'User ids that a segment in SQL selects. Runs as ravenpost_readonly, which owns it: inside, the role cannot be changed, nothing can be written, and secrets cannot be read. The caller sets statement_timeout.';
