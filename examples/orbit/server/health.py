"""What `/api/health/` answers: an empty list when all is well, otherwise what is wrong."""

import os
import socket

import database


def problems():
    found = []
    try:
        database.run("SELECT 1")
    except Exception as error:
        found.append(f"database: {str(error).strip()}")
    try:
        address = (os.environ.get("REDIS_HOST", "redis"), int(os.environ.get("REDIS_PORT") or 6379))
        with socket.create_connection(address, timeout=3) as redis:
            redis.sendall(b"PING\r\n")
            if not redis.recv(16).startswith(b"+PONG"):
                found.append("redis: no PONG")
    except OSError as error:
        found.append(f"redis: {error}")
    return found
