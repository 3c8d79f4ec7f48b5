"""Upserts as data: what finds each document, and what is set. No server is asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError
from atom.mongodb.document import storable

Row = Mapping[str, Any]
KeyFunc = Callable[[Row], Row]


@dataclass(slots=True)
class Upsert:
    """One document: the key that finds it, what is set, and what a new one has more."""

    key: dict[str, Any]
    fields: dict[str, Any]
    on_insert: Row
    size: int

    @property
    def filter(self) -> dict[str, Any]:
        """What finds the document: `$eq`, so that no value is an operator."""
        return {name: {"$eq": value} for name, value in self.key.items()}

    @property
    def update(self) -> dict[str, Any]:
        """What is written: a row wins over what a new document would have."""
        taken = self.fields.keys() | self.key.keys()
        more = {name: self.on_insert[name] for name in self.on_insert.keys() - taken}
        update: dict[str, Any] = {"$setOnInsert": {**more, **self.key}}
        if self.fields:
            update["$set"] = self.fields
        return update


def build(
    rows: Iterable[Row],
    *,
    key_fields: Sequence[str] | str = (),
    key_func: KeyFunc | None = None,
    set_on_insert: Row | None = None,
) -> list[Upsert]:
    """Return the upserts of some rows, each key once: of duplicates, the last wins.

    Raises:
        ApiError: `Missing key field 'x' in document` and the like; `position` is the
            row, counted from 0.
        TypeError: without `key_fields` and `key_func`, or with both.
    """
    fields = (key_fields,) if isinstance(key_fields, str) else tuple(key_fields)
    if bool(fields) is (key_func is not None):
        raise TypeError("bulk_upsert takes either key_fields or key_func")
    on_insert, extra = storable(set_on_insert or {})
    on_insert.pop("_id", None)
    found: dict[Any, Upsert] = {}
    for position, row in enumerate(rows):
        try:
            upsert = _upsert(row, fields, key_func, on_insert)
        except ApiError as error:
            error.position = position
            raise
        upsert.size += extra
        same = found.setdefault(_identity(upsert.key), upsert)
        if same is not upsert:
            same.fields |= upsert.fields
            same.size += upsert.size
    return list(found.values())


def _upsert(
    row: Row, fields: tuple[str, ...], key_func: KeyFunc | None, on_insert: Row
) -> Upsert:
    if not isinstance(row, Mapping):
        raise ApiError("A row is not an object.")
    if key_func is None:
        key = _of_fields(row, fields)
    else:
        try:
            given = key_func(row)
        except KeyError as error:
            raise _missing(error.args[0] if error.args else "") from error
        if not isinstance(given, Mapping) or not given:
            raise TypeError("key_func returns a dict: the fields of the key")
        key = _of_fields(given, tuple(given))
    document, size = storable({name: row[name] for name in row if name != "_id"} | key)
    key = {name: document.pop(name) for name in key}
    return Upsert(key, document, on_insert, size + 100)


def _of_fields(row: Row, fields: tuple[str, ...]) -> dict[str, Any]:
    """Return the key of a row."""
    for name in fields:
        if name not in row:
            raise _missing(name)
        if row[name] is None:
            raise ApiError(f"Null key field '{name}' in document")
        if isinstance(row[name], Mapping | list | tuple | set):
            raise ApiError(f"Key field '{name}' in document is not a single value")
    return {name: row[name] for name in fields}


def _missing(name: object) -> ApiError:
    return ApiError(f"Missing key field '{name}' in document")


def _identity(key: Row) -> Any:
    """Return what two keys of one document have in common.

    >>> _identity({"a": 1}) == _identity({"a": 1.0}) != _identity({"a": True})
    True
    """
    return frozenset(
        (name, isinstance(value, bool), isinstance(value, bytes), value)
        for name, value in key.items()
    )
