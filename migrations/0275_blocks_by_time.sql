-- Push nodes read the blocks of the last seconds, so that watched posts that one hides are watched no longer.
create index blocks_by_time on social.blocks (created_at);

comment on table social.blocks is 'Who blocks whom. Written while the blocker''s inbox row is locked, so that a batch under way either sees the block or comes before it. Index blocks_by_other: clean-up of a deleted user. Index blocks_by_time: those of the last seconds, for push nodes.';
