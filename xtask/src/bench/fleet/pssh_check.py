"""The check by parallel-ssh: PORT KEY SCRIPT HOST..."""

import sys

from pssh.clients import ParallelSSHClient

port, key, script, *hosts = sys.argv[1:]
client = ParallelSSHClient(hosts, user="root", port=int(port), pkey=key, pool_size=len(hosts))
output = client.run_command(script)
client.join(output)
for host in output:
    if host.exit_code != 0 or len(list(host.stdout)) != 4:
        sys.exit(f"{host.host}: exit {host.exit_code}")
