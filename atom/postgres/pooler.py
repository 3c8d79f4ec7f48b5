"""A pooler between Atom and PostgreSQL: declared in config, and proven at the start.

In transaction mode each transaction of a connection may run in another process of
PostgreSQL. What a session keeps (prepared statements, settings, LISTEN, locks) is then
lost, or is left to another client.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from atom.errors import ConfigError
from atom.postgres.driver import Raw
from atom.postgres.lease import PROCESS

log = logging.getLogger(__name__)

Config = Mapping[str, Any]
Connect = Callable[[], Awaitable[Raw]]

URL = "config_postgres_url"
DIRECT = "config_postgres_url_direct"
CACHE = "config_postgres_statement_cache_size"
MANUAL = '(docs/deploy.md, "Behind PgBouncer").'
CURE = f"Set {CACHE}=0, and {DIRECT} to the address of PostgreSQL itself {MANUAL}"
LOSES = "leads to a pooler in transaction mode, which loses prepared statements"
DEAF = (
    f"{DIRECT}: LISTEN receives nothing that is sent by {URL}: it leads to a pooler in "
    "transaction mode, or to another database. Set it to the address of PostgreSQL "
    f"itself {MANUAL}"
)
SHARED = (
    f"{DIRECT}: this needs a session of its own, and a pooler in transaction mode is "
    f"in between. Set it to the address of PostgreSQL itself {MANUAL}"
)
# A statement that does not exist, or exists already: of another client.
LOST = frozenset({"26000", "42P05"})
ROUNDS = 3
SECONDS = 2.0
OWN_SCHEMA = "atom"

SESSION = """
select current_user::text as role, pg_backend_pid() as process,
  current_setting('search_path') like '%$user%' as own_schema_first,
  array(select name from unnest($1::text[]) as name
        where current_setting(name) = '0') as unlimited
"""
# What a session keeps in PostgreSQL's words: its key in config, and the default.
LIMITS = {
    "statement_timeout": ("config_postgres_command_timeout_sec", 30.0),
    "lock_timeout": ("config_postgres_lock_timeout_sec", 5.0),
    "idle_in_transaction_session_timeout": (
        "config_postgres_idle_transaction_timeout_sec",
        60.0,
    ),
}


def is_pooled(config: Config) -> bool:
    """Whether config declares a transaction pooler in between."""
    direct = config.get(DIRECT)
    return not config.get(CACHE, 1024) or bool(direct and direct != config.get(URL))


def direct_url(config: Config) -> str:
    """Return where sessions last: for LISTEN, locks and schema changes."""
    url: str = config.get(DIRECT) or config[URL]
    return url


def limits(config: Config) -> dict[str, str]:
    """Return how long statements, locks and pauses may take, in PostgreSQL's words."""
    return {
        name: str(int((config.get(key) or default) * 1000))
        for name, (key, default) in LIMITS.items()
    }


def refused(error: Exception, key: str) -> ConfigError | None:
    """Return the meaning of an error at connecting, if it comes from a pooler."""
    state = getattr(error, "sqlstate", None)
    if state in LOST:
        return ConfigError([f"{key}: {LOSES}. {CURE}"])
    if state == "08P01" and "startup parameter" in str(error):
        text = f"leads to a pooler, which takes no settings ({error}). {CURE}"
        return ConfigError([f"{key}: {text}"])
    return None


async def examine(first: Raw, config: Config, key: str, connect: Connect) -> str:
    """Look at the first session of a pool. Return the role it runs as.

    Raises:
        ConfigError: when what is in between keeps less than config relies upon.
    """
    (row,) = await first.fetch(SESSION, list(LIMITS))
    role: str = row["role"]
    is_between = row["process"] != first.get_server_pid()
    uses_cache = is_between and config.get(CACHE, 1024)
    if uses_cache and not await keeps_sessions(connect, prepared=True):
        raise ConfigError([f"{key}: {LOSES}. {CURE}"])
    if not is_pooled(config):
        return role
    if role == OWN_SCHEMA and row["own_schema_first"]:
        text = (
            f"the role is called {role}, as our own schema is, which it finds first. "
            f"Run: alter role {role} set search_path = public"
        )
        raise ConfigError([f"{key}: {text}"])
    if row["unlimited"]:
        log.warning(
            "%s: behind a pooler single statements have no %s, for PostgreSQL knows "
            "none for role %s. Set them with ALTER ROLE (docs/deploy.md).",
            key,
            ", ".join(row["unlimited"]),
            role,
        )
    return role


async def keeps_sessions(connect: Connect, *, prepared: bool = False) -> bool:
    """Whether a process of PostgreSQL stays with its connection.

    With `prepared`, whether prepared statements do: some poolers carry them along.
    """
    import asyncpg

    one, another = await connect(), await connect()
    try:
        ask: Callable[..., Awaitable[Any]] = partial(one.fetchval, PROCESS)
        if await ask() == one.get_server_pid():
            return True  # nothing in between
        for _ in range(ROUNDS):
            if prepared:
                ask = (await one.prepare(PROCESS, timeout=SECONDS)).fetchval
            before = await ask(timeout=SECONDS)
            async with another.transaction():
                taken = await another.fetchval(PROCESS, timeout=SECONDS)
                after = await ask(timeout=SECONDS)
            if not prepared and (taken == before or after != before):
                return False
    except asyncpg.PostgresError as error:
        if error.sqlstate in LOST:
            return False
        raise
    except TimeoutError:
        return True  # each waits for a process of its own
    finally:
        one.terminate()
        another.terminate()
    return True
