-- Large groups: what a removal or a block leaves to do goes in chunks.

alter table notify.fan_outs
  drop constraint fan_out_kind_known,
  drop constraint fan_out_once,
  add actor_id bigint not null default 0,
  add up_to bigint,
  add constraint fan_out_kind_known
    check (kind in ('retract_post', 'retract_comment', 'delete_user', 'publish_post', 'end_sources', 'retract_actor')),
  add constraint fan_out_once unique (kind, object_id, actor_id, last_shard);
comment on table notify.fan_outs is 'Long work done in chunks, each one transaction that moves the cursor: retracting a deleted post or comment from every inbox, cleaning up after a deleted user, notifying an audience, ending the sources of large groups that were removed, taking a blocked user out of the blocker''s inbox. An audience has a row per lane, so that lanes are served side by side. Index fan_outs_unfinished: what is left to do.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment, delete_user, publish_post, end_sources or retract_actor.';
comment on column notify.fan_outs.object_id is 'The post, comment or user that was deleted; the post that was published; the user whose inbox it is.';
comment on column notify.fan_outs.cursor_user_id is 'Users up to this one are done; of an audience, those of the row''s shards. Of end_sources: tombstones up to this modseq; of retract_actor: notifications from this id on, 0 for none yet.';
comment on column notify.fan_outs.actor_id is 'Of retract_actor: who was blocked; otherwise 0.';
comment on column notify.fan_outs.up_to is 'Of retract_actor: later events are not taken back. Drawn with the first chunk, or when the block ends before that.';

comment on column notify.sources.live is 'True while it counts among the actors of notification_id. Where that notification is gone it means nothing: sources of a large group are ended in chunks after it was removed.';
