"""`cache_sec`: repeat an answer from memory or Redis while it is fresh."""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from time import time
from typing import Any, Self
from urllib.parse import parse_qsl, quote_from_bytes, urlencode

import orjson

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


VARIES = b"\0vary "  # before the headers an answer varies by, in place of one
FORBIDS = re.compile(rb"(?i)\b(?:no-store|private|no-cache)\b")
# Headers of one connection or one answer, and those that are made again.
OF_ONE_ANSWER = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"content-length", b"age", b"date"),
    }
)
OF_304 = frozenset(
    {b"cache-control", b"content-location", b"etag", b"expires", b"link", b"vary"}
)
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
    if not rule.shared:
        if _is_unverified(exchange):
            return await proceed(exchange)
        if exchange.user:
            caller = f"user:{exchange.user['id']}"
            if exchange.state is not None and (claims := exchange.state.claims):
                caller += f"&{quote_from_bytes(orjson.dumps(claims))}"
    for name, value in exchange.scope["headers"]:
        if name == b"prefer":
            caller += f"&{quote_from_bytes(value)}"
    plain = key = key_for(f"GET {exchange.path}", exchange.query, caller)
    kept = await store.get(key)
    if kept is not None and kept.startswith(VARIES):
        key = _varied(exchange, plain, kept)
        kept = await store.get(key)
    if kept is not None:
        return await _replay(exchange, kept)
    if exchange.method == "HEAD":
        return await proceed(exchange)
    filling = _filling.get((id(store), key))
    if filling is not None or not await store.lock(key, FILL_SECONDS):
        kept = await _wait(store, key, filling)
        if kept is not None and not kept.startswith(VARIES):
            return await _replay(exchange, kept)
        return await proceed(exchange)
    _filling[id(store), key] = done = asyncio.Event()
    try:
        await _fill(exchange, proceed, store, plain, rule.seconds)
    finally:
        del _filling[id(store), key]
        done.set()
        await store.unlock(key)


def _is_unverified(exchange: Exchange) -> bool:
    """Whether the caller sent credentials that Atom has not verified."""
    is_verified = bool(exchange.user) or exchange.policy.tier == "root"
    if exchange.has_cookie and not exchange.is_cookie_ours:
        return True
    return bool(exchange.authorization) and not is_verified


def _varied(exchange: Exchange, key: str, kept: bytes) -> str:
    """Name the answer for these values of the headers that it varies by."""
    names = kept.removeprefix(VARIES).split(b",")
    found = [
        b"\0".join(value for each, value in exchange.scope["headers"] if each == name)
        for name in names
    ]
    values = b"&".join([*names, *found])
    return f"{key}#{quote_from_bytes(values)}"


@lru_cache(maxsize=1024)
def _head(head: bytes) -> tuple[float, tuple[tuple[bytes, bytes], ...], bytes]:
    """Read what is kept before a body: when it was made, its headers, its ETag."""
    made, *lines = head.split(b"\n")
    headers = tuple(
        (name, value) for name, _, value in (line.partition(b": ") for line in lines)
    )
    return float(made), headers, dict(headers).get(b"etag", b"")


def _replay(exchange: Exchange, kept: bytes) -> Awaitable[None]:
    """Send a kept answer with its headers, or 304 to a caller who has it."""
    head, _, body = kept.partition(b"\n\n")
    made, headers, etag = _head(head)
    exchange.outcome = "cached"
    if exchange.compressing is not None:
        exchange.compressing.is_kept = True
    age = str(max(int(time() - made), 0)).encode()
    exchange.extra_headers += ((b"x-cache", b"hit"), (b"age", age))
    if etag and _has(exchange, etag):
        return exchange.answer(304, [h for h in headers if h[0] in OF_304], b"")
    length = b"content-length", str(len(body)).encode()
    return exchange.answer(200, [*headers, length], body)


def _has(exchange: Exchange, etag: bytes) -> bool:
    """Whether the caller has this answer (RFC 9110 section 13.1.2, If-None-Match)."""
    asked = [v for name, v in exchange.scope["headers"] if name == b"if-none-match"]
    tags = [tag.strip().removeprefix(b"W/") for tag in b",".join(asked).split(b",")]
    return b"*" in tags or etag.removeprefix(b"W/") in tags


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
    """Let the route answer, and keep the answer if it may be repeated.

    What varies is kept under a name of its own; under `key` is then by what.
    """
    mark = await store.begin()
    tables: set[str] = set()
    token = TABLES_READ.set(tables)
    exchange.captured = bytearray()
    try:
        await proceed(exchange)
    finally:
        TABLES_READ.reset(token)
    body = exchange.captured
    if body is None or exchange.status != 200:
        return
    given = [(name.lower(), value) for name, value in exchange.headers]
    varies = _varies(given)
    if varies is None or not _may_be_kept(given):
        return
    if varies:
        if not await store.set(key, VARIES + varies, seconds, tags=tables, mark=mark):
            return
        key = _varied(exchange, key, VARIES + varies)
    lines = [b"%s: %s" % header for header in given if header[0] not in OF_ONE_ANSWER]
    head = b"\n".join([b"%d" % time(), *lines])
    kept = head + b"\n\n" + bytes(body)
    if await store.set(key, kept, seconds, tags=tables, mark=mark):
        exchange.outcome = "stored"


def _may_be_kept(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether an answer allows to be repeated (RFC 9111 section 3)."""
    for name, value in headers:
        if name == b"set-cookie":
            return False
        if name == b"cache-control" and FORBIDS.search(value):
            return False
    return True


def _varies(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Return the request headers an answer varies by, joined; None for all of them.

    Origin and Accept-Encoding are left out: CORS and gzip are outside of the cache. So
    is Prefer, which is a part of every key.
    """
    values = b",".join(value for name, value in headers if name == b"vary")
    names = {name.strip().lower() for name in values.split(b",")}
    if b"*" in names:
        return None
    return b",".join(sorted(names - {b"", b"origin", b"accept-encoding", b"prefer"}))


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    return Check("cache", _describe(CACHE_SEC.of(policy)))


STEP = Step(
    answer_from_cache,
    "a fresh answer to the same question is repeated",
    keys=(CACHE_SEC,),
    applies=lambda policy: CACHE_SEC.of(policy) is not None,
    explain=_explain,
    whole=True,
)
