-- Uploads under way count before their bytes are stored.

create table social.media_uploads (
  id bigint generated always as identity primary key,
  owner_id bigint not null references social.users (id) on delete no action,
  bytes bigint not null constraint upload_reserves_bytes check (bytes > 0),
  begun_at timestamptz not null default now()
);
create index media_uploads_of_owner on social.media_uploads (owner_id);
comment on table social.media_uploads is 'Uploads under way and the room they reserve; a row is removed with the answer. What a killed process left counts for ten minutes and is then removed. Index media_uploads_of_owner: the quota.';
comment on column social.media_uploads.id is 'Number of the upload.';
comment on column social.media_uploads.owner_id is 'Who uploads.';
comment on column social.media_uploads.bytes is 'Bytes that the client announced, or the most a file may have.';
comment on column social.media_uploads.begun_at is 'When it began.';
comment on column social.media_contents.sha256 is 'SHA-256 of the whole file as it is stored, without the metadata that was taken out; set when its last chunk is stored.';
