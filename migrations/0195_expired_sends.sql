-- A send that has expired before it is dispatched notifies nobody.

comment on column notify.sources.decision is 'What was decided: shown, rejoined, waiting, retracted, stale_group, suppressed, filtered, object_gone, removed, expired (its notification, or the send before it was dispatched).';
