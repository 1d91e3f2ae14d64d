"""The Orbit server: a JSON API on port 8888."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import database
import health

VERSION = os.environ.get("ORBIT_VERSION", "dev")


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/":
            [(visits,)] = database.run("SELECT count(*) FROM visits")
            self.answer(200, {"version": VERSION, "visits": visits})
        elif self.path == "/api/health/":
            problems = health.problems()
            self.answer(503 if problems else 200, {"version": VERSION, "problems": problems})
        elif self.path == "/api/agents":
            rows = database.run("SELECT name, version, extract(epoch FROM now() - seen_at)::int FROM agents ORDER BY name")
            self.answer(200, [{"name": n, "version": v, "seconds_ago": s} for n, v, s in rows])
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/api/visits":
            [(number,)] = database.run("INSERT INTO visits DEFAULT VALUES RETURNING id")
            self.answer(201, {"id": number})
        elif self.path == "/api/heartbeat":
            if self.headers.get("X-Api-Key") != os.environ.get("WORKER_API_KEY"):
                self.answer(403, {"error": "wrong worker API key"})
                return
            beat = json.loads(body)
            database.run(
                "INSERT INTO agents VALUES (%s, %s, now()) ON CONFLICT (name) "
                "DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at",
                beat["name"],
                beat["version"],
            )
            self.answer(200, {"version": VERSION})
        else:
            self.answer(404, {"error": "no such page"})

    def answer(self, status, document):
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        if os.environ.get("LOG_LEVEL") == "DEBUG":
            super().log_message(format, *args)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    database.wait_until_up()
    database.migrate()
    print(f"orbit {VERSION} listens on 8888")
    ThreadingHTTPServer(("", 8888), Api).serve_forever()


if __name__ == "__main__":
    main()
