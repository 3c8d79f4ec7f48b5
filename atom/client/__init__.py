"""The optional services, declared as data: what each needs, how it opens and closes.

Here the recipe, `Client`, and the functions that open and close all of them. Then:

    secret      secret values removed from a driver's message
    postgres    pools on the primary and the replica, and calls on top of them
    redis       one for each purpose
    http        one pool, and Fast2SMS and Resend on it
    signing_key  the public keys of a sign-in service
    identity, oidc: Google, and any service that speaks OpenID Connect
    mongodb, aws, openai, posthog, celery, kafka, rabbitmq,
    prometheus, sentry, smtp: the rest, one to a file
    all         CLIENTS: all of the above
    doctor      each one asked: configured, reachable, permitted, and the cure
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from atom.backoff import Backoff
from atom.client.secret import without_secrets
from atom.config.resolve import Key
from atom.errors import ConfigError, Unavailable
from atom.task import ended

log = logging.getLogger(__name__)

Config = Mapping[str, Any]

OPEN, PROBE, CLOSE = 10.0, 2.0, 5.0  # seconds each may take
AGAIN = (1.0, 5.0)  # seconds until another try to open one: the first, the longest

MISSING, SILENT = "client.missing", "client.silent"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a configured client is not available."""

    code: str
    message: str
    hint: str
    cause: str = field(default="", compare=False)  # for the operator


