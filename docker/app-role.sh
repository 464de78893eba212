#!/bin/sh
# Run by the image of postgres for a new volume: the role that api, worker and push connect as may log in.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$APP_PASSWORD" --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
create role ravenpost_app login password :'password';
SQL
