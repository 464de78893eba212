import type pg from 'pg'

/**
 * Records which transaction shows which source, grows which notification and ends which window. Uses triggers, because a
 * retraction overwrites the decision of a source.
 */
export async function auditWindows(pool: pg.Pool): Promise<void> {
  await pool.query(`
    create schema audit;
    create table audit.shown (xid xid8 not null default pg_current_xact_id(), user_id bigint, source_id text, notification_id bigint, waited boolean);
    create table audit.grown (xid xid8 not null default pg_current_xact_id(), user_id bigint, notification_id bigint, modseq bigint);
    create table audit.flushed (xid xid8 not null default pg_current_xact_id(), user_id bigint, group_key text);
    create function audit.note_flushed() returns trigger language plpgsql as $$
    begin
      insert into audit.flushed (user_id, group_key) values (old.user_id, old.group_key);
      return null;
    end $$;
    create trigger note_flushed after delete on notify.windows for each row execute function audit.note_flushed();
    create function audit.note_shown() returns trigger language plpgsql as $$
    begin
      if new.decision in ('shown', 'filtered') and new.live and (tg_op = 'INSERT' or not old.live) then
        insert into audit.shown (user_id, source_id, notification_id, waited)
        values (new.user_id, new.source_id, new.notification_id, tg_op = 'UPDATE' and old.waits_for is not null);
      end if;
      return null;
    end $$;
    create function audit.note_grown() returns trigger language plpgsql as $$
    begin
      if tg_op = 'INSERT' or new.grown_modseq <> old.grown_modseq then
        insert into audit.grown (user_id, notification_id, modseq) values (new.user_id, new.id, new.grown_modseq);
      end if;
      return null;
    end $$;
    create trigger note_shown after insert or update on notify.sources for each row execute function audit.note_shown();
    create trigger note_grown after insert or update on notify.notifications for each row execute function audit.note_grown()`)
}

/** Returns the faults, one per row. Call it when every event is read and every window is flushed. */
export async function wrongs(pool: pg.Pool): Promise<unknown[]> {
  const { rows } = await pool.query(`
    select 'shown twice' as what, user_id, source_id as which, count(*)::text as detail
    from audit.shown group by user_id, source_id having count(*) > 1
    union all
    select 'flushed for nobody', g.user_id, g.notification_id::text, g.modseq::text
    from audit.grown g
    where exists (select from audit.flushed f where f.xid = g.xid)
      and not exists (select from audit.shown s where s.xid = g.xid and s.waited and s.user_id = g.user_id and s.notification_id = g.notification_id)
    union all
    select 'grew twice at once', user_id, notification_id::text, xid::text
    from audit.grown group by user_id, notification_id, xid having count(*) > 1
    union all
    select 'still waits', user_id, source_id, waits_for from notify.sources where waits_for is not null
    union all
    select 'a window without end', user_id, group_key, due_at::text from notify.windows
    union all
    select 'counted nowhere', s.user_id, s.source_id, s.decision
    from notify.sources s
    where s.live and not exists (select from notify.notifications n where n.user_id = s.user_id and n.id = s.notification_id)
    union all
    select 'wrong count', n.user_id, n.id::text, n.actor_count || ' instead of ' || c.people
    from notify.notifications n
    cross join lateral (
      select count(distinct s.actor_id) as people from notify.sources s
      where s.user_id = n.user_id and s.notification_id = n.id and s.live and s.actor_id <> 0) c
    where n.actor_count <> c.people
    union all
    select 'drift', id, counter, to_jsonb(d)::text from ops.count_drift d where counter like 'inbox.%' or counter like 'notifications.%'`)
  return rows
}
