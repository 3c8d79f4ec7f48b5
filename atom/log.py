"""How the process logs: one line each on stderr, with the id of the request."""

import logging

from atom.trace import REQUEST_ID

FORMAT = "%(asctime)s %(levelname)s %(name)s %(request_id)s%(message)s"


class RequestIdFilter(logging.Filter):
    """Gives every record the id of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`, empty outside of requests; let every record through."""
        known = REQUEST_ID.get()
        record.request_id = f"[{known}] " if known else ""
        return True


def configure(level: str) -> None:
    """Log to stderr from `level` on, other people's chatter from warning on."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("atom", "uvicorn", "consumer"):
        logging.getLogger(name).setLevel(level.upper())
