"""How the process logs: one line each on stderr, with the id of the request."""

import logging
import re
from collections.abc import Iterable

from atom.errors import ConfigError
from atom.observe.request_context import REQUEST_ID

CONFIG_ERROR = f"{ConfigError.__module__}.{ConfigError.__qualname__}: "
FORMAT = "%(asctime)s %(levelname)s %(name)s %(request_id)s%(message)s"
# A browser can send the token of a WebSocket only in its URL, which uvicorn logs.
SECRET = re.compile(r"(?i)([?&][^&=\s]*(?:token|otp|password|key)[^&=\s]*=)[^&\s\"]+")


class RequestIdFilter(logging.Filter):
    """Gives every record the id of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`, empty outside of requests; let every record through."""
        known = REQUEST_ID.get()
        record.request_id = f"[{known}] " if known else ""
        return True


class SecretFilter(logging.Filter):
    """Stars what the query of a URL carries to prove who asks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record; let every one through."""
        text = record.getMessage()
        if SECRET.search(text):
            record.msg, record.args = SECRET.sub(r"\1***", text), ()
        return True


class PlainFilter(logging.Filter):
    """Takes the trace away from a fault of config, which says itself what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten what uvicorn logs of an application that could not start."""
        trace, name, told = str(record.msg).rpartition(CONFIG_ERROR)
        if name and "Traceback" in trace:
            record.msg = told.rstrip()
        return True


def configure(level: str) -> None:
    """Log to stderr from `level` on, other people's chatter from warning on."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    handler.addFilter(PlainFilter())
    handler.addFilter(SecretFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("atom", "uvicorn", "consumer"):
        logging.getLogger(name).setLevel(level.upper())
    # It logs a trace for each try to connect to a database that is away.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def remark(remarks: Iterable[str]) -> None:
    """Log what is odd in the config, and not wrong."""
    for each in remarks:
        logging.getLogger("atom").warning("%s", each)
