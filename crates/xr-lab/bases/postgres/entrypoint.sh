#!/bin/bash
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB make the cluster on the first start; later starts only run it.
set -eu

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "error: POSTGRES_PASSWORD is not set and the database is not initialized" >&2
        exit 1
    fi
    # what initdb would make, made with the image: only names and the password are this container's own
    cp -a /usr/local/share/cluster/. "$PGDATA/"
    {
        printf "UPDATE pg_authid SET rolname = '%s' WHERE oid = 10;\n\n" "${user//\'/\'\'}"
        printf "ALTER ROLE \"%s\" PASSWORD '%s';\n\n" "${user//\"/\"\"}" "${POSTGRES_PASSWORD//\'/\'\'}"
        if [ "$database" != postgres ]; then
            printf 'CREATE DATABASE "%s";\n\n' "${database//\"/\"\"}"
        fi
    } | postgres --single -j postgres >/dev/null
fi

exec "$@" -c listen_addresses='*' -c jit=off
