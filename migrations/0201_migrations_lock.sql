-- The lock of migrations is a row of ours: anybody may hold an advisory lock.

comment on table notify.migrations is 'Migrations that were run, in the order of their names; new ones only follow.';
comment on table notify.migrations_lock is 'One row, locked by the process that migrates; others wait for it.';
