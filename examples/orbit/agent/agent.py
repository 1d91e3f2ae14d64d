"""The Orbit agent: tells the server every few seconds that this host is alive, and with which version."""

import json
import os
import signal
import sys
import time
import urllib.request

VERSION = os.environ.get("ORBIT_VERSION", "dev")
NAME = os.environ.get("WORKER_ID") or os.uname().nodename


def beat():
    request = urllib.request.Request(
        os.environ["SERVER_URL"].rstrip("/") + "/api/heartbeat",
        data=json.dumps({"name": NAME, "version": VERSION}).encode(),
        headers={"Content-Type": "application/json", "X-Api-Key": os.environ.get("WORKER_API_KEY", "")},
    )
    with urllib.request.urlopen(request, timeout=5):
        pass
    with open("/tmp/heartbeat", "w") as file:
        file.write(VERSION)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"agent {NAME} {VERSION} reports to {os.environ['SERVER_URL']}")
    while True:
        try:
            beat()
        except OSError as error:
            print(f"heartbeat failed: {error}")
        time.sleep(float(os.environ.get("HEARTBEAT_SECONDS") or 3))


if __name__ == "__main__":
    main()
