"""Commands for the admin, called as Django calls its own. Each may be run again and again."""

import os
import sys
import urllib.error
import urllib.request

import database


def createsuperuser():
    database.migrate()
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME", "admin")
    created = database.run("INSERT INTO users (name, is_admin) VALUES (%s, true) ON CONFLICT DO NOTHING", (name,))
    print(f"{name} created" if created else f"{name} already exists")


def ping():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8888/api/health/", timeout=5) as answer:
            print(answer.read().decode().strip())
    except urllib.error.HTTPError as error:
        sys.exit(error.read().decode().strip())
    except OSError as error:
        sys.exit(f"no answer: {error}")


COMMANDS = {"migrate": database.migrate, "createsuperuser": createsuperuser, "ping": ping}

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--noinput"]
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        sys.exit("usage: manage.py " + "|".join(COMMANDS) + " [--noinput]")
    COMMANDS[arguments[0]]()
