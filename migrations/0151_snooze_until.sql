-- The end of a snooze is read in one place, for who sends as for who explains, and fails for no document.

create function notify.snooze_until(said text, at timestamptz) returns timestamptz
  language plpgsql stable strict parallel safe
as $$
declare
  p text[] := regexp_match(said, '^(?!0000)(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)(?:Z|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)$', 'i');
  until timestamptz;
begin
  if p is null then return null; end if;
  -- No cast of the whole: PostgreSQL knows no zone that is a day away from UTC.
  until := (make_date(p[1]::int, p[2]::int, 1) + (p[3]::int - 1) + date_trunc('milliseconds', p[4]::time)) at time zone 'UTC'
    - coalesce(p[5] || ':' || coalesce(p[6], '00'), '00:00')::interval;
  return case when until > at then until end;
end
$$;
comment on function notify.snooze_until(text, timestamptz) is 'The end of a snooze until an RFC 3339 time, to the millisecond; null when it is over at the given moment, and for what is no such time.';

create or replace function notify.explain(user_id bigint, type text, channel text, at timestamptz default now())
  returns table (decision text, decided_by text, reason text, until timestamptz)
  language sql stable
  begin atomic
    with facts as (
      select t.priority = 'critical' as critical, t.dnd,
             (p.document #>> array['types', explain.type, explain.channel])::boolean as of_type,
             coalesce((p.document #>> array['channels', explain.channel])::boolean, true) as of_channel,
             explain.channel = any (t.channels) as by_default,
             notify.quiet_until(p.document -> 'dnd', explain.at) as dnd_until,
             notify.snooze_until(p.document ->> 'snoozeUntil', explain.at) as snooze_until
      from (select * from notify.types k where k.type in (explain.type, 'system') order by k.type = 'system' limit 1) t
      left join notify.preferences p on p.user_id = explain.user_id
    ), enabled as (
      select *, coalesce(of_type, of_channel and by_default) as wanted, greatest(dnd_until, snooze_until) as quiet_until,
             case when snooze_until >= coalesce(dnd_until, snooze_until) then 'snooze' when dnd_until is not null then 'dnd' end as quiet_by,
             case when of_type is not null then 'typePreference' when not of_channel then 'channelPreference' else 'typeDefault' end as wanted_by
      from facts
    )
    select case when critical then 'allow' when not wanted then 'suppress'
                when quiet_until is null or e.dnd = 'ignore' or explain.channel = 'inApp' then 'allow'
                when e.dnd = 'defer' then 'defer' else 'suppress' end,
           case when critical then 'critical' when not wanted or quiet_until is null or e.dnd = 'ignore' then wanted_by else quiet_by end,
           case when critical then 'critical notifications pass every preference'
                when not wanted then case wanted_by when 'typePreference' then 'the user switched this type off for this channel'
                  when 'channelPreference' then 'the user switched this channel off' else 'this channel is off by default for this type' end
                when quiet_until is null or e.dnd = 'ignore' then case wanted_by when 'typePreference' then 'the user switched this type on for this channel'
                  else 'this channel is on by default for this type' end
                when explain.channel = 'inApp' then 'the user wants quiet: shown silently'
                when e.dnd = 'defer' then 'the user wants quiet: kept until later' else 'the user wants quiet' end,
           case when not critical and wanted and e.dnd <> 'ignore' then quiet_until end
    from enabled e;
  end;

create or replace function ops.grant_to_emitters() returns void
  language plpgsql
as $$
begin
  -- Whoever may look into the schema could call what everybody may.
  revoke execute on all functions in schema notify from public;
  if to_regrole('ravenpost_app') is not null then
    grant execute on all functions in schema notify to ravenpost_app;
  end if;
  if to_regrole('ravenpost_readonly') is not null then
    grant execute on function notify.shard_of, notify.clock_change, notify.quiet_until, notify.snooze_until, notify.explain, notify.why, notify.timeline to ravenpost_readonly;
  end if;
  if to_regrole('ravenpost_emitter') is not null then
    grant usage on schema notify to ravenpost_emitter;
    grant execute on function notify.emit, notify.retract to ravenpost_emitter;
  end if;
  if to_regrole('ravenpost_critical') is not null then
    grant usage on schema notify to ravenpost_critical;
    grant execute on function notify.emit, notify.retract to ravenpost_critical;
  end if;
end $$;
