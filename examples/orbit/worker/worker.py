"""The Orbit worker: one task, then it leaves. Prints what it ran as its last line."""

import json
import os
import sys

task = sys.argv[1] if len(sys.argv) > 1 else "noop"
print(json.dumps({"task": task, "version": os.environ.get("ORBIT_VERSION", "dev"), "result": "ok"}))
