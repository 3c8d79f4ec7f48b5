"""`config_is_gzip`: answers above 1 kB are compressed where the client accepts it."""

from collections.abc import Coroutine
from typing import Any

from atom.http.compress import accepts_gzip
from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step


def compress_answers(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Compress on the way out; a client that does not accept it is not slowed down."""
    accepted = exchange.accept_encoding
    if accepted and exchange.ports.http.is_gzip and accepts_gzip(accepted):
        exchange.compress()
    return proceed(exchange)


STEP = Step(compress_answers, "gzip, where the client accepts it")
