"""PostgreSQL: connecting, migrating, and the few queries that Orbit needs."""

import os
import pathlib
import time

import psycopg2

MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
MIGRATION_LOCK = 8888


def connect():
    return psycopg2.connect(
        host=os.environ.get("DB_HOST", "postgres"),
        port=int(os.environ.get("DB_PORT") or 5432),
        dbname=os.environ.get("DB_NAME", "orbit"),
        user=os.environ.get("DB_USER", "orbit"),
        password=os.environ.get("DB_PASSWORD", ""),
        connect_timeout=3,
    )


def wait_until_up(attempts=60):
    """The database may still be starting; anything else is reported after the last attempt."""
    for attempt in range(1, attempts + 1):
        try:
            connect().close()
            return
        except psycopg2.OperationalError as error:
            print(f"database not ready ({attempt}/{attempts}): {str(error).strip()}")
            if attempt == attempts:
                raise
            time.sleep(1)


def run(sql, *parameters):
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else cursor.rowcount
    finally:
        connection.close()


def migrate():
    """Apply what is missing, in order, each once, however many servers start together."""
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            cursor.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
            cursor.execute("SELECT name FROM migrations")
            done = {name for (name,) in cursor.fetchall()}
            for path in sorted(MIGRATIONS.glob("*.sql")):
                if path.name not in done:
                    cursor.execute(path.read_text())
                    cursor.execute("INSERT INTO migrations VALUES (%s)", (path.name,))
                    print(f"applied {path.name}")
    finally:
        connection.close()
