"""`is_log`: one row of log_api for every request, and nothing secret in it."""

import re
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from urllib.parse import unquote

from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy, flag
from atom.http.step import Proceed, Step

IS_LOG: Key[bool] = Key(
    "is_log",
    "log",
    flag,
    True,
    form="0 or 1, default 1",
    help="Whether a row is written to `log_api`. Unset: not for `/`, `/metrics` and "
    "`/health…`, which probes ask.",
    example=0,
)

TYPES = {"background": 1, "cached": 2, "executed": 3, "stored": 4, "refused": 5}
WORDS = "otp|token|password|passwd|pwd|secret|key|authorization|code"
SUSPECT = re.compile(WORDS)
SECRET = re.compile(rf"(?i)((?:^|&)[^&=]*(?:{WORDS})[^&=]*=)[^&]*")
ESCAPED = re.compile(r"(^|&)([^&=]*%[^&=]*)")  # a name with an escape in it
QUERY_MAX = 2000


def masked(query: str) -> str:
    """Return a query string with the values of secret-looking names starred.

    >>> masked("a=1&otp=123456&google_token=x")
    'a=1&otp=***&google_token=***'
    >>> masked("%6ftp=123456&a=%41")
    'otp=***&a=%41'
    """
    if "%" in query:
        query = ESCAPED.sub(_plain, query)
    elif SUSPECT.search(query.lower()) is None:  # quicker, and the usual case
        return query[:QUERY_MAX]
    return SECRET.sub(r"\1***", query)[:QUERY_MAX]


def _plain(name: re.Match[str]) -> str:
    """Decode a name as the route does, unless that would hide where it ends."""
    read = unquote(name[2])
    return name[0] if {"&", "="} & set(read) else name[1] + read


def row(exchange: Exchange, milliseconds: float) -> tuple[Any, ...]:
    """Return the row of one exchange, in the order of the journal's COLUMNS."""
    outcome, status = exchange.outcome, exchange.status
    if status >= 400 and outcome != "background":
        outcome = "refused"
    return (
        datetime.now(UTC),
        exchange.user.get("id"),
        exchange.address,
        TYPES[outcome],
        exchange.path[:512],
        exchange.method,
        masked(exchange.query),
        status or None,
        int(milliseconds * 1000) / 1000,
        exchange.description or None,
    )


async def record(exchange: Exchange, proceed: Proceed) -> None:
    """Record the caller, the question, the status and the time it took, in ms."""
    journal = exchange.ports.journal
    start = perf_counter()

    def write(exchange: Exchange) -> None:
        journal.append(row(exchange, (perf_counter() - start) * 1000))

    exchange.after = write  # which does not hold the exchange: no cycle to collect
    try:
        await proceed(exchange)
    finally:
        if not exchange.deferred:
            write(exchange)


def _applies(policy: RoutePolicy) -> bool:
    """Whether requests are recorded: those of a probe only with is_log: 1."""
    _, _, path = policy.name.partition(" ")
    is_probe = path in ("/", "/metrics") or policy.tier == "health"
    logged: bool = policy.values.get(IS_LOG.field, not is_probe)
    return logged


STEP = Step(
    record,
    "one row of log_api",
    keys=(IS_LOG,),
    applies=_applies,
)
