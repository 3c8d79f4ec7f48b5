"""How the process logs: one line each on stderr, with the id of the request."""

import logging

from atom.errors import ConfigError
from atom.trace import REQUEST_ID

FORMAT = "%(asctime)s %(levelname)s %(name)s %(request_id)s%(message)s"


class RequestIdFilter(logging.Filter):
    """Gives every record the id of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`, empty outside of requests; let every record through."""
        known = REQUEST_ID.get()
        record.request_id = f"[{known}] " if known else ""
        return True


class PlainFilter(logging.Filter):
    """Takes the trace away from a fault of config, which says itself what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten what uvicorn logs of an application that could not start."""
        trace, name, told = str(record.msg).partition(f"{ConfigError.__module__}.")
        if name and trace.startswith("Traceback") and told.startswith("ConfigError: "):
            record.msg = told.removeprefix("ConfigError: ").rstrip()
        return True


def configure(level: str) -> None:
    """Log to stderr from `level` on, other people's chatter from warning on."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    handler.addFilter(PlainFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("atom", "uvicorn", "consumer"):
        logging.getLogger(name).setLevel(level.upper())
    # It logs a trace for each try to connect while the database is away; we say it once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
