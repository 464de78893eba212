-- What people do: accounts, follows, posts, likes, comments, blocks.
-- Counters here are folded from the outbox by the consumer `counters`; no request ever writes them.

create schema social;
comment on schema social is 'What people do: accounts, follows, posts, likes, comments, blocks. Written by the api.';

create table social.users (
  id bigint generated always as identity primary key,
  username text not null constraint username_well_formed check (username ~ '^[a-z0-9_]{3,30}$'),
  email text not null,
  password_hash text not null,
  display_name text not null constraint display_name_length check (length(display_name) between 1 and 100),
  bio text not null default '' constraint bio_length check (length(bio) <= 500),
  avatar_media_id text,
  role text not null default 'user' constraint role_known check (role in ('user', 'admin')),
  follower_count integer not null default 0,
  following_count integer not null default 0,
  post_count integer not null default 0,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint username_taken unique (username)
) with (fillfactor = 80);
create unique index email_taken on social.users (lower(email));
comment on table social.users is 'Accounts. fillfactor 80: the folded counters change often and touch no index, so their updates stay on the page (HOT).';
comment on column social.users.id is 'The account''s id; a string in the API.';
comment on column social.users.username is 'Name people are mentioned by: 3 to 30 of a-z, 0-9 and _.';
comment on column social.users.email is 'Address, unique without regard to case (index email_taken); only its owner sees it.';
comment on column social.users.password_hash is 'argon2id in PHC string format.';
comment on column social.users.display_name is 'Name shown to people, 1 to 100 characters.';
comment on column social.users.bio is 'A few words about oneself, 500 characters at most.';
comment on column social.users.avatar_media_id is 'Picture of the profile, if any.';
comment on column social.users.role is 'user or admin.';
comment on column social.users.follower_count is 'How many follow this user; folded by the consumer counters.';
comment on column social.users.following_count is 'How many this user follows; folded by the consumer counters.';
comment on column social.users.post_count is 'How many posts of this user stand; folded by the consumer counters.';
comment on column social.users.created_at is 'When the account was made.';
comment on column social.users.deleted_at is 'Set when the account is deleted: name, address and password are overwritten at once, what the user did is taken back in chunks, and the row stays as the author of emptied comments.';

