-- What a send answers counts each recipient once, as its progress does.

comment on column notify.sends.duplicates is 'Recipients, each counted once, who had been sent it before.';
