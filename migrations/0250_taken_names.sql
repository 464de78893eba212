-- Usernames are given out once, and none that looks like another.

create function social.name_look(username text) returns bytea language sql immutable strict parallel safe
  return sha256(convert_to(replace(replace(translate(username, '01i_', 'oll'), 'rn', 'm'), 'vv', 'w'), 'utf8'));
comment on function social.name_look is 'Hash of how a username looks: 0 as o, 1 and i as l, rn as m, vv as w, without underscores. Names with the same hash are taken for each other. Written for the alphabet of usernames, a to z, 0 to 9 and _.';

create table social.taken_names (
  look bytea primary key
);
comment on table social.taken_names is 'Usernames that are not given out: those in use, those of deleted users, and those that only the operator may have. A row is written with the account and never removed, so nobody gets the name, the mentions and the past of another.';
comment on column social.taken_names.look is 'social.name_look of the username: a hash, because a deleted user''s name is stored nowhere.';

insert into social.taken_names (look)
select distinct social.name_look(name) from unnest(array[
  'abuse', 'admin', 'administrator', 'administration', 'api', 'billing', 'contact', 'everyone', 'help', 'helpdesk', 'info', 'mail',
  'mod', 'moderator', 'moderators', 'noreply', 'null', 'official', 'owner', 'postmaster', 'ravenpost', 'root', 'security', 'staff',
  'support', 'sysadmin', 'system', 'team', 'undefined', 'webmaster'
]) name
union
select social.name_look(username) from social.users where deleted_at is null;
