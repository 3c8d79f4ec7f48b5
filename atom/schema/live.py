"""What the planner knows of a database: `public` and Atom's own schema, as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ColumnState:
    """A column as it is; `datatype` in the words of format_type."""

    name: str
    datatype: str
    not_null: bool = False
    default: str | None = None
    identity: bool = False
    primary: bool = False


@dataclass(frozen=True)
class TableState:
    """A table as it is; `rows` is an estimate, 0 when nothing was ever stored."""

    name: str
    columns: Mapping[str, ColumnState]
    rows: int = 0
    partitioned: bool = False
    part: bool = False  # of a partitioned table


@dataclass(frozen=True)
class IndexState:
    """An index as it is; `constraint` when one needs it."""

    name: str
    table: str
    method: str
    keys: tuple[str, ...]
    classes: tuple[str, ...] = ()
    valid: bool = True
    unique: bool = False
    partial: bool = False
    constraint: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the keys without the quotes PostgreSQL shows around some."""
        return tuple(key.replace('"', "") for key in self.keys)


@dataclass(frozen=True)
class ConstraintState:
    """A constraint as it is; the comment holds the rule of Atom it was made from."""

    validated: bool = True
    comment: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TriggerState:
    """A trigger as it is; the comment holds the version it was made from."""

    comment: str = ""
    enabled: bool = True


@dataclass(frozen=True)
class FunctionState:
    """A function of Atom's schema as it is."""

    comment: str = ""
    source: str = ""


@dataclass(frozen=True)
class ExtensionState:
    """An extension this server has; `schema` is None while it is not installed."""

    schema: str | None = None
    creatable: bool = False


@dataclass(frozen=True)
class Live:
    """Everything the planner compares a declaration with."""

    tables: Mapping[str, TableState] = field(default_factory=dict)
    own: Mapping[str, TableState] = field(default_factory=dict)  # of schema atom
    others: frozenset[str] = frozenset()  # names taken by views, types and the like
    indexes: Mapping[str, IndexState] = field(default_factory=dict)
    own_indexes: frozenset[str] = frozenset()
    constraints: Mapping[tuple[str, str], ConstraintState] = field(default_factory=dict)
    triggers: Mapping[tuple[str, str, str], TriggerState] = field(default_factory=dict)
    functions: Mapping[str, FunctionState] = field(default_factory=dict)
    extensions: Mapping[str, ExtensionState] = field(default_factory=dict)
    applied: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[tuple[str, str]] = frozenset()  # mandatory, and rows without it
    unreadable: frozenset[str] = frozenset()  # what is declared as a regex and is none
    has_own_schema: bool = False  # whether Atom's own schema exists
