"""The private Valkey of a project: limits, caches and messages for several workers."""

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from embedded import binaries
from embedded.folder import read, write, write_new
from embedded.leftover import end_all
from embedded.run_as import choose
from embedded.server import Server

HOST = "127.0.0.1"
SETTINGS = """
bind {host}
port {port}
requirepass {password}
dir .
save ""
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy volatile-lru
daemonize no
protected-mode yes
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run Valkey on `.atom/valkey` and yield its URL.

    Only the holder of `.atom/lock` may call this. Acknowledged writes survive the death
    of any process; the last second may be lost when the machine dies.

    Raises:
        ConfigError: when it cannot be run here, with the cure.
    """
    place = folder / "valkey"
    program = binaries.valkey()
    run_as = choose(folder, (program,))
    run_as.own(place)
    end_all(place, program.name, leader=None)  # its port is then free again
    kept = _kept(folder / "valkey.json")
    port, password = int(kept["port"]), str(kept["password"])
    # A file, because every user of the machine can read a command line.
    settings = SETTINGS.format(host=HOST, port=port, password=password)
    write_new(place / "valkey.conf", settings, run_as.owner)
    server = Server(
        "Valkey",
        [program, "valkey.conf"],
        run_as=run_as,
        folder=place,
        journal=folder / "valkey.log",
        stop_signal=signal.SIGTERM,
        clear=lambda: end_all(place, program.name, leader=None),
        ready=lambda pid: _answers(port, password),
    )
    try:
        server.start()
        yield f"redis://:{password}@{HOST}:{port}/0"
    finally:
        server.stop()


def _kept(path: Path) -> dict[str, Any]:
    """Return the password and the port, the same as last time if it is still free."""
    kept = read(path) or {"password": token_hex(24), "port": 0}
    port = _free(int(kept["port"])) or _free(0)
    if port != kept["port"]:
        kept["port"] = port
        write(path, kept)
    return kept


def _free(port: int) -> int:
    """Return the port if it is free, any free one for 0, else 0."""
    with closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            line.bind((HOST, port))
        except OSError:
            return 0
        return int(line.getsockname()[1])


def _answers(port: int, password: str) -> bool:
    """Whether Valkey answers to the password; not while it loads its data."""
    try:
        with socket.create_connection((HOST, port), 1) as line:
            line.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            line.settimeout(1)
            received = b""
            while received.count(b"\r\n") < 2:
                if not (part := line.recv(256)):
                    return False
                received += part
    except OSError:
        return False
    return received == b"+OK\r\n+PONG\r\n"
