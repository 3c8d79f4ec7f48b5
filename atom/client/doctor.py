"""Whether each service is configured, reachable and permitted, and what cures it."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atom.client import MISSING, Client, Config, opened
from atom.client.secret import without_secrets
from atom.errors import ApiError

SECONDS = 4.0  # that one question may take
OFF, OK, SILENT, REFUSED = "off", "ok", "silent", "refused"


@dataclass(slots=True)
class Finding:
    """What is known of one client; `reachable` is None if nothing can be asked."""

    name: str
    state: str  # off, missing, silent, refused, ok
    required: bool = False
    configured: bool = False
    reachable: bool | None = None
    permitted: bool | None = None
    version: str = ""
    latency_ms: float | None = None
    problem: str = ""
    cure: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done: it answers, or is not wanted."""
        return self.state in (OK, OFF)


async def examine(
    clients: Iterable[Client], config: Config, live: Mapping[str, Any]
) -> list[Finding]:
    """Ask all clients at once, those that are open."""
    return await asyncio.gather(*(_examine(each, config, live) for each in clients))


async def examine_new(clients: tuple[Client, ...], config: Config) -> list[Finding]:
    """Open all clients, ask them, and close them; one that is required may fail too."""
    optional = tuple(replace(client, required=False) for client in clients)
    async with opened(optional, config) as live:
        return await examine(clients, config, live)


async def _examine(client: Client, config: Config, live: Mapping[str, Any]) -> Finding:
    found = Finding(client.name, OFF, client.required, client.wanted(config))
    handle = live.get(client.name)
    if handle is None:
        return _absent(found, client, live)
    started = time.perf_counter()
    try:
        await _within(client.probe(handle))
        found.latency_ms = round((time.perf_counter() - started) * 1000, 2)
        version = None
        if client.examine is not None:
            version = await _within(client.examine(handle))
            found.version = version or ""
    except ApiError as error:
        refused = error.status != 503
        found.state = REFUSED if refused else SILENT
        found.reachable, found.permitted = refused, False if refused else None
        found.problem, found.cure = _clean(error.message, client, config), error.hint
    except Exception as error:
        found.state, found.reachable = SILENT, False
        found.problem = _clean(_worded(error), client, config)
        found.cure = f"Check {', '.join(client.needs)} and that the service runs."
    else:
        found.state = OK
        if client.examine is not None or client.has_probe:
            found.reachable = True
        if client.examine is not None:
            found.permitted = None if version is None else True
            found.latency_ms = round((time.perf_counter() - started) * 1000, 2)
    return found


def _absent(found: Finding, client: Client, live: Mapping[str, Any]) -> Finding:
    """Return what is known of a client that is not open."""
    problem = getattr(live, "problems", {}).get(client.name)
    if problem is None:
        found.cure = f"To use it, set {', '.join(client.switched_by)}."
    else:
        found.state = "missing" if problem.code == MISSING else SILENT
        found.reachable = None if problem.code == MISSING else False
        found.problem = f"{problem.message} {problem.cause}".rstrip()
        found.cure = problem.hint
    return found


async def _within(answer: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        return await answer


def _worded(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _clean(message: str, client: Client, config: Config) -> str:
    values = [config.get(key) for key in (*client.needs, *client.optional)]
    return without_secrets(message, values)
