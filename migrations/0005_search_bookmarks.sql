-- Finding people by name, keeping posts, and following one request through the system.

create extension if not exists pg_trgm;

create index users_by_username on social.users (username collate "C") where deleted_at is null;
create index users_by_display_name on social.users (lower(display_name) collate "C", id) where deleted_at is null;
create index users_by_part_of_name on social.users using gin (username gin_trgm_ops, lower(display_name) gin_trgm_ops) where deleted_at is null;
comment on table social.users is 'Accounts. fillfactor 80: the folded counters change often and touch no index, so their updates stay on the page (HOT). Indexes of the search: users_by_username and users_by_display_name, names that begin with what was typed, in order; users_by_part_of_name, names that contain it.';

create table social.bookmarks (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  id bigint generated always as identity,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
create index bookmarks_of_user on social.bookmarks (user_id, id desc);
create index bookmarks_of_post on social.bookmarks (post_id);
comment on table social.bookmarks is 'Posts that somebody keeps; nobody else sees it. Index bookmarks_of_user: a page of them; bookmarks_of_post: clean-up of a deleted post.';
comment on column social.bookmarks.user_id is 'Who keeps it.';
comment on column social.bookmarks.post_id is 'What is kept.';
comment on column social.bookmarks.id is 'Order of keeping: the newest is listed first.';
comment on column social.bookmarks.created_at is 'Since when.';

alter table notify.notifications add column request_id text;
comment on column notify.notifications.request_id is 'Request behind the newest event in it; the log of the push node names it when the notification goes out.';

drop index social.posts_of_author;
create index posts_of_author on social.posts (author_id, id desc) include (deleted_at);
comment on table social.posts is 'Posts. fillfactor 70: the folded counters of a liked post change with every batch and touch no index, so their updates stay on the page (HOT). Index posts_of_author: the feed of one user, and the newest post of each followed one without a look at the table; the primary key serves the feed of everyone.';
