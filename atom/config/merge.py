"""The dicts that several config files add to, merged over layer 0 of Atom."""

from collections.abc import Iterable, Mapping
from typing import Any

SCHEMA = "config_postgres_schema"
TABLE = "config_table"
MERGED = (
    "config_api",
    "config_error",
    "config_event",
    "config_role",
    "config_rpc",
    "config_scope",
    TABLE,
    "config_tenant",
    "config_webhook",
    SCHEMA,
)


class Merged:
    """`config_api` and `config_postgres_schema`, merged from layer 0 and all files.

    A file adds to what is there: entries, columns and indexes. Only the same thing
    twice is a fault. A file that repeats layer 0 word for word changes nothing.
    """

    def __init__(self, own: Mapping[str, Mapping[str, Any]]) -> None:
        self.own = own
        self.values: dict[str, dict[str, Any]] = {name: {} for name in MERGED}
        for name in ("config_api", TABLE):
            for key, entry in own.get(name, {}).items():
                self.values[name][key] = dict(entry)
        for part, entries in own.get(SCHEMA, {}).items():
            self.values[SCHEMA][part] = {
                name: list(value) if part == "table" else value
                for name, value in entries.items()
            }
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self._declared: set[tuple[str, Any]] = set()

    def add(self, name: str, value: Any, source: str) -> None:
        """Add one dict of a file."""
        if not isinstance(value, Mapping):
            kind = type(value).__name__
            self.problems.append(f"{name} in {source}: expected a dict, not {kind}")
        elif name == SCHEMA:
            self._add_schema(value, source)
        else:
            for key, entry in value.items():
                self._add_entry(name, key, entry, source)

    def _add_entry(self, name: str, key: Any, entry: Any, source: str) -> None:
        """Add an entry; one of layer 0 keeps the keys that it does not set."""
        if (name, key) in self._declared:
            self.problems.append(f"{name} in {source}: {key!r} is declared twice")
        self._declared.add((name, key))
        own = self.own.get(name, {}).get(key)
        if own is not None and isinstance(entry, Mapping):
            entry = _over(own, entry) if name == TABLE else {**own, **entry}
        self.values[name][key] = entry

    def _add_schema(self, schema: Mapping[str, Any], source: str) -> None:
        repeated = 0
        for part, entries in schema.items():
            if part == "drop" and isinstance(entries, list | tuple):
                self.values[SCHEMA].setdefault(part, []).extend(entries)
                continue
            if not isinstance(entries, Mapping):
                self.problems.append(f"{SCHEMA}[{part!r}] in {source}: expected a dict")
                continue
            own = self.own.get(SCHEMA, {}).get(part, {})
            room = self.values[SCHEMA].setdefault(part, {})
            for key, entry in entries.items():
                lines = room.get(key, []) if part == "table" else None
                if isinstance(lines, list) and isinstance(entry, list | tuple):
                    room[key] = lines
                    repeated += self._add_lines(key, lines, entry, source)
                    continue
                if key in own and entry == own[key]:
                    repeated += 1
                    continue
                if key in room:
                    self.problems.append(
                        f"{SCHEMA} in {source}: {key!r} is declared twice"
                    )
                room[key] = entry
        if repeated:
            self.remarks.append(
                f"{SCHEMA} in {source} repeats {repeated} line(s) that Atom declares: "
                "leave them out."
            )

    def _add_lines(
        self, table: str, lines: list[Any], added: Iterable[Any], source: str
    ) -> int:
        """Add the lines of a table. Return how many layer 0 has already."""
        schema = self.own.get(SCHEMA, {})
        own = {_column(line): line for line in schema.get("table", {}).get(table, ())}
        repeated = 0
        for line in added:
            known = own.get(_column(line))
            if known is None:
                lines.append(line)
            elif line == known:
                repeated += 1
            elif (both := _with_indexes(known, line)) is not None:
                at = lines.index(known)
                lines[at] = own[_column(line)] = both
            else:
                self.problems.append(
                    f"config_postgres_schema in {source}: {table}.{_column(line)} is "
                    f"declared by Atom as {known!r}, which takes more indexes alone"
                )
        return repeated


def _over(own: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of `config_table` over one of layer 0, verb by verb.

    >>> _over({"my": {"read": 1}}, {"my": {"update": 1}, "public": 0})
    {'my': {'read': 1, 'update': 1}, 'public': 0}
    """
    merged = {**own, **entry}
    for tier, verbs in own.items():
        given = merged[tier]
        if isinstance(verbs, Mapping) and isinstance(given, Mapping):
            merged[tier] = {**verbs, **given}
    return merged


def _column(line: Any) -> str:
    """Return the column that a line of a table declares, or ""."""
    if isinstance(line, Mapping):
        return str(line.get("name", ""))
    return str(line).partition("-")[0].strip()


def _with_indexes(own: str, line: Any) -> str | None:
    """Return a line of layer 0 with the indexes of another one added.

    >>> _with_indexes("name-text-0-gin", "name-text-0-btree")
    'name-text-0-gin,btree'
    >>> _with_indexes("name-text-0-gin", "name-integer-0-gin")
    """
    if not isinstance(line, str) or line.count("-") < 3:
        return None
    column, _, given = own.rpartition("-")
    same, _, more = line.rpartition("-")
    if column != same:
        return None
    indexes = [word for word in (*given.split(","), *more.split(",")) if word != "0"]
    return f"{column}-{','.join(dict.fromkeys(indexes)) or '0'}"
