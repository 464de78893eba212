-- Sends by services and by applications that share the database, and functions for operators.

create table social.service_tokens (
  id bigint generated always as identity primary key,
  name text not null constraint token_name_length check (length(name) between 1 and 100),
  token_hash bytea not null constraint service_token_once unique,
  scopes text[] not null constraint scopes_known
    check (scopes <@ '{notifications:send,notifications:critical,users:write,webhooks}' and cardinality(scopes) > 0),
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
comment on table social.service_tokens is 'Keys with which services call the API. Rows remain after revocation, because sends refer to them.';
comment on column social.service_tokens.id is 'Number of the token.';
comment on column social.service_tokens.name is 'Purpose of the token.';
comment on column social.service_tokens.token_hash is 'SHA-256 of the token. The token itself has 256 random bits and is shown once.';
comment on column social.service_tokens.scopes is 'What the token may do. notifications:send: send notifications; with notifications:critical, also critical ones. users:write: manage the users of an application beside Ravenpost. webhooks: manage endpoints and read what was sent to them.';
comment on column social.service_tokens.created_at is 'Time at which the token was created.';
comment on column social.service_tokens.revoked_at is 'Time of the revocation. Null: valid.';

create table social.idempotency_keys (
  caller text collate "C" not null,
  key text collate "C" not null,
  request_hash bytea not null,
  status smallint not null,
  answer jsonb,
  created_at timestamptz not null default now(),
  primary key (caller, key)
);
comment on table social.idempotency_keys is 'Responses to requests with an Idempotency-Key, written in the transaction that has their effect and kept for 24 hours.';
comment on column social.idempotency_keys.caller is 'Who sent the request: user:<id> or token:<id>.';
comment on column social.idempotency_keys.key is 'Value of the header Idempotency-Key.';
comment on column social.idempotency_keys.request_hash is 'SHA-256 of method, path and body. A different request with the same key is refused.';
comment on column social.idempotency_keys.status is 'Status of the response. It is 0 while the first request with the key runs; no other transaction sees that.';
comment on column social.idempotency_keys.answer is 'Body of the response.';
comment on column social.idempotency_keys.created_at is 'Time of the response.';

create index idempotency_keys_by_age on social.idempotency_keys (created_at);
comment on index social.idempotency_keys_by_age is 'Finds expired rows for retention.';

create table notify.sends (
  id bigint generated always as identity primary key,
  sender text collate "C" not null,
  source_id text collate "C" not null,
  recipient_ids bigint[] not null,
  accepted integer not null,
  duplicates integer not null,
  unknown integer not null default 0,
  created_at timestamptz not null default now()
);
comment on table notify.sends is 'Direct sends over the API. Their progress is computed from the sources and notifications of the recipients.';
comment on column notify.sends.id is 'Number of the send.';
comment on column notify.sends.sender is 'Who sent it: user:<id> or token:<id>.';
comment on column notify.sends.source_id is 'Source of the events: send:<sender>:<source id that the sender chose>, or send:new:<id>.';
comment on column notify.sends.recipient_ids is 'Ids of the recipients, without repeats.';
comment on column notify.sends.accepted is 'Number of written events: recipients with an inbox who had not got this source before.';
comment on column notify.sends.duplicates is 'Number of distinct recipients who had got this source before.';
comment on column notify.sends.unknown is 'External ids in the request that belong to no user.';
comment on column notify.sends.created_at is 'Time of the request.';

create index sends_of_source on notify.sends (source_id);
comment on index notify.sends_of_source is 'Finds earlier recipients of a source.';

create index sends_by_age on notify.sends (created_at);
comment on index notify.sends_by_age is 'Finds expired rows for retention.';

create table notify.unreached (
  recipient_id bigint,
  source_id text collate "C",
  retracts boolean,
  type text not null,
  created_at timestamptz not null default now(),
  primary key (recipient_id, source_id, retracts)
);
comment on table notify.unreached is 'Sends and retractions to recipients without an inbox, kept for 30 days.';
comment on column notify.unreached.recipient_id is 'Requested recipient; no user with an inbox has this id.';
comment on column notify.unreached.source_id is 'Source of the send.';
comment on column notify.unreached.retracts is 'True if it was a retraction.';
comment on column notify.unreached.type is 'Type of the notification.';
comment on column notify.unreached.created_at is 'Time of the first such send or retraction.';

create index unreached_by_age on notify.unreached (created_at);
comment on index notify.unreached_by_age is 'Finds expired rows for retention.';

create function notify.users_of(external_ids text[]) returns bigint[]
  language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select u.id
    from unnest(external_ids) with ordinality e (id, place)
    join social.users u on u.external_id = e.id
    order by e.place
  );
end $$;
comment on function notify.users_of is 'Ids of the users with these external ids, in the same order, for notify.emit and notify.retract. Unknown external ids are left out.';

create function notify.door_caller() returns text
  language sql stable
  return coalesce(nullif(current_setting('role'), 'none'), session_user::text);
comment on function notify.door_caller is 'The calling role: the one set by SET ROLE, otherwise the one that connected.';

create function notify.sql_source(source_id text) returns text
  language sql stable
  return 'sql:' || quote_ident(notify.door_caller()) || ':' || source_id;
comment on function notify.sql_source is 'The stored form of a source id that the calling role chose. It contains the role, so that no role can forge or retract the sources of another, of social actions, or of the send API. quote_ident separates role and id whatever they contain.';

create function notify.refuse(what text) returns void
  language plpgsql immutable
as $$
begin
  raise exception using errcode = 'invalid_parameter_value', message = 'notify: ' || what;
end $$;
comment on function notify.refuse is 'Raises invalid_parameter_value with this message.';

create table notify.audit (
  id bigint not null,
  at timestamptz not null,
  actor text collate "C" not null,
  action text collate "C" not null,
  target text collate "C",
  before jsonb,
  after jsonb,
  request_id text,
  address text,
  database_role text not null,
  application text not null,
  previous bytea not null,
  hash bytea not null,
  primary key (id, at)
) partition by range (at);
comment on table notify.audit is 'Append-only log of changes by admins and operators. Each row is written in the transaction of its change; there is a partition per month (UTC). Each row contains the hash of the previous one, so ops.audit_breaks shows rows that were changed, added or removed.';
comment on column notify.audit.id is 'Number of the row, without gaps, in the order of commits.';
comment on column notify.audit.at is 'Time of the change; never earlier than that of the previous row.';
comment on column notify.audit.actor is 'Who made the change: user:<id> or token:<id> for calls of the API, role:<name> for a database role that called an SQL function.';
comment on column notify.audit.action is 'Kind of change, such as webhook.delete.';
comment on column notify.audit.target is 'What was changed, such as webhook:7.';
comment on column notify.audit.before is 'The changed part before the change. Null: it did not exist.';
comment on column notify.audit.after is 'The changed part after the change, or the request. Never contains a secret.';
comment on column notify.audit.request_id is 'Id of the request; null for SQL functions.';
comment on column notify.audit.address is 'IP address of the caller; null for SQL functions.';
comment on column notify.audit.database_role is 'Database role of the session. A caller of the API cannot choose it.';
comment on column notify.audit.application is 'application_name of the session.';
comment on column notify.audit.previous is 'hash of the previous row; 32 zero bytes in the first row.';
comment on column notify.audit.hash is 'SHA-256 of previous and all other columns (notify.audit_hash).';

