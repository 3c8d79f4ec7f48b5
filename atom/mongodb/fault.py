"""Errors of the driver as those of a caller; values of documents are not in them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from atom.client import MISSING, SILENT
from atom.errors import ApiError, Conflict, Unavailable, Unprocessable

DUPLICATE = 11000
INVALID = 121  # a document that breaks a rule of its collection
FORBIDDEN = (13, 18)


@contextmanager
def answered() -> Iterator[None]:
    """Raise errors of the driver as errors with a status.

    Raises:
        Conflict: `row.exists`, for a unique index.
        Unprocessable: `value.refused`, for a rule of the collection.
        Unavailable: `client.silent` when MongoDB does not answer, `client.missing` when
            it refuses the user of `config_mongodb_url`.
    """
    from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

    try:
        yield
    except BulkWriteError as error:
        faults = error.details.get("writeErrors", ())
        raise next(map(of_one, faults), None) or _silent() from error
    except OperationFailure as error:
        if error.timeout:
            raise _silent() from error
        known = of_code(error.code, error.details or {})
        if known is None:
            raise
        raise known from error
    except PyMongoError as error:
        if not _is_absent(error):
            raise
        raise _silent() from error


def of_one(fault: Mapping[str, Any]) -> ApiError:
    """Return the error for one document of many."""
    return of_code(fault.get("code"), fault) or Unprocessable(
        "MongoDB refused a document.", hint=f"Its code is {fault.get('code')}."
    )


def of_code(code: Any, details: Mapping[str, Any]) -> ApiError | None:
    """Return the error for a code of MongoDB, None for any other."""
    if code == DUPLICATE:
        names = ", ".join(details.get("keyPattern", ()))
        what = f"this {names}" if names else "these values"
        return Conflict(f"A document with {what} exists already.", code="row.exists")
    if code == INVALID:
        return Unprocessable("The document breaks a rule of its collection.")
    if code in FORBIDDEN:
        return Unavailable(
            "client_mongodb may not do this.",
            code=MISSING,
            hint="Grant readWrite to the user of config_mongodb_url.",
            seconds=60,
        )
    return None


def _is_absent(error: Exception) -> bool:
    from pymongo.errors import ConnectionFailure, WaitQueueTimeoutError

    return isinstance(error, ConnectionFailure | WaitQueueTimeoutError) or bool(
        getattr(error, "timeout", False)
    )


def _silent() -> Unavailable:
    return Unavailable(
        "client_mongodb does not answer.",
        code=SILENT,
        hint="Check config_mongodb_url and that the service runs.",
        seconds=5,
    )
