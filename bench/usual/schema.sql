-- What a usual application keeps for the same features; tables without settings or indexes it does not need.
create table users (
  id bigint generated always as identity primary key,
  username text not null unique,
  email text not null unique,
  password_hash text not null,
  display_name text not null,
  follower_count integer not null default 0,
  created_at timestamptz not null default now()
);
create table follows (
  follower_id bigint not null references users (id),
  followee_id bigint not null references users (id),
  created_at timestamptz not null default now(),
  primary key (follower_id, followee_id)
);
create table blocks (
  user_id bigint not null references users (id),
  other_id bigint not null references users (id),
  primary key (user_id, other_id)
);
create table posts (
  id bigint generated always as identity primary key,
  author_id bigint not null references users (id),
  body text not null,
  like_count integer not null default 0,
  created_at timestamptz not null default now()
);
create table likes (
  post_id bigint not null references posts (id),
  user_id bigint not null references users (id),
  created_at timestamptz not null default now(),
  primary key (post_id, user_id)
);
create table notifications (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id),
  source_id text not null,
  type text not null,
  actor_id bigint not null references users (id),
  object_id bigint not null,
  data jsonb not null,
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  read_at timestamptz,
  unique (user_id, source_id)
);
create index notifications_of_user on notifications (user_id, id desc);
create index notifications_unread on notifications (user_id) where read_at is null;
-- Only the variant with an outbox of its own writes here.
create table outbox (
  id bigint generated always as identity primary key,
  job jsonb not null
);
