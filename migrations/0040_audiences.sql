-- Audiences: who asked to be told of every post of somebody, and the fan-outs that tell them.

create table social.bells (
  author_id bigint not null references social.users (id) on delete no action,
  user_id bigint not null references social.users (id) on delete no action,
  shard smallint not null generated always as (notify.shard_of(user_id)) stored,
  created_at timestamptz not null default now(),
  primary key (author_id, user_id) include (shard),
  constraint cannot_ring_for_self check (author_id <> user_id)
);
create index bells_of_user on social.bells (user_id, author_id);
comment on table social.bells is 'Who wants to be told of every post of whom. The primary key is the order in which a fan-out walks an audience: by user, since inboxes lie in that order too; its shards tell the lanes apart. Index bells_of_user: clean-up of a deleted user.';
comment on column social.bells.author_id is 'Whose posts.';
comment on column social.bells.shard is 'Shard of the subscriber: a chunk of a fan-out stays inside one lane, and so on one node.';
comment on column social.bells.user_id is 'Who is told.';
comment on column social.bells.created_at is 'Since when.';

alter table notify.fan_outs
  drop constraint fan_out_kind_known,
  drop constraint fan_out_once,
  add first_shard smallint not null default 0,
  add last_shard smallint not null default 31,
  add event jsonb,
  add except_ids bigint[] not null default '{}',
  add constraint fan_out_kind_known check (kind in ('retract_post', 'retract_comment', 'delete_user', 'publish_post')),
  add constraint fan_out_once unique (kind, object_id, last_shard);
comment on table notify.fan_outs is 'Long work done in chunks, each one transaction that moves the cursor: retracting a deleted post or comment from every inbox, cleaning up after a deleted user, telling an audience. An audience has a row per lane, so that lanes are told side by side. Index fan_outs_unfinished: what is left to do.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment, delete_user or publish_post.';
comment on column notify.fan_outs.object_id is 'The post, comment or user that was deleted; the post that was published.';
comment on column notify.fan_outs.created_at is 'When the deletion or the post was committed.';
comment on column notify.fan_outs.finished_at is 'When nothing was left to do, or the post was deleted before that.';
comment on column notify.fan_outs.cursor_user_id is 'Users up to this one are done; of an audience, those of the row''s shards.';
comment on column notify.fan_outs.first_shard is 'First shard of the row''s part of an audience.';
comment on column notify.fan_outs.last_shard is 'Last shard of the row''s part of an audience.';
comment on column notify.fan_outs.event is 'What an audience is told: an event without recipient. Null: no audience.';
comment on column notify.fan_outs.except_ids is 'Those of an audience who are told by an event of their own, for a more specific reason.';
