-- A follow and a block of the same instant: the follow looks at blocks again once it has the locks on both users.

create function social.either_blocks(one bigint, other bigint) returns boolean
  language plpgsql volatile strict
as $$
begin
  return exists (select from social.blocks b where b.user_id = either_blocks.one and b.other_id = either_blocks.other)
      or exists (select from social.blocks b where b.user_id = either_blocks.other and b.other_id = either_blocks.one);
end
$$;
comment on function social.either_blocks(bigint, bigint) is 'Whether one of two users blocks the other at this moment. Volatile, so that it takes a snapshot of its own (PostgreSQL manual, "Function Volatility Categories"): a statement that has waited for a lock on the users sees a block committed meanwhile, which its own snapshot does not show.';