create index audit_of_actor on notify.audit (actor, id);
comment on index notify.audit_of_actor is 'Lists the changes by one actor.';

create index audit_of_action on notify.audit (action, id);
comment on index notify.audit_of_action is 'Lists the changes of one kind.';

create index audit_of_target on notify.audit (target, id);
comment on index notify.audit_of_target is 'Lists the changes to one target.';

create table notify.audit_chain (
  only_row boolean primary key default true constraint one_audit_chain check (only_row),
  first_id bigint not null default 1,
  first_previous bytea not null default decode(repeat('00', 32), 'hex'),
  last_id bigint not null default 0,
  last_hash bytea not null default decode(repeat('00', 32), 'hex'),
  last_at timestamptz not null default '-infinity'
);
comment on table notify.audit_chain is 'First and last row of notify.audit. An audited change locks this row until its commit, so that the rows are chained in the order of commits. Changes by users do not touch it.';
comment on column notify.audit_chain.only_row is 'Always true: there is one row.';
comment on column notify.audit_chain.first_id is 'Number of the oldest row that retention has kept.';
comment on column notify.audit_chain.first_previous is 'The value of previous in the oldest row.';
comment on column notify.audit_chain.last_id is 'Number of the newest row.';
comment on column notify.audit_chain.last_hash is 'Hash of the newest row.';
comment on column notify.audit_chain.last_at is 'Time of the newest row.';
insert into notify.audit_chain default values;

create function notify.refuse_audit_change() returns trigger
  language plpgsql
as $$
begin
  raise exception using errcode = 'object_not_in_prerequisite_state', message = 'notify: the audit log is only appended to';
end $$;
comment on function notify.refuse_audit_change is 'Refuses to change or remove rows of notify.audit.';

create trigger audit_append_only before update or delete on notify.audit for each row execute function notify.refuse_audit_change();
comment on trigger audit_append_only on notify.audit is 'Rows are only added. Retention drops partitions.';

create trigger audit_not_truncated before truncate on notify.audit for each statement execute function notify.refuse_audit_change();
comment on trigger audit_not_truncated on notify.audit is 'Rows are only added. Retention drops partitions.';

create function notify.audit_hash(entry notify.audit) returns bytea
  language plpgsql stable
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
begin
  return sha256(convert_to(encode(entry.previous, 'hex') || jsonb_build_array(entry.id, entry.at, entry.actor, entry.action, entry.target,
    entry.before, entry.after, entry.request_id, entry.address, entry.database_role, entry.application)::text, 'UTF8'));
end $$;
comment on function notify.audit_hash is 'SHA-256 of the previous hash in hexadecimal digits, followed by the other columns as a JSON array in the text form of jsonb, with times in UTC.';

create function notify.write_audit(
  actor text,
  action text,
  target text,
  before jsonb default null,
  after jsonb default null,
  request_id text default null,
  address text default null
) returns bigint
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  chain notify.audit_chain;
  entry notify.audit;
  month timestamp;
begin
  select c.* into chain from notify.audit_chain c for no key update;
  entry.id := chain.last_id + 1;
  entry.at := greatest(clock_timestamp(), chain.last_at);
  entry.actor := coalesce(actor, 'role:' || notify.door_caller());
  entry.action := action;
  entry.target := target;
  entry.before := before;
  entry.after := after;
  entry.request_id := request_id;
  entry.address := address;
  entry.database_role := notify.door_caller();
  entry.application := current_setting('application_name');
  entry.previous := chain.last_hash;
  entry.hash := notify.audit_hash(entry);
  -- The row of notify.audit_chain is locked, so no other transaction creates the partition.
  month := date_trunc('month', entry.at at time zone 'UTC');
  if month > date_trunc('month', chain.last_at at time zone 'UTC') then
    execute format('create table notify.%I (like notify.audit including all)', to_char(month, '"audit_"YYYYMM'));
    execute format('alter table notify.audit attach partition notify.%I for values from (%L) to (%L)', to_char(month, '"audit_"YYYYMM'),
      to_char(month, 'YYYY-MM-DD "00:00Z"'), to_char(month + interval '1 month', 'YYYY-MM-DD "00:00Z"'));
  end if;
  insert into notify.audit select entry.*;
  update notify.audit_chain c set last_id = entry.id, last_hash = entry.hash, last_at = entry.at;
  return entry.id;
end $$;
comment on function notify.write_audit is 'Appends a row to notify.audit in the transaction of the change, and returns its number. Call it last, because other audited changes wait for the commit. Without an actor, the actor is the calling database role.';

create function notify.expire_audit(months integer) returns integer
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '500ms'
as $$
declare
  month record;
  newest notify.audit;
  dropped integer := 0;
begin
  if months is null or months < 1 then
    perform notify.refuse('the audit log is kept for a month at least');
  end if;
  perform from notify.audit_chain for no key update;
  for month in
    select c.relname as name
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'notify.audit'::regclass
      and to_date(right(c.relname, 6), 'YYYYMM') + make_interval(months => months + 1) <= now() at time zone 'UTC'
    order by c.relname
  loop
    execute format('select * from notify.%I order by id desc limit 1', month.name) into newest;
    execute format('drop table notify.%I', month.name);
    if newest.id is not null then
      update notify.audit_chain set first_id = newest.id + 1, first_previous = newest.hash;
    end if;
    perform notify.write_audit(null, 'audit.expire', month.name, null, jsonb_build_object('upTo', newest.id));
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
comment on function notify.expire_audit is 'Drops the months of notify.audit that ended at least this many months ago, and writes an audit row for each; returns their number. The chain then begins with the oldest row left.';

create function notify.append_unreached(recipients bigint[], source_id text, retracts boolean, type text) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  insert into notify.unreached (recipient_id, source_id, retracts, type)
  select distinct r.id, source_id, retracts, type
  from unnest(recipients) r (id)
  where not exists (select from notify.inbox i where i.user_id = r.id)
  on conflict on constraint unreached_pkey do nothing;
end $$;
comment on function notify.append_unreached is 'Records which of these recipients have no inbox.';

