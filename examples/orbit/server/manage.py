"""Commands for the admin, called as Django calls its own. Each may be run again and again."""

import http.client
import os
import sys


def migrate():
    import database

    database.migrate()


def createsuperuser():
    import database

    database.migrate()
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME", "admin")
    created = database.run("INSERT INTO users (name, is_admin) VALUES (%s, true) ON CONFLICT DO NOTHING", (name,))
    print(f"{name} created" if created else f"{name} already exists")


def ping():
    """Asked again and again: it loads what an HTTP request needs, and no database driver."""
    try:
        server = http.client.HTTPConnection("127.0.0.1", 8888, timeout=5)
        server.request("GET", "/api/health/")
        answer = server.getresponse()
        said = answer.read().decode().strip()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer: {error}")
    if answer.status != 200:
        sys.exit(said)
    print(said)


COMMANDS = {"migrate": migrate, "createsuperuser": createsuperuser, "ping": ping}

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--noinput"]
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        sys.exit("usage: manage.py " + "|".join(COMMANDS) + " [--noinput]")
    COMMANDS[arguments[0]]()
