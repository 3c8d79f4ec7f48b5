"""Redis, once for each purpose: the same server may serve them all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key
from atom.errors import ApiError

CONNECTIONS = 50  # of one purpose in one process
WRITTEN = ("atom:doctor", b"")
WAIT = 1.0  # seconds to wait for one of them to come free


async def examine(redis: Any) -> str:
    """Return the version of the server; write a key that ends at once.

    Raises:
        ApiError: when the user of the URL may not write.
    """
    with writing():
        await redis.set(*WRITTEN, px=1)
        return version(await redis.info("server"))


def examine_blocking(redis: Any) -> str:
    """Do the same with a client that blocks."""
    with writing():
        redis.set(*WRITTEN, px=1)
        return version(redis.info("server"))


@contextmanager
def writing() -> Iterator[None]:
    """Raise ApiError, with the cure, when the user of the URL may not write."""
    from redis.exceptions import NoPermissionError, ReadOnlyError

    try:
        yield
    except (NoPermissionError, ReadOnlyError) as error:
        raise ApiError(
            f"The server refuses writes: {error}",
            code="client.refused",
            status=502,
            hint="Give the user of the URL +@all ~*, on a primary server.",
        ) from error


def version(found: Mapping[str, Any]) -> str:
    """Return which server answers, from its INFO.

    >>> version({"redis_version": "7.2.4", "valkey_version": "8.1.0"})
    'Valkey 8.1.0'
    """
    if known := found.get("valkey_version"):
        return f"Valkey {known}"
    return f"Redis {found['redis_version']}"


def declare(
    name: str, key: str, help: str, *, seconds: float, also: tuple[str, ...] = ()
) -> Client:
    """Declare a Redis client that is switched on by one key holding its URL.

    `seconds` bounds connecting, and each answer.
    """

    async def connect(config: Config, live: Live) -> Any:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # Never retry a command after a lost reply: INCR would count twice.
        pool = BlockingConnectionPool.from_url(
            config[key],
            max_connections=CONNECTIONS,
            timeout=WAIT,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )
        redis = Redis.from_pool(pool)
        try:
            await redis.ping()
        except BaseException:
            await redis.aclose()
            raise
        return redis

    return Client(
        name=name,
        needs=(key,),
        package="redis",
        keys=(Key(key, text, None, help, secret=True, also=also),),
        open=connect,
        close=lambda redis: redis.aclose(),
        probe=lambda redis: redis.ping(),
        examine=examine,
    )


CACHE = declare(
    "client_redis",
    "config_redis_url",
    "Redis for cached answers.",
    seconds=2.0,
    also=("REDIS_URL",),
)
RATELIMITER = declare(
    "client_redis_ratelimiter",
    "config_redis_url_ratelimiter",
    "Redis for rate limits. Unset: each process counts for itself.",
    seconds=0.3,
)
PRODUCER = declare(
    "client_redis_producer",
    "config_redis_pubsub_url",
    "Redis for messages.",
    seconds=2.0,
)