create table notify.broadcasts (
  id bigint generated always as identity primary key,
  name text not null constraint broadcast_name_length check (length(name) between 1 and 200),
  state text collate "C" not null default 'draft' constraint broadcast_state_known
    check (state in ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled', 'recalled')),
  created_by bigint not null,
  template_id bigint,
  template_version integer,
  segment_id bigint,
  audience jsonb not null,
  content jsonb not null,
  priority text constraint broadcast_priority_known check (priority in ('critical', 'high', 'normal', 'low')),
  channels text[] constraint broadcast_channels_known check (channels <@ '{inApp,email,webPush}' and cardinality(channels) > 0),
  send_at timestamptz,
  wall_time timestamp,
  per_second integer constraint broadcast_moves check (per_second > 0),
  expires_in integer,
  event_id bigint,
  request_id text,
  total integer,
  done integer not null default 0,
  stored integer not null default 0,
  filtered integer not null default 0,
  suppressed integer not null default 0,
  failed integer not null default 0,
  recalled integer not null default 0,
  measured_done integer not null default 0,
  measured_from timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  scheduled_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  recalled_at timestamptz,
  recall_finished_at timestamptz,
  constraint one_time check (send_at is null or wall_time is null)
) with (fillfactor = 50);
comment on table notify.broadcasts is 'Messages from administrators to many users. Their parts and cursors are in notify.fan_outs. fillfactor 50, because every chunk updates the counts; no index is touched (HOT).';
comment on column notify.broadcasts.id is 'Id of the broadcast, as in the API. Its notifications have the source and the thread key broadcast:<id>.';
comment on column notify.broadcasts.name is 'Name of the broadcast, for people.';
comment on column notify.broadcasts.state is 'draft, scheduled (sent, but its time has not come), running, paused, finished, cancelled or recalled. Each chunk reads it first.';
comment on column notify.broadcasts.created_by is 'The administrator who wrote it.';
comment on column notify.broadcasts.template_id is 'The template from which it was made. Null: none.';
comment on column notify.broadcasts.template_version is 'Version of the template. Null: no template.';
comment on column notify.broadcasts.segment_id is 'The segment that was chosen as audience. Null: none.';
comment on column notify.broadcasts.audience is 'Copy of the audience: {"everyone": true}, {"rule"} or {"sql"}.';
comment on column notify.broadcasts.content is 'Texts in all languages, rendered when the broadcast was saved, and other content: type, title, body, url, severity, actorId, data, translations.';
comment on column notify.broadcasts.priority is 'Priority. Null: that of the type.';
comment on column notify.broadcasts.channels is 'Channels to use. Null: all.';
comment on column notify.broadcasts.send_at is 'Time to send it. Null: at once, or at the local time in wall_time.';
comment on column notify.broadcasts.wall_time is 'Local time at which each recipient gets it, in the recipient''s time zone. Null: all get it together.';
comment on column notify.broadcasts.per_second is 'Maximum number of recipients per second. Null: no limit.';
comment on column notify.broadcasts.expires_in is 'Seconds from sending to the expiry of the notifications. Null: as the type defines.';
comment on column notify.broadcasts.event_id is 'Id of the events, drawn when the broadcast was sent. Null: not sent.';
comment on column notify.broadcasts.request_id is 'Id of the request that started it. Null: not sent.';
comment on column notify.broadcasts.total is 'Number of recipients: counted at the start, corrected at the end. Null: not started, or counting took too long.';
comment on column notify.broadcasts.done is 'Number of recipients that chunks have processed. A cancel or recall takes off the late ones that it leaves out.';
comment on column notify.broadcasts.stored is 'Part of done: recipients whose inbox shows it. Those in notify.broadcast_late are counted from their sources instead.';
comment on column notify.broadcasts.filtered is 'Part of done: recipients for whom it was stored but is not shown in the app.';
comment on column notify.broadcasts.suppressed is 'Part of done: recipients for whom nothing was stored.';
comment on column notify.broadcasts.failed is 'Part of done: recipients whose dead letter was removed since. Other dead letters are counted in notify.pending.';
comment on column notify.broadcasts.recalled is 'Number of inboxes from which it was retracted.';
comment on column notify.broadcasts.measured_done is 'Value of done at measured_from.';
comment on column notify.broadcasts.measured_from is 'Time from which the rate is measured: the start, or the last resumption. Null: not started.';
comment on column notify.broadcasts.last_error is 'Error of the audience''s query, which cancelled the broadcast. Null: none.';
comment on column notify.broadcasts.created_at is 'Time at which it was created.';
comment on column notify.broadcasts.scheduled_at is 'Time at which it was sent or scheduled. Null: a draft.';
comment on column notify.broadcasts.started_at is 'Time of the first chunk. Null: not started.';
comment on column notify.broadcasts.finished_at is 'Time of the last chunk, or of an earlier cancellation or recall. Null: not finished.';
comment on column notify.broadcasts.recalled_at is 'Time of the recall. Null: not recalled.';
comment on column notify.broadcasts.recall_finished_at is 'Time since which no inbox has it. Null: not yet, or not recalled.';

create table notify.broadcast_audience (
  broadcast_id bigint not null references notify.broadcasts (id) on delete no action,
  recipient_id bigint not null,
  primary key (broadcast_id, recipient_id)
);
comment on table notify.broadcast_audience is 'Recipients that the audience''s query selected at the start of the broadcast. Removed after its end.';
comment on column notify.broadcast_audience.broadcast_id is 'The broadcast.';
comment on column notify.broadcast_audience.recipient_id is 'The recipient.';

create table notify.broadcast_late (
  broadcast_id bigint not null references notify.broadcasts (id) on delete no action,
  recipient_id bigint not null,
  event_id bigint not null,
  primary key (broadcast_id, recipient_id)
);
comment on table notify.broadcast_late is 'Recipients whose inbox was held when a chunk reached them. Their events are in notify.pending. A day after the end of the broadcast the decisions are added to notify.broadcasts.';
comment on column notify.broadcast_late.broadcast_id is 'The broadcast.';
comment on column notify.broadcast_late.recipient_id is 'The recipient.';
comment on column notify.broadcast_late.event_id is 'Id of the event in notify.pending.';

create function notify.append_send(
  source_id text,
  recipients bigint[],
  type text,
  title text,
  body text,
  url text,
  actor_id bigint,
  object_type text,
  object_id text,
  group_key text,
  data jsonb,
  priority text,
  severity text,
  expires_at timestamptz,
  request_id text
) returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  accepted bigint;
begin
  if type is null or length(type) > 100 or not (type = 'system' or type ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$') then
    perform notify.refuse('type must be system or a name with a dot, of letters, digits, _ and -, at most 100 characters');
  elsif exists (select from notify.types t where t.type = append_send.type and t.social) then
    perform notify.refuse(format('%s belongs to social actions', type));
  elsif recipients is null or array_position(recipients, null) is not null then
    perform notify.refuse('recipients must be ids of users, none of them null');
  elsif cardinality(recipients) > 10000 then
    perform notify.refuse('at most 10000 recipients in one call');
  elsif length(title) > 200 or title = '' then
    perform notify.refuse('title must have 1 to 200 characters');
  elsif title is null and not exists (select from notify.types t where t.type = append_send.type and t.title is not null) then
    perform notify.refuse(format('title is missing, and the type %s has no template for one', type));
  elsif length(body) > 2000 then
    perform notify.refuse('body must have at most 2000 characters');
  elsif length(url) > 2000 or url !~ '^(https?://[^\s\\]+|(?!//)(?![A-Za-z][A-Za-z0-9+.-]*:)[^\s\\[:cntrl:]]+)$' then
    perform notify.refuse('url must be http(s) or relative, at most 2000 characters');
  elsif jsonb_typeof(data) is distinct from 'object' or octet_length(data::text) > 8192 then
    perform notify.refuse('data must be an object of at most 8 KiB');
  elsif priority not in ('critical', 'high', 'normal', 'low') then
    perform notify.refuse('priority must be critical, high, normal or low');
  elsif severity not in ('info', 'success', 'warning', 'error') then
    perform notify.refuse('severity must be info, success, warning or error');
  elsif length(object_type) > 100 or length(object_id) > 200 or length(group_key) not between 1 and 150 then
    perform notify.refuse('object_type is at most 100, object_id 200, group_key 1 to 150 characters long');
  elsif not isfinite(expires_at) or expires_at <= now() or expires_at > now() + interval '3650 days' then
    perform notify.refuse('expires_at must be in the future, and at most ten years (3650 days) away');
  end if;
  insert into notify.outbox (
    critical,
    counted,
    action,
    source_id,
    type,
    recipient_id,
    actor_id,
    object_type,
    object_id,
    group_key,
    data,
    request_id
  )
  select
    coalesce(priority, (select t.priority from notify.types t where t.type = append_send.type)) is not distinct from 'critical',
    false,
    'send',
    source_id,
    type,
    r.id,
    actor_id,
    object_type,
    object_id,
    type || ':' || group_key,
    jsonb_strip_nulls(jsonb_build_object(
      'title', title,
      'body', body,
      'url', url,
      'severity', severity,
      'priority', priority,
      'expiresAt', to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    )) || jsonb_build_object('data', data),
    request_id
  from (select distinct r.id from unnest(recipients) r (id)) r
  join notify.inbox i on i.user_id = r.id;
  get diagnostics accepted = row_count;
  if accepted < cardinality(recipients) then
    perform notify.append_unreached(recipients, source_id, false, type);
  end if;
  return accepted;
end $$;
comment on function notify.append_send is 'Checks a send and appends one event per recipient with an inbox; returns their number. notify.unreached lists the other recipients. Called by notify.emit and the send API, which identify the sender. All events of a group have one type, because the group key begins with it.';

create function notify.emit(
  type text,
  recipients bigint[],
  source_id text,
  title text default null,
  body text default null,
  url text default null,
  actor_id bigint default null,
  object_type text default null,
  object_id text default null,
  group_key text default null,
  data jsonb default '{}',
  priority text default 'normal',
  severity text default 'info',
  expires_at timestamptz default null
) returns bigint
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  if source_id is null or length(source_id) not between 1 and 150 then
    perform notify.refuse('source_id must have 1 to 150 characters');
  elsif priority is null or severity is null then
    perform notify.refuse('priority and severity must not be null');
  elsif priority = 'critical' and not (to_regrole('ravenpost_critical') is not null
      and pg_has_role(notify.door_caller(), 'ravenpost_critical', 'usage')) then
    raise insufficient_privilege using message = 'notify: critical notifications need the role ravenpost_critical';
  end if;
  return notify.append_send(notify.sql_source(source_id), recipients, type, title, body, url, actor_id, object_type, object_id,
    group_key, coalesce(data, '{}'), priority, severity, expires_at, null);
end $$;
comment on function notify.emit is 'Notifies these users, in the transaction of the caller. If it is rolled back, nothing happens; once committed, the events are dispatched within the poll interval. The same source_id of the same role never notifies a user twice. Returns how many recipients were accepted: those with an inbox. ops.unreached lists the others. docs/sql.md has examples.';

create function notify.retract(recipients bigint[], source_id text) returns bigint
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  source text := notify.sql_source(source_id);
  accepted bigint;
begin
  if source_id is null or length(source_id) not between 1 and 150 then
    perform notify.refuse('source_id must have 1 to 150 characters');
  elsif recipients is null or array_position(recipients, null) is not null then
    perform notify.refuse('recipients must be ids of users, none of them null');
  elsif cardinality(recipients) > 10000 then
    perform notify.refuse('at most 10000 recipients in one call');
  end if;
  insert into notify.outbox (counted, action, retracts, source_id, type, recipient_id)
  select false, 'send', true, source, 'system', r.id
  from (select distinct r.id from unnest(recipients) r (id)) r
  join notify.inbox i on i.user_id = r.id;
  get diagnostics accepted = row_count;
  if accepted < cardinality(recipients) then
    perform notify.append_unreached(recipients, source, true, 'system');
  end if;
  return accepted;
end $$;
comment on function notify.retract is 'Retracts what notify.emit sent to these users with this source_id and by the same role: the source leaves its group, or the notification leaves the inbox. Returns how many recipients were accepted: those with an inbox. ops.unreached lists the others.';

create function notify.is_source(source_id text, named text) returns boolean
  language sql immutable parallel safe
  return source_id = named or source_id ~ '^(sql|send):' and right(source_id, length(named) + 1) = ':' || named;
comment on function notify.is_source is 'True if the source has this id, or if its sender chose this id for it.';

create function notify.why(user_id bigint, notification_id bigint)
  returns table (channel text, decision text, decided_by text, reason text, until timestamptz, at timestamptz)
  language sql stable
  begin atomic
    select
      'inApp',
      case
        when s.decision in ('suppressed', 'filtered') then 'suppress'
        when s.decision = 'waiting' then 'defer'
        else 'allow'
      end,
      coalesce(s.decided_by, 'source'),
      case s.decision
        when 'filtered' then
          case n.filter_reason when 'strangers' then 'the policy for strangers holds it back' else 'wanted by another channel only' end
        when 'waiting' then 'waits for the window of its group'
        when 'rejoined' then 'was shown, taken back and came again'
        when 'retracted' then 'was taken back'
        else
          case s.decided_by
            when 'critical' then 'critical notifications ignore preferences'
            when 'typePreference' then 'the user switched this type on for this channel'
            when 'typeDefault' then 'this channel is on by default for this type'
            when 'dnd' then 'the user wants quiet: shown silently'
            when 'snooze' then 'the user wants quiet: shown silently'
            when 'cap' then 'more than the user wants at a time: shown silently'
            else s.decision
          end
      end,
      w.due_at,
      s.decided_at
    from notify.notifications n
    cross join lateral (
      select distinct on (k.decision, k.decided_by) k.*
      from notify.sources k
      where k.user_id = n.user_id and k.notification_id = n.id
      order by k.decision, k.decided_by, k.event_id desc
    ) s
    left join notify.windows w on w.user_id = s.user_id and w.group_key = s.waits_for and w.filter = s.waits_filter
    where n.user_id = why.user_id and n.id = why.notification_id
    union all
    select
      c.channel,
      case when kept.by is null then decided.decision else 'suppress' end,
      coalesce(kept.by, decided.by),
      case kept.by
        when 'strangers' then 'the policy for strangers holds it back'
        when 'unreachable' then c.unreachable
        else decided.reason
      end,
      case when kept.by is null then decided.until end,
      now()
    from notify.notifications n
    join notify.inbox i on i.user_id = n.user_id
    cross join (
      values ('email', 'the user has confirmed no address'), ('webPush', 'no browser of the user takes pushes')
    ) c (channel, unreachable)
    cross join lateral notify.explain(n.user_id, n.type, c.channel, now(), '[]') e
    -- A cap is not evaluated again: its decision at the time of counting remains.
    left join lateral (
      select d.state, d.due_at
      from notify.deliveries d
      where d.user_id = n.user_id and d.notification_id = n.id and d.channel = c.channel and d.reason = 'cap'
      order by d.due_at desc nulls last limit 1
    ) capped on e.decision = 'allow'
    cross join lateral (
      select
        case when n.priority = 'critical' then 'allow' when capped.state = 'skipped' then 'suppress' when capped.state is not null then 'defer' else e.decision end,
        case when n.priority = 'critical' then 'critical' when capped.state is not null then 'cap' else e.decided_by end,
        case
          when n.priority = 'critical' then 'critical notifications ignore preferences'
          when capped.state = 'skipped' then 'more than the user wants at a time: a later one went out in its place'
          when capped.state is not null then 'more than the user wants at a time: gathered'
          else e.reason
        end,
        case when n.priority <> 'critical' then coalesce(capped.due_at, e.until) end
    ) decided (decision, by, reason, until)
    cross join lateral (
      select case
        when n.filter_reason = 'strangers' then 'strangers'
        when decided.decision <> 'suppress' and not c.channel = any (i.reachable_by) then 'unreachable'
      end
    ) kept (by)
    where n.user_id = why.user_id and n.id = why.notification_id;
  end;
comment on function notify.why is 'Decisions about a notification. For the app: those made at the time, the latest of each kind. For email and webPush: what the preferences decide now, as they will when it is sent (notify.deliveries has the results); a cap as decided then.';

create function notify.timeline(user_id bigint)
  returns table (at timestamptz, what text, notification_id bigint, type text, source_id text, decided_by text)
  language sql stable
  begin atomic
    select t.*
    from (
      select n.created_at, 'created', n.id, n.type, null::text, n.filter_reason
      from notify.notifications n
      where n.user_id = timeline.user_id
      union all
      select n.updated_at, 'grew', n.id, n.type, null, null
      from notify.notifications n
      where n.user_id = timeline.user_id and n.updated_at > n.created_at
      union all
      select n.delivered_at, 'delivered', n.id, n.type, null, null
      from notify.notifications n
      where n.user_id = timeline.user_id and n.delivered_at is not null
      union all
      select n.read_at, 'read', n.id, n.type, null, null
      from notify.notifications n
      where n.user_id = timeline.user_id and n.read_at is not null
      union all
      select n.archived_at, 'archived', n.id, n.type, null, null
      from notify.notifications n
      where n.user_id = timeline.user_id and n.archived_at is not null
      union all
      select s.decided_at, s.decision, s.notification_id, null, s.source_id, s.decided_by
      from notify.sources s
      where s.user_id = timeline.user_id
      union all
      select b.removed_at, 'removed', b.id, null, null, null
      from notify.tombstones b
      where b.user_id = timeline.user_id
      union all
      select d.updated_at, d.channel || ' ' || d.state, nullif(d.notification_id, 0), null, null, coalesce(d.reason, d.last_error)
      from notify.deliveries d
      where d.user_id = timeline.user_id
      union all
      -- Frames sent to sockets; and messages that notify.deliveries no longer has, because the notification grew and was sent again.
      select l.at, case when l.channel = 'inApp' then l.event else l.channel || ' ' || l.event end, l.notification_id, null, null, l.reason
      from notify.delivery_log l
      where l.recipient_id = timeline.user_id
        and (l.event = 'pushed' or l.channel <> 'inApp' and not exists (
          select from notify.deliveries d
          where d.user_id = l.recipient_id and d.notification_id = coalesce(l.notification_id, 0) and d.channel = l.channel and d.updated_at = l.at
        ))
    ) t (at, what, notification_id, type, source_id, decided_by)
    order by 1 desc, 3 desc nulls last, 2;
  end;
comment on function notify.timeline is 'History of a user''s inbox, latest first: notifications created, grown, delivered, read, archived and removed, the decision about each source, and messages by email and Web Push, sent or not, with the reason.';

create function notify.trace(user_id bigint, notification_id bigint)
  returns table (
    at timestamptz,
    step text,
    detail text,
    event_id bigint,
    source_id text,
    request_id text,
    modseq bigint,
    sessions bigint[]
  )
  language sql stable
  begin atomic
    with sources as materialized (
      select s.*
      from notify.sources s
      where s.user_id = trace.user_id and s.notification_id = trace.notification_id and s.live
      order by s.actor_id, s.event_id
      limit 100
    ), shown as materialized (
      select n.* from notify.notifications n where n.user_id = trace.user_id and n.id = trace.notification_id
    )
    select t.at, t.step, t.detail, t.event_id, t.source_id, t.request_id, t.modseq, t.sessions
    from (
      select 0, d.created_at, 'sent', concat_ws(' ', d.sender, d.name), null::bigint, s.source_id, null, null::bigint, null::bigint[]
      from sources s
      cross join lateral (
        select f.created_at, f.sender, case
          when f.sender like 'token:%' then (select format('"%s"', k.name) from social.service_tokens k where k.id = substr(f.sender, 7)::bigint)
          when f.sender like 'user:%' then (select '@' || u.username from social.users u where u.id = substr(f.sender, 6)::bigint and u.deleted_at is null)
        end as name
        from notify.sends f
        where f.source_id = s.source_id and trace.user_id = any(f.recipient_ids)
        order by f.id
        limit 1
      ) d
      where s.source_id like 'send:%'
      union all
      select 0, e.created_at, 'sent', 'role:' || substring(s.source_id from '^sql:("(?:[^"]|"")*"|[^:]+):'), null, s.source_id, null, null, null
      from sources s
      join notify.outbox e on e.id = s.event_id
      where s.source_id like 'sql:%'
      union all
      select 1, e.created_at, 'event', e.action || coalesce(' ' || e.type, ''), e.id, e.source_id, e.request_id, null, null
      from sources s
      join notify.outbox e on e.id = s.event_id
      union all
      select 2, s.decided_at, 'decision', concat_ws(', ', s.decision, s.decided_by), s.event_id, s.source_id, null, null, null
      from sources s
      union all
      select 3, n.created_at, 'created', n.type, null, null, null, n.id, null
      from shown n
      union all
      select 3, n.updated_at, 'grew', n.type, null, null, n.request_id, n.grown_modseq, null
      from shown n
      where n.grown_modseq > n.id
      union all
      select 4, l.at, case when l.channel = 'inApp' then l.event else l.channel end, case when l.channel = 'inApp' then l.reason else concat_ws(': ', l.event, l.reason) end,
        null, null, null, l.modseq, l.sessions
      from (
        select d.*
        from notify.delivery_history d
        where d.recipient_id = trace.user_id and d.notification_id = trace.notification_id
        limit 200
      ) l
      union all
      select 5, d.updated_at, d.channel, concat_ws(': ', d.state, d.reason, d.last_error), null, null, null, null, null
      from notify.deliveries d
      where d.user_id = trace.user_id and d.notification_id = trace.notification_id and d.due_at is not null
      union all
      select 6, n.read_at, 'read', null, null, null, null, null, null
      from shown n
      where n.read_at is not null
      union all
      select 7, n.archived_at, 'archived', null, null, null, null, null, null
      from shown n
      where n.archived_at is not null
    ) t (place, at, step, detail, event_id, source_id, request_id, modseq, sessions)
    order by t.at, t.place, t.event_id, t.modseq;
  end;
comment on function notify.trace is 'History of a notification, in order: who sent it, its events and their requests (at most 100), decisions, inbox states, frames and the sessions that received them, acknowledgements, and messages by email and Web Push (at most 200). Contains no content.';

create function notify.why_not(user_id bigint, source_id text)
  returns table (step text, result text, reason text, at timestamptz, source text)
  language sql stable
  begin atomic
    with events as materialized (
      select e.*, p.lane, p.last_error, p.failing_since,
        p.consumer is not null and not pg_visible_in_snapshot(e.xid, p.done)
          and not coalesce(
            pg_visible_in_snapshot(e.xid, p.target)
              and case
                when p.critical then (e.xid, e.id) <= (p.after_xid, p.after_id)
                else (e.shard, e.xid, e.id) <= (p.after_shard, p.after_xid, p.after_id)
              end,
            false) as unread
      from (
        -- Two reads, each by the index of its lanes: the log has no index by recipient.
        select o.* from notify.outbox o
        where not o.critical and o.shard = notify.shard_of(why_not.user_id) and o.recipient_id = why_not.user_id and notify.is_source(o.source_id, why_not.source_id)
        union all
        select o.* from notify.outbox o
        where o.critical and o.recipient_id = why_not.user_id and notify.is_source(o.source_id, why_not.source_id)
      ) e
      left join notify.positions p on p.consumer = 'notifications' and p.critical = e.critical and e.shard between p.shard_from and p.shard_to
    ), decided as materialized (
      select s.*
      from notify.sources s
      where s.user_id = why_not.user_id and s.source_id = why_not.source_id
      union all
      -- Names that senders choose are parts of ids that begin with send: or sql:.
      select s.*
      from notify.sources s
      where s.user_id = why_not.user_id and s.source_id >= 'send:' and s.source_id < 'sql;' and s.source_id <> why_not.source_id
        and notify.is_source(s.source_id, why_not.source_id)
    ), stopped as materialized (
      select p.*
      from notify.pending p
      where p.recipient_id = why_not.user_id and p.consumer = 'notifications' and notify.is_source(p.event ->> 'sourceId', why_not.source_id)
    ), unreached as materialized (
      select u.* from notify.unreached u where u.recipient_id = why_not.user_id and notify.is_source(u.source_id, why_not.source_id)
    ), steps (place, step, result, reason, at, source) as (
      select 1, 'inbox', 'stops', 'the user does not exist, or the account was deleted', null::timestamptz, why_not.source_id
      where not exists (select from notify.inbox i where i.user_id = why_not.user_id)
      union all
      select 2, 'event', 'stops', case when u.retracts then 'the user had no inbox at the time of the retraction' else 'the user had no inbox at the time of the send' end, u.created_at, u.source_id
      from unreached u
      union all
      select 2, 'event', 'ok', format('%s %s%s', e.type, e.action, case when e.retracts then ', taken back' else '' end), e.created_at, e.source_id
      from events e
      union all
      select 2, 'event', 'stops',
        case when why_not.source_id ~ format('^(like:[0-9]+:%1$s|follow:%1$s:[0-9]+)$', why_not.user_id) then 'nobody is notified of their own doing'
          else format('no event of this source names the user; the log reaches back to %s', to_char((select min(o.created_at) from notify.outbox o) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
        end,
        null,
        why_not.source_id
      where not exists (select from events) and not exists (select from decided) and not exists (select from stopped) and not exists (select from unreached)
      union all
      select 3, 'dispatch', 'waits',
        format('lane %s has not read event %s%s', e.lane, e.id, case when e.failing_since is not null then '; it fails: ' || e.last_error else '' end),
        e.failing_since,
        e.source_id
      from events e
      where e.unread
      union all
      select 3, 'dispatch', case when p.dead_at is null then 'waits' else 'stops' end,
        case when p.dead_at is null then format('event %s is tried again after %s failed attempts: %s', p.event_id, p.attempts, coalesce(p.last_error, 'its inbox was held'))
          else format('event %s is dead letter %s after %s attempts: %s', p.event_id, p.id, p.attempts, p.last_error)
        end,
        coalesce(p.dead_at, p.due_at),
        p.event ->> 'sourceId'
      from stopped p
      union all
      select 4, 'decision',
        case when s.decision in ('shown', 'rejoined') then 'ok' when s.decision = 'waiting' then 'waits' else 'stops' end,
        case s.decision
          when 'shown' then 'it was shown'
          when 'rejoined' then 'it was shown, taken back and came again'
          when 'waiting' then coalesce(
            (select format('its group gathers until %s%s', to_char(w.due_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), case when w.attempts > 0 then '; showing it failed: ' || w.last_error else '' end)
             from notify.windows w where w.user_id = s.user_id and w.group_key = s.waits_for and w.filter = s.waits_filter),
            'its group gathers')
          when 'retracted' then 'it was taken back'
          when 'stale_group' then 'it came again after its group was closed, and the same source never notifies twice'
          when 'object_gone' then 'the post or comment was deleted'
          when 'removed' then 'its notification was removed'
          when 'expired' then 'it expired'
          when 'filtered' then 'it is kept out of the app'
          else case s.decided_by
            when 'self' then 'nobody is notified of their own doing'
            when 'block' then 'one of the two blocks the other'
            when 'mute' then 'the user muted the actor'
            when 'threadMute' then 'the user muted the post'
            when 'strangers' then 'the policy for strangers drops it'
            when 'typePreference' then 'the user switched this type off'
            when 'channelPreference' then 'the user switched this channel off'
            when 'typeDefault' then 'this type is off by default'
            else format('suppressed by %s', s.decided_by)
          end
        end || case
          when s.silent and s.decision in ('shown', 'rejoined') then
            case when s.decided_by = 'cap' then ', silently: more than the user wants at a time' else ', silently: the user wanted quiet' end
          else ''
        end,
        s.decided_at,
        s.source_id
      from decided s
      union all
      select 5, 'notification',
        case when n.id is null or n.filtered or n.archived_at is not null then 'stops' else 'ok' end,
        case
          when n.id is null and b.id is not null then format('notification %s was removed', s.notification_id)
          when n.id is null then format('notification %s is gone', s.notification_id)
          when n.filter_reason = 'strangers' then format('notification %s is filtered: the policy for strangers holds it back', n.id)
          when n.filtered then format('notification %s is filtered: wanted by another channel only', n.id)
          when n.archived_at is not null then format('notification %s was archived', n.id)
          when n.read_at is not null then format('notification %s is in the inbox, read', n.id)
          else format('notification %s is in the inbox, unread', n.id)
        end,
        coalesce(n.archived_at, n.read_at, n.updated_at, b.removed_at),
        s.source_id
      from decided s
      left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
      left join lateral (
        select t.* from notify.tombstones t where t.user_id = s.user_id and t.id = s.notification_id limit 1
      ) b on n.id is null
      where s.notification_id is not null
      union all
      select 6, 'device', case when n.delivered_at is null then 'waits' else 'ok' end,
        case when n.delivered_at is null then 'no device has acknowledged its latest content' else 'a device acknowledged it' end,
        n.delivered_at,
        s.source_id
      from decided s
      join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
      where not n.filtered
      union all
      select 7, d.channel, case when d.state in ('sent', 'delivered') then 'ok' when d.due_at is not null then 'waits' else 'stops' end,
        concat_ws(': ', d.state, d.reason, d.last_error), d.updated_at, s.source_id
      from decided s
      join notify.deliveries d on d.user_id = s.user_id and d.notification_id = s.notification_id
    )
    select t.step, t.result, t.reason, t.at, t.source
    from steps t
    order by t.source, t.place, t.at, t.reason;
  end;
comment on function notify.why_not is 'Shows where a source stopped on its way to a user: inbox, event, dispatch, decision, notification, device, email, webPush, each with ok, waits or stops, and the reason. source_id is the stored one (like:9:4), or the id that the sender chose. Reads one shard of the log.';

create function notify.replay(consumer text, since timestamptz) returns bigint
  language plpgsql
as $$
#variable_conflict use_column
declare
  boundary bigint;
  first numeric;
  first_id bigint;
  lane record;
  cut numeric;
  open numeric[];
  again bigint;
begin
  if replay.consumer = 'counters' then
    perform notify.refuse('counters is never replayed: it would count twice');
  elsif not exists (select from notify.positions p where p.consumer = replay.consumer) then
    perform notify.refuse(format('there is no consumer named %s', replay.consumer));
  elsif since is null or since < now() - interval '7 days' then
    perform notify.refuse('replay reaches back 7 days: what came before may be forgotten, and would notify twice');
  end if;
  select min(p.adopted_id) into boundary from notify.positions p where p.consumer = replay.consumer;
  select e.xid::text::numeric into first
  from notify.outbox e
  where e.created_at >= since and e.id >= boundary
  order by e.xid limit 1;
  if first is null then
    return 0;
  end if;
  -- A transaction that began later may have drawn a lower id than the first one.
  select min(e.id) into first_id from notify.outbox e where e.xid >= first::text::xid8 and e.id >= boundary;
  -- Moves each position back to before the first transaction to read again. Earlier transactions that were open in `done` remain unread.
  for lane in select * from notify.positions p where p.consumer = replay.consumer order by p.lane for update loop
    cut := least(first, pg_snapshot_xmax(lane.done)::text::numeric);
    open := array(select x::text::numeric from pg_snapshot_xip(lane.done) x where x::text::numeric < cut order by 1);
    update notify.positions p
    set done = format('%s:%s:%s', coalesce(open[1], cut), cut, array_to_string(open, ','))::pg_snapshot,
        from_id = least(lane.from_id, greatest(lane.adopted_id, first_id)),
        target = null, after_shard = null, after_xid = null, after_id = null
    where p.consumer = lane.consumer and p.lane = lane.lane;
  end loop;
  select count(*) into again
  from notify.outbox e
  where exists (
    select from notify.positions p
    where p.consumer = replay.consumer and p.critical = e.critical and e.shard between p.shard_from and p.shard_to
      and e.id >= p.from_id and not pg_visible_in_snapshot(e.xid, p.done));
  perform notify.write_audit(null, 'events.replay', replay.consumer, null, jsonb_build_object('since', since, 'events', again));
  return again;
end $$;
comment on function notify.replay is 'Makes a consumer read the events written since a time, at most 7 days ago, once more; returns their number. No notification is repeated, because every event left its source. The consumer counters is refused.';

create function notify.replay_dead_letter(id bigint) returns boolean
  language plpgsql
as $$
declare
  former notify.pending;
begin
  select w.* into former from notify.pending w where w.id = replay_dead_letter.id and w.dead_at is not null for update;
  if not found then
    return null;
  end if;
  update notify.pending w set dead_at = null, attempts = 0, due_at = now() where w.id = replay_dead_letter.id;
  perform notify.write_audit(null, 'dead_letter.replay', 'dead_letter:' || replay_dead_letter.id,
    jsonb_build_object('attempts', former.attempts, 'deadAt', former.dead_at), '{"attempts": 0, "deadAt": null}');
  return true;
end $$;
comment on function notify.replay_dead_letter is 'Retries a dead letter, starting with its first attempt. Returns null when there is no such dead letter. The event is applied once, however often it is replayed.';

create function notify.queue_dead_letter(letter notify.pending) returns void
  language sql
  begin atomic
    insert into notify.webhook_deliveries (webhook_id, event, recipient_id, data)
    select w.id, 'dead_letter.created', letter.recipient_id, jsonb_build_object('deadLetterId', letter.id::text)
    from notify.webhooks w
    where w.disabled_at is null and 'dead_letter.created' = any(w.events);
  end;
comment on function notify.queue_dead_letter is 'Queues the webhook event dead_letter.created for each endpoint that subscribes to it.';

create function notify.skip_event(consumer text, event_id bigint) returns text
  language plpgsql
as $$
#variable_conflict use_column
declare
  skipped notify.outbox;
  letter notify.pending;
begin
  update notify.pending w
  set dead_at = now(), last_error = 'skipped by hand; before: ' || coalesce(w.last_error, '')
  where w.consumer = skip_event.consumer and w.event_id = skip_event.event_id and w.dead_at is null
  returning w.* into letter;
  if found then
    perform notify.queue_dead_letter(letter);
    perform notify.write_audit(null, 'event.skip', 'event:' || skip_event.event_id, null, jsonb_build_object('consumer', skip_event.consumer));
    return 'dead letter';
  end if;
  select e.* into skipped
  from notify.outbox e
  join notify.positions p on p.consumer = skip_event.consumer
    and p.critical = e.critical
    and e.shard between p.shard_from and p.shard_to
    and e.id >= p.from_id
    and (p.consumer <> 'counters' or e.counted)
  where e.id = skip_event.event_id
    and p.failing_since is not null
    and not pg_visible_in_snapshot(e.xid, p.done)
    and not coalesce(
      pg_visible_in_snapshot(e.xid, p.target)
        and case
          when p.critical then (e.xid, e.id) <= (p.after_xid, p.after_id)
          else (e.shard, e.xid, e.id) <= (p.after_shard, p.after_xid, p.after_id)
        end,
      false)
  for update of p;
  if skipped.id is null then
    perform notify.refuse('this event is neither pending nor unread in a lane that fails');
  end if;
  insert into notify.pending (consumer, event_id, recipient_id, event, dead_at, last_error)
  values (
    skip_event.consumer,
    skipped.id,
    skipped.recipient_id,
    jsonb_build_object(
      'id', skipped.id,
      'action', skipped.action,
      'retracts', skipped.retracts,
      'counted', skipped.counted,
      'sourceId', skipped.source_id,
      'type', skipped.type,
      'recipientId', skipped.recipient_id::text,
      'actorId', skipped.actor_id::text,
      'objectType', skipped.object_type,
      'objectId', skipped.object_id,
      'threadKey', skipped.thread_key,
      'groupKey', skipped.group_key,
      'data', skipped.data,
      'requestId', skipped.request_id
    ),
    now(),
    'skipped by hand'
  )
  on conflict on constraint pending_once do nothing
  returning * into letter;
  if found then
    perform notify.queue_dead_letter(letter);
  end if;
  update notify.positions p
  set retry_at = null
  where p.consumer = skip_event.consumer
    and p.critical = skipped.critical
    and skipped.shard between p.shard_from and p.shard_to;
  perform notify.write_audit(null, 'event.skip', 'event:' || skip_event.event_id, null, jsonb_build_object('consumer', skip_event.consumer));
  return 'skipped';
end $$;
comment on function notify.skip_event is 'Turns an event into a dead letter: one that is pending, or that blocks a failing lane, which then continues. notify.replay_dead_letter retries it. Any other event is refused (22023).';

create function notify.switch_lanes(consumer text, lane integer, pause boolean) returns integer
  language plpgsql
as $$
#variable_conflict use_column
declare
  switched integer;
begin
  if switch_lanes.lane is not null and switch_lanes.consumer is null then
    perform notify.refuse('name the consumer of the lane too');
  elsif not exists (
    select from notify.positions p
    where p.consumer = coalesce(switch_lanes.consumer, p.consumer) and p.lane = coalesce(switch_lanes.lane, p.lane)
  ) then
    perform notify.refuse('there is no lane ' || concat_ws('/', switch_lanes.consumer, switch_lanes.lane));
  end if;
  with locked as (
    select p.consumer, p.lane
    from notify.positions p
    where p.consumer = coalesce(switch_lanes.consumer, p.consumer) and p.lane = coalesce(switch_lanes.lane, p.lane)
      and (p.paused_at is null) = pause
    order by p.consumer, p.lane
    for update
  )
  update notify.positions p
  set paused_at = case when pause then now() end,
      paused_by = case when pause then concat_ws(', ', notify.door_caller(), nullif(current_setting('application_name'), '')) end
  from locked l
  where p.consumer = l.consumer and p.lane = l.lane;
  get diagnostics switched = row_count;
  if switched > 0 then
    perform notify.write_audit(null, case when pause then 'lanes.pause' else 'lanes.resume' end,
      concat_ws('/', coalesce(switch_lanes.consumer, 'all'), switch_lanes.lane), null, jsonb_build_object('lanes', switched));
  end if;
  return switched;
end $$;
comment on function notify.switch_lanes is 'Pauses or resumes one lane, all lanes of a consumer, or, with nulls, every lane; returns how many changed. Raises 22023 if there is no such lane.';

create function notify.pause_lanes(consumer text default null, lane integer default null) returns integer
  language sql
  return notify.switch_lanes(consumer, lane, true);
comment on function notify.pause_lanes is 'Stops reading one lane, all lanes of a consumer, or, without arguments, every lane; returns how many it stopped. Waits for running batches. New events are appended and wait; retries, windows, fan-outs and mails continue.';

create function notify.resume_lanes(consumer text default null, lane integer default null) returns integer
  language sql
  return notify.switch_lanes(consumer, lane, false);
comment on function notify.resume_lanes is 'Continues reading paused lanes: one, all of a consumer, or, without arguments, every lane; returns how many were paused. They continue within the poll interval.';

create function notify.set_journal(enabled boolean) returns boolean
  language plpgsql
  set lock_timeout = '2s'
as $$
declare
  former constant boolean := exists (
    select from pg_trigger where tgrelid = 'notify.notifications'::regclass and tgname = 'journal_change');
begin
  if enabled is null then
    perform notify.refuse('the journal is either on or off');
  elsif enabled and not former then
    create trigger journal_change after update on notify.notifications
      for each row when (old.modseq <> new.modseq) execute function notify.keep_former();
    create trigger journal_deletion after delete on notify.notifications
      for each row execute function notify.keep_former();
    create trigger journal_removal after insert on notify.tombstones
      for each row execute function notify.keep_former();
    create trigger journal_seen after update of seen_modseq on notify.inbox
      for each row when (old.seen_modseq <> new.seen_modseq) execute function notify.keep_former();
  elsif former and not enabled then
    drop trigger journal_change on notify.notifications;
    drop trigger journal_deletion on notify.notifications;
    drop trigger journal_removal on notify.tombstones;
    drop trigger journal_seen on notify.inbox;
  end if;
  if enabled <> former then
    perform notify.write_audit(null, 'journal.switch', null, jsonb_build_object('enabled', former), jsonb_build_object('enabled', enabled));
  end if;
  return enabled;
end $$;
comment on function notify.set_journal is 'Switches the journal of inboxes on or off for all processes, by creating or dropping its triggers: while it is off it costs nothing. Only the owner of the tables can; waits two seconds at most for transactions that use them.';

create function notify.inbox_as_of(user_id bigint, state text)
  returns table (
    id bigint,
    modseq bigint,
    grown_modseq bigint,
    type text,
    seen boolean,
    read_at timestamptz,
    archived_at timestamptz,
    filtered boolean,
    notification jsonb
  )
  language plpgsql stable
as $$
#variable_conflict use_column
declare
  inbox notify.inbox;
  n bigint;
  known bigint;
begin
  if state !~ '^[0-9a-z]+\.[0-9]{1,18}$' or split_part(state, '.', 1) <> (select i.epoch from notify.installation i) then
    raise exception using errcode = 'invalid_parameter_value', message = 'notify: the state is not one of this database';
  end if;
  n := split_part(state, '.', 2)::bigint;
  select i.* into inbox from notify.inbox i where i.user_id = inbox_as_of.user_id;
  if inbox.modseq is null or inbox.modseq < n then
    raise exception using errcode = 'invalid_parameter_value', message = 'notify: the inbox was never in this state';
  end if;
  -- Each change has a number of its own. It is known if it made, changed or removed a notification that the journal or the inbox has.
  select count(*) into known
  from (
    select j.until as change from notify.journal j where j.user_id = inbox.user_id and j.until > n and j.id > 0
    union
    select j.id from notify.journal j where j.user_id = inbox.user_id and j.until > n and j.id > n
    union
    select l.id from notify.notifications l where l.user_id = inbox.user_id and l.id > n
  ) c;
  if known < inbox.modseq - n then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = 'notify: the journal does not reach back to this state',
      hint = 'It was off at a change since then, or JOURNAL_RETENTION_DAYS are over.';
  end if;
  return query
  with versions as (
    select to_jsonb(l) as row from notify.notifications l where l.user_id = inbox.user_id and l.modseq <= n
    union all
    select j.former from notify.journal j
    where j.user_id = inbox.user_id and j.until > n and j.id > 0 and (j.former ->> 'modseq')::bigint <= n
    union all
    select c.former from notify.journal r
    join notify.journal c on c.user_id = r.user_id and c.until = 0 and c.id = r.id
    where r.user_id = inbox.user_id and r.until > n and r.former is null and (c.former ->> 'modseq')::bigint <= n
  ), watermark as (
    select coalesce(
      (select (j.former ->> 'seenModseq')::bigint from notify.journal j
       where j.user_id = inbox.user_id and j.until > n and j.id = 0 order by j.until limit 1),
      inbox.seen_modseq) as seen
  )
  select
    o.id,
    o.modseq,
    o.grown_modseq,
    o.type,
    o.read_at is not null or o.grown_modseq <= w.seen,
    o.read_at,
    o.archived_at,
    o.filtered,
    v.row
  from versions v
  cross join watermark w
  cross join lateral jsonb_populate_record(null::notify.notifications, v.row) o
  order by o.grown_modseq desc;
end $$;
comment on function notify.inbox_as_of is 'The notifications of a user as they were in a state (<epoch>.<n>), latest growth first. Needs the journal (notify.set_journal), and refuses a state since which a change is missing there. delivered_at is no part of a state and may be later; names of actors and texts of posts are not stored.';
