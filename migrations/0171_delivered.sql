-- Which states a delivery can have with the channels there are.

comment on column notify.deliveries.state is 'queued, deferred (until due_at), sent (the mail server or push service took it), failed, bounced (the address was refused), skipped or cancelled (with reason). While a worker sends, the row stays queued and due_at is the end of its lease. delivered is for channels whose provider says that a message arrived; mail servers and push services do not.';
