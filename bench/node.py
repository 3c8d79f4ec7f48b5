"""Fastify and postgres.js, where the machine has Node and reaches npm's registry."""

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

SOURCE = Path(__file__).parent / "fastify"
FETCH_SECONDS = 120


def program() -> tuple[str, ...] | None:
    """Return node and npm: those of the PATH, else of the wheel of the tests."""
    node, npm = shutil.which("node"), shutil.which("npm")
    return (node, npm) if node and npm else None


def fetched(folder: Path) -> tuple[str, ...] | None:
    """Fetch the locked packages. Return the command of the server, or None.

    None is a machine without Node, or without a way to the registry.
    """
    if (found := program()) is None:
        return None
    code = folder / "fastify"
    shutil.copytree(SOURCE, code, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    try:
        done = subprocess.run(
            [found[1], "ci", *quiet], cwd=code, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else (found[0], str(code / "server.js"))


def options(postgres_url: str) -> str:
    """Return a URL as the options of postgres.js, which takes no host of a query.

    >>> json.loads(options("postgresql://a:b%40@/c?host=/x&port=5433"))["path"]
    '/x/.s.PGSQL.5433'
    """
    url = urlsplit(postgres_url)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    found = {
        "username": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "database": unquote(url.path.lstrip("/")),
    }
    host = query.get("host") or url.hostname or "127.0.0.1"
    port = query.get("port") or str(url.port or 5432)
    if host.startswith("/"):
        return json.dumps(found | {"path": f"{host}/.s.PGSQL.{port}"})
    return json.dumps(found | {"host": host, "port": int(port)})