class Live(dict[str, Any]):
    """The open clients by name; None for those not open, with why in `problems`."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: dict[str, Problem] = {}


async def _nothing(handle: Any) -> None:
    """Do nothing: for a client that needs no closing or no probe."""


@dataclass(frozen=True)
class Client:
    """One service a user may switch on by setting its keys.

    Routes find it as `request.app.state.<name>`. Any key of `switch` (by default of
    `needs`) switches it on; then all of `needs` must be set. It may also read those of
    `optional`. A client made from another one names it in `after`, and is available
    when that one is. `package` is what pip installs, with its version unless
    requirements.txt has it already. `examine` is asked by doctor alone: it returns the
    version, or "", or None where a right cannot be proven without an effect; it raises
    an ApiError with the cure as its hint when the service refuses what the client is
    for.
    """

    name: str
    needs: tuple[str, ...]
    package: str
    open: Callable[[Config, Live], Awaitable[Any]]
    close: Callable[[Any], Awaitable[Any]] = _nothing
    probe: Callable[[Any], Awaitable[Any]] = _nothing
    examine: Callable[[Any], Awaitable[str | None]] | None = None
    keys: tuple[Key, ...] = ()  # the keys only it reads
    switch: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    after: str = ""
    required: bool = False  # without it the server does not start

    @property
    def switched_by(self) -> tuple[str, ...]:
        """The keys of which any one switches it on."""
        return self.switch or self.needs

    @property
    def has_probe(self) -> bool:
        """Whether it can be asked for an answer."""
        return self.probe is not _nothing

    def wanted(self, config: Config) -> bool:
        """Whether config switches it on."""
        return any(config.get(key) for key in self.switched_by)


Opened = Callable[[str, Any], Any]


@asynccontextmanager
async def opened(
    clients: tuple[Client, ...],
    config: Config,
    *,
    on_open: Opened | None = None,
    again: tuple[float, float] = AGAIN,
) -> AsyncIterator[Live]:
    """Open every client that is switched on; close them in reverse, whatever happens.

    One that cannot be opened stays None, with a warning and an entry in `problems`.
    One that did not answer is retried, at most `again` seconds later; `on_open(name,
    handle)` is called once it opens.

    Raises:
        ConfigError: when a required one cannot be opened.
    """
    live = Live()
    retrying: asyncio.Task[None] | None = None
    try:
        for client in clients:
            live[client.name] = None
        await _open_all(clients, config, live)
        if any(problem.code == SILENT for problem in live.problems.values()):
            work = _retry(clients, config, live, on_open, again)
            retrying = asyncio.create_task(work, name="clients")
        yield live
    finally:
        if retrying is not None:
            await ended({retrying})
        for client in reversed(clients):
            await _close(client, live)


async def _open_all(clients: tuple[Client, ...], config: Config, live: Live) -> None:
    """Open the required ones in order, then all others at once, then their children."""
    for client in clients:
        if client.required:
            await _open(client, config, live)
    others = [client for client in clients if not client.required]
    _load([client for client in others if client.wanted(config)])
    for children in (False, True):
        layer = [client for client in others if bool(client.after) is children]
        await asyncio.gather(*(_open(client, config, live) for client in layer))


def _load(clients: Iterable[Client]) -> None:
    """Import their packages before the first of them is timed.

    An import keeps the event loop for a second and more on a busy machine; another
    client, which waits for an answer meanwhile, would be taken for silent.
    """
    for client in clients:
        # What fails here fails again when the client is opened, which reports it.
        with suppress(Exception):
            import_module(re.split(r"[^\w-]", client.package)[0].replace("-", "_"))


async def _open(client: Client, config: Config, live: Live) -> None:
    """Open one client, or note why it is not there."""
    if not client.wanted(config):
        return
    parent = live.problems.get(client.after)
    if parent is not None:
        live.problems[client.name] = parent
        return
    lacking = [key for key in client.needs if not config.get(key)]
    if lacking:
        hint = f"Set {', '.join(lacking)}."
        _note(
            client, live, Problem(MISSING, f"{client.name} is half configured.", hint)
        )
        return
    keys = ", ".join(client.needs)
    try:
        async with asyncio.timeout(OPEN):
            live[client.name] = await client.open(config, live)
    except ImportError as error:
        hint = f"Run: pip install {client.package}"
        text = f"{client.name} needs the package {client.package}."
        _note(client, live, Problem(MISSING, text, hint), error)
    except ConfigError as error:
        hint = "; ".join(error.problems)
        text = f"{client.name} is misconfigured."
        _note(client, live, Problem(MISSING, text, hint), error)
    except Exception as error:
        cause = without_secrets(
            f"{type(error).__name__}: {error}",
            [config.get(key) for key in (*client.needs, *client.optional)],
        )
        log.debug("%s: %s", client.name, cause)
        hint = f"Check {keys} and that the service runs."
        if client.required:
            raise ConfigError(
                [f"{keys}: {client.name} cannot be opened: {cause}. {hint}"]
            ) from None
        text = f"{client.name} does not answer."
        _note(client, live, Problem(SILENT, text, hint, cause))
    else:
        live.problems.pop(client.name, None)


def _note(
    client: Client, live: Live, problem: Problem, error: Exception | None = None
) -> None:
    if client.required:
        raise ConfigError([f"{problem.message} {problem.hint}"]) from error
    if live.problems.get(client.name) != problem:
        log.warning("%s %s", problem.message, problem.hint)
    live.problems[client.name] = problem


async def _retry(
    clients: tuple[Client, ...],
    config: Config,
    live: Live,
    on_open: Opened | None,
    again: tuple[float, float],
) -> None:
    backoff = Backoff(*again)
    while any(problem.code == SILENT for problem in live.problems.values()):
        await backoff.rest()
        for client in clients:
            problem = live.problems.get(client.name)
            if problem is None or problem.code != SILENT:
                continue
            await _open(client, config, live)
            handle = live[client.name]
            if handle is None:
                continue
            live.problems.pop(client.name, None)
            log.info("%s answers now", client.name)
            if on_open is not None:
                try:
                    on_open(client.name, handle)
                except Exception:
                    log.exception("%s is open, but was not taken up", client.name)


async def _close(client: Client, live: Live) -> None:
    handle = live.get(client.name)
    if handle is None:
        return
    live[client.name] = None
    try:
        async with asyncio.timeout(CLOSE):
            await client.close(handle)
    except Exception as error:
        log.warning("%s did not close cleanly: %s", client.name, type(error).__name__)


def needed(live: Mapping[str, Any], name: str, keys: str = "") -> Any:
    """Return an open client for a route that requires it.

    Raises:
        Unavailable: `client.missing` or `client.silent`, with the reason.
    """
    handle = live.get(name)
    if handle is not None:
        return handle
    problem = getattr(live, "problems", {}).get(name)
    if problem is None:
        hint = f"Set {keys}." if keys else "See the config keys in docs/config.md."
        raise Unavailable(f"{name} is not configured.", code=MISSING, hint=hint)
    seconds = 5 if problem.code == SILENT else 60
    raise Unavailable(
        problem.message, code=problem.code, hint=problem.hint, seconds=seconds
    )


async def health(
    clients: tuple[Client, ...], live: Mapping[str, Any]
) -> dict[str, str]:
    """Probe all clients at once. Return "ok", "off" or "silent" for each.

    One that cannot be opened as it is configured: what is missing, and the cure.
    """
    answers = await asyncio.gather(*(_health(client, live) for client in clients))
    return {client.name: word for client, word in zip(clients, answers, strict=True)}


async def _health(client: Client, live: Mapping[str, Any]) -> str:
    handle = live.get(client.name)
    if handle is None:
        problem = getattr(live, "problems", {}).get(client.name)
        if problem is None:
            return "off"
        if problem.code == MISSING:
            return f"{problem.message} {problem.hint}"
        return "silent"
    try:
        async with asyncio.timeout(PROBE):
            await client.probe(handle)
    except Exception as error:
        log.info("%s is silent: %s", client.name, type(error).__name__)
        return "silent"
    return "ok"
