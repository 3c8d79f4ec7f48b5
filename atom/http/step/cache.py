"""`cache_sec`: repeat an answer from memory or Redis while it is fresh."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy
from atom.http.route import ROLE
from atom.http.step import Caller, Check, Proceed, Step
from atom.observe.request_context import TABLES_READ
from atom.port import Store

STORES = ("inmemory", "redis")
FILL_SECONDS = 10.0


@dataclass(frozen=True)
class CacheRule:
    """Keep answers in `store` ("inmemory" or "redis") for `seconds`."""

    store: str
    seconds: float
    shared: bool = False

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse `[store, seconds]` or `[store, seconds, "shared"]`."""
        wrong = 'expected ["inmemory" or "redis", seconds above 0, optional "shared"]'
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(wrong)
        if len(value) not in {2, 3} or value[0] not in STORES:
            raise ValueError(wrong)
        if isinstance(value[1], bool) or not isinstance(value[1], int | float):
            raise ValueError(wrong)
        if value[1] <= 0 or value[2:] not in ([], (), ["shared"], ("shared",)):
            raise ValueError(wrong)
        return cls(value[0], value[1], len(value) == 3)

    def describe(self) -> list[Any]:
        """Return the rule as it is written in config_api."""
        return [self.store, self.seconds, *(["shared"] if self.shared else [])]


def _check(rule: CacheRule | None, config: Mapping[str, Any], route: object) -> str:
    """Return what is wrong with a rule: its store, or a check that a hit would skip."""
    needs = getattr(route, "needs", ()) if rule is not None else ()
    if "access" in needs:
        return "cache_sec skips require_access: use the id of the path and is_access: 1"
    if any(each.startswith(ROLE) for each in needs):
        return "cache_sec skips require_role: leave one of the two out"
    if rule is None or rule.store != "redis" or config["config_redis_url"]:
        return ""
    if config["config_workers"] > 1:  # in development they are given a shared one
        return ""
    return "cache_sec redis needs config_redis_url"


def _describe(rule: CacheRule | None) -> Any:
    return rule and rule.describe()


CACHE_SEC: Key[CacheRule | None] = Key(
    "cache_sec",
    "cache",
    CacheRule.parse,
    None,
    form='`["inmemory" or "redis", seconds]`',
    help='GET answers are kept, for each caller apart; a third item `"shared"` keeps '
    "one for all.",
    example=["inmemory", 60],
    describe=_describe,
    check=_check,
)


@lru_cache(maxsize=4096)
def ordered(query: str) -> str:
    """Return a query string in one spelling: sorted, every character escaped alike.

    What one name is given keeps its order: the last may be the one that counts.

    >>> ordered("b=2&a=%41") == ordered("a=A&b=2")
    True
    >>> ordered("a=1&a=2") == ordered("a=2&a=1")
    False
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode(sorted(pairs, key=itemgetter(0)))


def key_for(route: str, query: str, caller: str) -> str:
    """Name the answer to one question asked by one caller.

    Source: RFC 9111 section 3.5, which forbids a shared cache to reuse the answer to a
    request that carried Authorization.
    """
    return f"{route}?{ordered(query)}#{caller}"


# What is being answered right now, so that a second asker waits for the first.
_filling: dict[tuple[int, str], asyncio.Event] = {}


async def answer_from_cache(exchange: Exchange, proceed: Proceed) -> None:
    """Serve a fresh copy if there is one; otherwise proceed and keep the answer."""
    rule = CACHE_SEC.of(exchange.policy)
    assert rule is not None
    store = exchange.ports.stores.get(rule.store)
    if store is None or exchange.method not in {"GET", "HEAD"}:
        return await proceed(exchange)
    caller = "anyone"
    if not rule.shared and exchange.user:
        caller = f"user:{exchange.user['id']}"
    key = key_for(f"GET {exchange.path}", exchange.query, caller)
    if (kept := await store.get(key)) is not None:
        return await _replay(exchange, kept)
    if exchange.method == "HEAD":
        return await proceed(exchange)
    filling = _filling.get((id(store), key))
    if filling is not None or not await store.lock(key, FILL_SECONDS):
        kept = await _wait(store, key, filling)
        if kept is not None:
            return await _replay(exchange, kept)
        return await proceed(exchange)
    _filling[id(store), key] = done = asyncio.Event()
    try:
        await _fill(exchange, proceed, store, key, rule.seconds)
    finally:
        del _filling[id(store), key]
        done.set()
        await store.unlock(key)


def _replay(exchange: Exchange, kept: bytes) -> Awaitable[None]:
    """Send a kept answer: its content type, then its body."""
    media_type, _, body = kept.partition(b"\n")
    exchange.outcome = "cached"
    if exchange.compressing is not None:
        exchange.compressing.is_kept = True
    exchange.extra_headers.append((b"x-cache", b"hit"))
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
    ]
    return exchange.answer(200, headers, body)


async def _wait(store: Store, key: str, filling: asyncio.Event | None) -> bytes | None:
    """Wait for whoever makes the answer, here or in another process."""
    try:
        async with asyncio.timeout(FILL_SECONDS):
            if filling is not None:
                await filling.wait()
                return await store.get(key)
            while (kept := await store.get(key)) is None:
                if await store.lock(key, 0.05):
                    return await store.get(key)
                await asyncio.sleep(0.02)
            return kept
    except TimeoutError:
        return None


async def _fill(
    exchange: Exchange, proceed: Proceed, store: Store, key: str, seconds: float
) -> None:
    """Let the route answer, and keep the answer if it may be repeated."""
    mark = await store.begin()
    tables: set[str] = set()
    token = TABLES_READ.set(tables)
    exchange.captured = bytearray()
    try:
        await proceed(exchange)
    finally:
        TABLES_READ.reset(token)
    body, headers = exchange.captured, dict(exchange.headers)
    if body is None or exchange.status != 200 or b"set-cookie" in headers:
        return
    if b"no-store" in headers.get(b"cache-control", b""):
        return
    kept = headers.get(b"content-type", b"") + b"\n" + bytes(body)
    if await store.set(key, kept, seconds, tags=tables, mark=mark):
        exchange.outcome = "stored"


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    return Check("cache", _describe(CACHE_SEC.of(policy)))


STEP = Step(
    answer_from_cache,
    "a fresh answer to the same question is repeated",
    keys=(CACHE_SEC,),
    applies=lambda policy: CACHE_SEC.of(policy) is not None,
    explain=_explain,
)
