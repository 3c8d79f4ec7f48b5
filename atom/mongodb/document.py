"""A row as MongoDB stores it: names and values are data, never operators."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from atom.errors import ApiError, TooLarge, Unprocessable

DEPTH_MAX = 100  # levels of nesting that MongoDB stores
BYTES_MAX = 16 * 1024 * 1024 - 64 * 1024  # of one document, with room for the update


def storable(row: Any) -> tuple[dict[str, Any], int]:
    """Return a row as a document, and its size in bytes.

    Raises:
        ApiError: naming the field that cannot be stored.
        TooLarge: when MongoDB would refuse the document for its size.
    """
    if not isinstance(row, Mapping):
        raise ApiError("A row is not an object.")
    document = {_named(name, top=True): _stored(name, row[name]) for name in row}
    size = _size(document)
    if size > BYTES_MAX:
        raise TooLarge(f"The document has {size:,} bytes; MongoDB stores 16 MB.")
    return document, size


def _named(name: Any, *, top: bool = False) -> str:
    """Return the name of a field, which must not be read as an operator or a path."""
    if not isinstance(name, str):
        raise ApiError(f"The name of a field is text, not {type(name).__name__}.")
    if name.startswith("$") or "\0" in name or not name:
        raise ApiError(
            f"Field name '{_short(name)}' is not stored: it is empty, begins with '$' "
            "or holds a NUL."
        )
    if top and "." in name:
        raise ApiError(f"Field name '{_short(name)}' holds a '.', which is a path.")
    return name


def _stored(name: str, value: Any, depth: int = 1) -> Any:
    """Return a value as BSON has it."""
    if depth > DEPTH_MAX:
        raise ApiError(f"Field '{_short(name)}' is nested too deeply.")
    if isinstance(value, Mapping):
        return {
            _named(key): _stored(name, item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_stored(name, item, depth + 1) for item in value]
    if isinstance(value, Decimal):
        from bson.decimal128 import Decimal128, create_decimal128_context

        return Decimal128(create_decimal128_context().create_decimal(value))
    return value


def _size(document: dict[str, Any]) -> int:
    import bson

    try:
        return len(bson.encode(document))
    except (bson.errors.BSONError, OverflowError, ValueError):
        pass  # which field it is, is found below
    for name, value in document.items():
        try:
            bson.encode({name: value})
        except (bson.errors.BSONError, OverflowError, ValueError) as error:
            raise Unprocessable(
                f"Field '{_short(name)}' holds a value of type "
                f"{type(value).__name__}, which MongoDB does not store.",
                hint="A whole number has 64 bits; a date needs a time.",
            ) from error
    raise Unprocessable("The row cannot be stored by MongoDB.")


def _short(name: str) -> str:
    return name[:60]
