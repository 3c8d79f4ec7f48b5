"""How the process logs: one line each on stderr, with the id of the request."""

import logging
import re
import sys
import sysconfig
from collections.abc import Iterable
from functools import lru_cache

from atom.errors import ConfigError
from atom.observe.request_context import HANDSHAKE_REFUSED, REQUEST_ID

CONFIG_ERROR = f"{ConfigError.__module__}.{ConfigError.__qualname__}: "
FORMAT = "%(asctime)s %(levelname)s %(name)s %(request_id)s%(message)s"
# A browser can send the token of a WebSocket only in its URL, which uvicorn logs.
SECRET = re.compile(r"(?i)([?&][^&=\s]*(?:token|otp|password|key)[^&=\s]*=)[^&\s\"]+")
NOISE = ("ASGI callable returned without completing handshake.", "connection rejected")
OWN = frozenset({"atom", "uvicorn", "consumer", "__main__"})
LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def add_request_id(record: logging.LogRecord) -> bool:
    """Add the id of its request to a record, empty outside of requests."""
    known = REQUEST_ID.get()
    record.request_id = f"[{known}] " if known else ""
    return True


def mask_secrets(record: logging.LogRecord) -> bool:
    """Star the secrets in the query of a URL, but not in a mail of development."""
    if getattr(record, "is_plain", False):
        return True
    text = record.getMessage()
    if SECRET.search(text):
        record.msg, record.args = SECRET.sub(r"\1***", text), ()
    return True


def shorten_config_error(record: logging.LogRecord) -> bool:
    """Remove the trace of a fault of config, which names its own cure."""
    trace, name, fault = str(record.msg).rpartition(CONFIG_ERROR)
    if name and "Traceback" in trace:
        record.msg = fault.rstrip()
    return True


def drop_refused_handshake(record: logging.LogRecord) -> bool:
    """Drop what uvicorn logs again, and as an error, of a WebSocket that was refused.

    The refusal itself is one line at INFO.
    """
    return not (str(record.msg).startswith(NOISE) and HANDSHAKE_REFUSED.get())


@lru_cache(maxsize=1024)
def is_library(name: str) -> bool:
    """Whether a logger has the name of a package that is installed, not the user's."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return name not in OWN and file is not None and file.startswith(LIBRARIES)


def drop_chatter(record: logging.LogRecord) -> bool:
    """Drop what a library logs below WARNING, and make it stop."""
    name, _, _ = record.name.partition(".")
    if record.levelno >= logging.WARNING or not is_library(name):
        return True
    logging.getLogger(name).setLevel(logging.WARNING)
    return False


FILTERS = (
    *(drop_chatter, drop_refused_handshake),
    *(add_request_id, shorten_config_error, mask_secrets),
)


def configure(level: str) -> None:
    """Log to stderr from `level` on; what libraries log, from WARNING on."""
    handler = logging.StreamHandler()
    for each in FILTERS:
        handler.addFilter(each)
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # It logs a trace for each try to connect to a database that is away.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def complete(logger: logging.Logger) -> None:
    """Add the id of the request to what handlers of another program print."""
    for handler in logger.handlers:
        for each in (add_request_id, mask_secrets):
            handler.addFilter(each)


def remark(remarks: Iterable[str]) -> None:
    """Log what is odd in the config, and not wrong."""
    for each in remarks:
        logging.getLogger("atom").warning("%s", each)
