-- Reading, archiving, deleting or seeing all of a large inbox: a request does what it can in half a second, the rest goes in chunks.

alter table notify.fan_outs
  drop constraint fan_out_kind_known,
  add constraint fan_out_kind_known
    check (kind in ('retract_post', 'retract_comment', 'delete_user', 'publish_post', 'end_sources', 'retract_actor',
                    'read_inbox', 'archive_inbox', 'delete_inbox', 'see_inbox'));
comment on table notify.fan_outs is 'Long work done in chunks, each one transaction that moves the cursor: retracting a deleted post or comment from every inbox, cleaning up after a deleted user, notifying an audience, ending the sources of large groups that were removed, taking a blocked user out of the blocker''s inbox, changing all of a large inbox. An audience has a row per lane, so that lanes are served side by side. Index fan_outs_unfinished: what is left to do.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment, delete_user, publish_post, end_sources, retract_actor, read_inbox, archive_inbox, delete_inbox or see_inbox.';
comment on column notify.fan_outs.cursor_user_id is 'Users up to this one are done; of an audience, those of the row''s shards. Of end_sources: tombstones up to this modseq; of retract_actor: notifications from this id on, 0 for none yet. Of read_inbox, archive_inbox, delete_inbox and see_inbox: what grew at or before this modseq is left.';