create table social.sessions (
  id bigint generated always as identity primary key,
  user_id bigint not null references social.users (id) on delete no action,
  user_agent text not null default '',
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create index sessions_of_user on social.sessions (user_id, id);
create index sessions_by_expiry on social.sessions (expires_at);
comment on table social.sessions is 'One row per sign-in on one device. Index sessions_of_user: listing and deleting a user''s sessions; sessions_by_expiry: retention.';
comment on column social.sessions.id is 'Named in the access token as sid.';
comment on column social.sessions.user_id is 'Whose session.';
comment on column social.sessions.user_agent is 'User-Agent header at sign-in, cut to 200 characters, to recognise the device.';
comment on column social.sessions.created_at is 'When the user signed in.';
comment on column social.sessions.last_used_at is 'When the refresh token was last rotated.';
comment on column social.sessions.expires_at is 'When the newest refresh token ends.';
comment on column social.sessions.revoked_at is 'Set by sign-out, by deletion of the session or the user, and by reuse of a spent refresh token; its sockets are closed with 4403.';

create table social.refresh_tokens (
  token_hash bytea primary key,
  session_id bigint not null references social.sessions (id) on delete cascade,
  created_at timestamptz not null default now(),
  used_at timestamptz
);
create index refresh_tokens_of_session on social.refresh_tokens (session_id);
comment on table social.refresh_tokens is 'Every refresh token ever given to a living session, hashed. Presenting one that was used already revokes its session (RFC 9700, section 4.14.2).';
comment on column social.refresh_tokens.token_hash is 'SHA-256 of the token; the token itself has 256 random bits and is stored nowhere.';
comment on column social.refresh_tokens.session_id is 'The session it renews. Index refresh_tokens_of_session serves the cascade.';
comment on column social.refresh_tokens.created_at is 'When it was given out.';
comment on column social.refresh_tokens.used_at is 'When it was exchanged for its successor.';

create table social.follows (
  follower_id bigint not null references social.users (id) on delete no action,
  followee_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (follower_id, followee_id),
  constraint cannot_follow_self check (follower_id <> followee_id)
);
create index follows_by_followee on social.follows (followee_id, follower_id);
comment on table social.follows is 'Who follows whom. Primary key: whom do I follow; index follows_by_followee: who follows me.';
comment on column social.follows.follower_id is 'Who follows.';
comment on column social.follows.followee_id is 'Who is followed.';
comment on column social.follows.created_at is 'Since when.';

create table social.blocks (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
create index blocks_by_other on social.blocks (other_id, user_id);
comment on table social.blocks is 'Who blocks whom. Written while the blocker''s inbox row is locked, so that a batch under way either sees the block or comes before it. Index blocks_by_other: clean-up of a deleted user.';
comment on column social.blocks.user_id is 'Who blocks.';
comment on column social.blocks.other_id is 'Who is blocked.';
comment on column social.blocks.created_at is 'Since when.';

create table social.posts (
  id bigint generated always as identity primary key,
  author_id bigint not null references social.users (id) on delete no action,
  body text not null constraint post_body_length check (length(body) between 1 and 5000),
  like_count integer not null default 0,
  comment_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
) with (fillfactor = 70);
create index posts_of_author on social.posts (author_id, id desc);
comment on table social.posts is 'Posts. fillfactor 70: the folded counters of a liked post change with every batch and touch no index, so their updates stay on the page (HOT). Index posts_of_author: the feed of one user; the primary key serves the feed of everyone.';
comment on column social.posts.id is 'The post''s id; a string in the API.';
comment on column social.posts.author_id is 'Who wrote it.';
comment on column social.posts.body is 'Text, 1 to 5,000 characters.';
comment on column social.posts.like_count is 'How many like it; folded by the consumer counters.';
comment on column social.posts.comment_count is 'How many comments stand, replies among them; folded by the consumer counters.';
comment on column social.posts.created_at is 'When it was written.';
comment on column social.posts.updated_at is 'When it was last edited.';
comment on column social.posts.deleted_at is 'The mark of deletion, set under for update: what dispatch does with this post is either before it, and retracted by the fan-out, or sees it and does nothing.';

create table social.likes (
  post_id bigint not null references social.posts (id) on delete no action,
  user_id bigint not null references social.users (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (post_id, user_id)
);
create index likes_of_user on social.likes (user_id, post_id);
comment on table social.likes is 'Who likes what. Index likes_of_user: what a deleted user liked, and whether the viewer likes the posts of a page.';
comment on column social.likes.post_id is 'What is liked.';
comment on column social.likes.user_id is 'Who likes it.';
comment on column social.likes.created_at is 'Since when.';

create table social.comments (
  id bigint generated always as identity primary key,
  post_id bigint not null references social.posts (id) on delete no action,
  parent_id bigint references social.comments (id) on delete no action,
  author_id bigint not null references social.users (id) on delete no action,
  body text not null constraint comment_body_length check (length(body) <= 2000),
  reply_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
) with (fillfactor = 80);
create index comments_of_post on social.comments (post_id, parent_id, id);
create index comments_of_parent on social.comments (parent_id) where parent_id is not null;
create index comments_of_author on social.comments (author_id, id);
comment on table social.comments is 'Comments and their replies. Index comments_of_post: a page of a thread; comments_of_parent: the check of the foreign key; comments_of_author: clean-up of a deleted user.';
comment on column social.comments.id is 'The comment''s id; a string in the API.';
comment on column social.comments.post_id is 'The post it stands under.';
comment on column social.comments.parent_id is 'The comment it answers, of the same post; null on the first level.';
comment on column social.comments.author_id is 'Who wrote it.';
comment on column social.comments.body is 'Text, 1 to 2,000 characters; emptied when the comment is deleted.';
comment on column social.comments.reply_count is 'How many replies stand; folded by the consumer counters.';
comment on column social.comments.created_at is 'When it was written.';
comment on column social.comments.updated_at is 'When it was last edited.';
comment on column social.comments.deleted_at is 'The mark of deletion, set under for update; the row stays while the post stands, so that replies keep their place.';
