"""Values of JSON lines, read by the datatype of their column and written for COPY.

A whole column of some thousand rows is looked at in one go, as in `cell`; only
what is not plain is read value by value. COPY takes them as text: tabs between cells,
\\N for NULL. Blocking: run it in a thread.
"""

import re
from collections.abc import Sequence
from typing import Any

from atom.account.name import validate
from atom.datatype import limit, value
from atom.datatype.families import BY_NAME
from atom.datatype.number import INTEGERS
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn
from atom.transfer.cell import Target, spelt

NULL = "\\N"
SPECIAL = re.compile(r"[\\\t\n\r\0]")


def escaped(text: str) -> str:
    """Write a text as a cell.

    >>> escaped("a\\tb")
    'a\\\\tb'
    """
    if SPECIAL.search(text) is None:
        return text
    text = text.replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")


class Column(Target):
    """One member of the objects, and how its values reach COPY."""

    def __init__(
        self, live: LiveColumn, *, filled: bool, is_name: bool = False
    ) -> None:
        super().__init__(live, filled=filled, is_name=is_name)
        kind = self._kind
        self._read = value.reader(live)
        # Texts are read as those of a CSV file where JSON has nothing else for them.
        if kind.family == "bytes" or (
            BY_NAME[kind.family].schema.get("type") != "string"
        ):
            self._plain = None

    def cells(self, raws: Sequence[Any], lines: Sequence[int]) -> Sequence[str]:
        """Return the values as cells.

        Raises:
            ApiError: `transfer.unreadable_value`, naming line, column and value.
        """
        kinds = set(map(type, raws))
        if type(None) not in kinds:
            return self._values(raws, lines, kinds)
        if self._filled:
            at = lines[list(raws).index(None)]
            raise self.fault(at, "", "is null")
        given = [
            (raw, line)
            for raw, line in zip(raws, lines, strict=True)
            if raw is not None
        ]
        if not given:
            return [NULL] * len(raws)
        values, places = zip(*given, strict=True)
        made = iter(self._values(values, places, kinds - {type(None)}))
        return [NULL if raw is None else next(made) for raw in raws]

    def _values(
        self, raws: Sequence[Any], lines: Sequence[int], kinds: set[type]
    ) -> Sequence[str]:
        family = self._kind.family
        if self._is_password:
            self._check_hashes(zip(raws, lines, strict=True))
            return raws
        if self._is_name:
            return [self._one(raw, line) for raw, line in zip(raws, lines, strict=True)]
        if kinds == {int} and family in {"integer", "number"}:
            bound = INTEGERS.get(self._kind.name)
            if bound is None or (-bound <= min(raws) and max(raws) < bound):
                return list(map(str, raws))
        elif kinds <= {int, float} and (
            family == "number" or self._kind.name == "double precision"
        ):
            return list(map(str, raws))
        elif kinds == {str}:
            joined = "\0".join(raws)
            if joined.count("\0") < len(raws):  # no text holds one itself
                if family == "text":
                    is_escaped = any(each in joined for each in "\\\n\t\r")
                    return list(map(escaped, raws)) if is_escaped else raws
                if self._plain is not None and self._plain.fullmatch(joined + "\0"):
                    return raws
        elif kinds == {bool} and family == "boolean":
            return ["t" if raw else "f" for raw in raws]
        return [self._one(raw, line) for raw, line in zip(raws, lines, strict=True)]

    def _one(self, raw: Any, line: int) -> str:
        """Read a value as rows are read everywhere."""
        try:
            read = self._read(raw)
            limit.check(self._live, read)
            if self._is_name:
                read = validate(self.name, read)
        except ApiError as error:
            if error.status != 400:
                error.message = f"line {line}: {error.message}"
                raise
            raise self.fault(line, raw, self._rule(error)) from None
        return escaped(spelt(read, self._kind))
