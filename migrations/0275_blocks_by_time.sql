-- Push nodes read the blocks of the last seconds, so that watched posts that one hides are watched no longer.
create index blocks_by_time on social.blocks (created_at);

comment on table social.blocks is 'Blocks between users. A block is committed before the inbox of the blocker is locked: a batch that has locked it came before the block, and later ones see it. Index blocks_by_other: clean-up of a deleted user. Index blocks_by_time: those of the last seconds, for push nodes.';
