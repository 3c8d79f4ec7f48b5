"""`cache_sec`: answer from memory or Redis what was answered a moment ago."""

import asyncio
from functools import lru_cache
from operator import itemgetter
from urllib.parse import parse_qsl, urlencode

from atom.http.exchange import Exchange, Proceed, only_if
from atom.observe.request_context import TABLES_READ
from atom.port import Store

FILL_SECONDS = 10.0


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


@only_if(lambda policy: policy.cache is not None)
async def answer_from_cache(exchange: Exchange, proceed: Proceed) -> None:
    """Serve a fresh copy if there is one; otherwise proceed and keep the answer."""
    rule = exchange.policy.cache
    assert rule is not None
    store = exchange.ports.stores.get(rule.store)
    if store is None or exchange.method != "GET":
        return await proceed(exchange)
    caller = "anyone"
    if not rule.shared and exchange.user:
        caller = f"user:{exchange.user['id']}"
    key = key_for(f"GET {exchange.path}", exchange.query, caller)
    if (kept := await store.get(key)) is not None:
        return await _replay(exchange, kept)
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


async def _replay(exchange: Exchange, kept: bytes) -> None:
    """Send a kept answer: its content type, then its body."""
    media_type, _, body = kept.partition(b"\n")
    exchange.outcome = "cached"
    exchange.extra_headers.append((b"x-cache", b"hit"))
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
    ]
    await exchange.send(
        {"type": "http.response.start", "status": 200, "headers": headers}
    )
    await exchange.send({"type": "http.response.body", "body": body})


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
    """Let the route answer, and keep what it said if it may be said again."""
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
