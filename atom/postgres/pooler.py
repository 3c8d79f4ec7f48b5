"""A pooler between Atom and PostgreSQL: declared in config, detected, or refused.

In transaction mode each transaction of a connection may run in another process of
PostgreSQL. What a session keeps (prepared statements, settings, LISTEN, locks) is then
lost, or is left to another client.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from atom.errors import ConfigError
from atom.postgres.database import PROCESS

log = logging.getLogger(__name__)

Config = Mapping[str, Any]

URL = "config_postgres_url"
DIRECT = "config_postgres_url_direct"
CACHE = "config_postgres_statement_cache_size"
CURE = (
    f"Set {CACHE}=0, and {DIRECT} to the address of PostgreSQL itself "
    '(docs/deploy.md, "Behind PgBouncer").'
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
    idle = config.get("config_postgres_idle_transaction_timeout_sec") or 60.0
    command = config.get("config_postgres_command_timeout_sec") or 30.0
    lock = config.get("config_postgres_lock_timeout_sec") or 5.0
    return {
        "statement_timeout": str(int(command * 1000)),
        "lock_timeout": str(int(lock * 1000)),
        "idle_in_transaction_session_timeout": str(int(idle * 1000)),
    }


def local(config: Config) -> dict[str, str]:
    """Return what each transaction has to set, since no session keeps it."""
    return limits(config) if is_pooled(config) else {}


def refused(error: Exception, key: str) -> ConfigError | None:
    """Return the meaning of an error at connecting, if it comes from a pooler."""
    state = getattr(error, "sqlstate", None)
    if state in LOST:
        return _loses(key)
    if state == "08P01" and "startup parameter" in str(error):
        return ConfigError(
            [f"{key}: leads to a pooler, which takes no settings ({error}). {CURE}"]
        )
    return None


def _loses(key: str) -> ConfigError:
    why = "leads to a pooler in transaction mode, which loses prepared statements"
    return ConfigError([f"{key}: {why}. {CURE}"])


async def examine(
    connection: Any, config: Config, key: str, connect: Callable[[], Awaitable[Any]]
) -> str:
    """Look at the first session of a pool. Return the role it runs as.

    Raises:
        ConfigError: when what is in between keeps less than config relies upon.
    """
    row = await connection.fetchrow(SESSION, list(limits(config)))
    role: str = row["role"]
    between = row["process"] != connection.get_server_pid()
    if between and config.get(CACHE, 1024) and await loses_statements(connect):
        raise _loses(key)
    if is_pooled(config):
        if role == OWN_SCHEMA and row["own_schema_first"]:
            raise ConfigError(
                [
                    f"{key}: the role is called {role}, as our own schema is, which "
                    f"it finds first. Run: alter role {role} set search_path = public"
                ]
            )
        if row["unlimited"]:
            log.warning(
                "%s: behind a pooler single statements have no %s, for PostgreSQL "
                "knows none for role %s. Set them with ALTER ROLE (docs/deploy.md).",
                key,
                ", ".join(row["unlimited"]),
                role,
            )
    return role


async def loses_statements(connect: Callable[[], Awaitable[Any]]) -> bool:
    """Prepare, have another client take the process, and use what was prepared."""
    import asyncpg

    one = await connect()
    try:
        another = await connect()
        try:
            for _ in range(ROUNDS):
                prepared = await one.prepare(PROCESS, timeout=SECONDS)
                await prepared.fetchval(timeout=SECONDS)
                async with another.transaction():
                    await another.fetchval(PROCESS, timeout=SECONDS)
                    await prepared.fetchval(timeout=SECONDS)
        except asyncpg.PostgresError as error:
            if error.sqlstate in LOST:
                return True
            raise
        except TimeoutError:
            return False  # one process for everybody: it keeps what was prepared
        finally:
            another.terminate()
    finally:
        one.terminate()
    return False


async def keeps_sessions(connect: Callable[[], Awaitable[Any]]) -> bool:
    """Whether a process of PostgreSQL stays with its connection."""
    one = await connect()
    try:
        first = await one.fetchval(PROCESS)
        if first == one.get_server_pid():
            return True  # nothing in between
        another = await connect()
        try:
            for _ in range(ROUNDS):
                async with another.transaction():
                    taken = await another.fetchval(PROCESS, timeout=SECONDS)
                    if taken == first:
                        return False
                    if await one.fetchval(PROCESS, timeout=SECONDS) != first:
                        return False
        except TimeoutError:
            return True  # each waits for a process of its own
        finally:
            another.terminate()
    finally:
        one.terminate()
    return True


def no_notifications() -> ConfigError:
    """Return the error for notifications that do not arrive."""
    return ConfigError(
        [
            f"{DIRECT}: LISTEN receives nothing that is sent by {URL}: it leads to a "
            "pooler in transaction mode, or to another database. Set it to the address "
            'of PostgreSQL itself (docs/deploy.md, "Behind PgBouncer").'
        ]
    )


def no_session() -> ConfigError:
    """Return the error for a session that a pooler does not keep."""
    return ConfigError(
        [
            f"{DIRECT}: this needs a session of its own, and a pooler in transaction "
            "mode is in between. Set it to the address of PostgreSQL itself "
            '(docs/deploy.md, "Behind PgBouncer").'
        ]
    )
