"""What surrounds the work in hand, wherever in the program it is done."""

from contextvars import ContextVar

# The request this work belongs to, for the log.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

# Tables whose rows go into an answer that will be kept; None while none is kept.
TABLES_READ: ContextVar[set[str] | None] = ContextVar("tables_read", default=None)


def note_read(*tables: str) -> None:
    """Note that rows of these tables were read: writes then make the answer stale."""
    if (noted := TABLES_READ.get()) is not None:
        noted.update(tables)
