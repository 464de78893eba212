-- Why says what kept a notification from a channel, also when nobody could be reached by it or strangers are held back.

create function notify.why(user_id bigint, notification_id bigint)
  returns table (channel text, decision text, decided_by text, reason text, until timestamptz, at timestamptz)
  language sql stable
  begin atomic
    select 'inApp', case when s.decision in ('suppressed', 'filtered') then 'suppress' when s.decision = 'waiting' then 'defer' else 'allow' end,
           coalesce(s.decided_by, 'source'),
           case s.decision
             when 'filtered' then case n.filter_reason when 'strangers' then 'the policy for strangers holds it back' else 'wanted by another channel only' end
             when 'waiting' then 'waits for the window of its group'
             when 'rejoined' then 'was shown, taken back and came again'
             when 'retracted' then 'was taken back'
             else case s.decided_by when 'critical' then 'critical notifications pass every preference'
                    when 'typePreference' then 'the user switched this type on for this channel'
                    when 'typeDefault' then 'this channel is on by default for this type'
                    when 'dnd' then 'the user wants quiet: shown silently' when 'snooze' then 'the user wants quiet: shown silently'
                    else s.decision end
           end, w.due_at, s.decided_at
    from notify.notifications n
    cross join lateral (
      select distinct on (k.decision, k.decided_by) k.* from notify.sources k
      where k.user_id = n.user_id and k.notification_id = n.id order by k.decision, k.decided_by, k.event_id desc) s
    left join notify.windows w on w.user_id = s.user_id and w.group_key = s.waits_for and w.filter = s.waits_filter
    where n.user_id = why.user_id and n.id = why.notification_id
    union all
    select c.channel, case when kept.by is null then said.decision else 'suppress' end, coalesce(kept.by, said.by),
           case kept.by when 'strangers' then 'the policy for strangers holds it back' when 'unreachable' then c.unreachable else said.reason end,
           case when kept.by is null then said.until end, now()
    from notify.notifications n
    join notify.inbox i on i.user_id = n.user_id
    cross join (values ('email', 'the user has confirmed no address'), ('webPush', 'no browser of the user takes pushes')) c (channel, unreachable)
    cross join lateral notify.explain(n.user_id, n.type, c.channel, now()) e
    cross join lateral (
      select case when n.priority = 'critical' then 'allow' else e.decision end, case when n.priority = 'critical' then 'critical' else e.decided_by end,
             case when n.priority = 'critical' then 'critical notifications pass every preference' else e.reason end,
             case when n.priority <> 'critical' then e.until end
    ) said (decision, by, reason, until)
    cross join lateral (
      select case when n.filter_reason = 'strangers' then 'strangers'
                  when said.decision <> 'suppress' and not c.channel = any (i.reachable_by) then 'unreachable' end
    ) kept (by)
    where n.user_id = why.user_id and n.id = why.notification_id;
  end;
comment on function notify.why(bigint, bigint) is 'What was decided about a notification: for the app what was decided then, the latest of each kind; for email and webPush what the preferences say now, as it is decided again when sending (notify.deliveries shows what came of it).';

create or replace function notify.timeline(user_id bigint)
  returns table (at timestamptz, what text, notification_id bigint, type text, source_id text, decided_by text)
  language sql stable
  begin atomic
    select t.* from (
      select n.created_at, 'created', n.id, n.type, null::text, n.filter_reason from notify.notifications n where n.user_id = timeline.user_id
      union all select n.updated_at, 'grew', n.id, n.type, null, null from notify.notifications n where n.user_id = timeline.user_id and n.updated_at > n.created_at
      union all select n.delivered_at, 'delivered', n.id, n.type, null, null from notify.notifications n where n.user_id = timeline.user_id and n.delivered_at is not null
      union all select n.read_at, 'read', n.id, n.type, null, null from notify.notifications n where n.user_id = timeline.user_id and n.read_at is not null
      union all select n.archived_at, 'archived', n.id, n.type, null, null from notify.notifications n where n.user_id = timeline.user_id and n.archived_at is not null
      union all select s.decided_at, s.decision, s.notification_id, null, s.source_id, s.decided_by from notify.sources s where s.user_id = timeline.user_id
      union all select b.removed_at, 'removed', b.id, null, null, null from notify.tombstones b where b.user_id = timeline.user_id
      union all select d.updated_at, d.channel || ' ' || d.state, nullif(d.notification_id, 0), null, null, coalesce(d.reason, d.last_error)
                from notify.deliveries d where d.user_id = timeline.user_id
    ) t (at, what, notification_id, type, source_id, decided_by)
    order by 1 desc, 3 desc nulls last;
  end;
comment on function notify.timeline(bigint) is 'What happened to a user''s inbox, latest first: notifications made, grown, delivered, read, archived and removed, what became of each source and why, and what went out by email and Web Push, or did not, and why.';
