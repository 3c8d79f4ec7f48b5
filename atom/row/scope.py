"""Which tables, rows and columns a caller reaches on the generic row routes.

A `RowScope` is made for one caller of one tier. It returns row sets (which rows) and
visible columns; the statements of `atom.row.sql` are built from those alone.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atom.config.table import TIERS, Declared
from atom.errors import ApiError, Forbidden, Unavailable
from atom.event.envelope import metadata_text
from atom.port import Ports
from atom.postgres.catalog import (
    Catalog,
    Table,
    require_written,
    shown,
    unknown_table,
)
from atom.postgres.condition import CLAIM, ME, UnreadableCondition, claim_text
from atom.row.managed import (
    CLOSED,
    FIXED_CREATE,
    FIXED_UPDATE,
    MANAGED,
    MANAGED_OF,
    MANAGED_PREFIX,
    RIGHTS_CREATE,
    RIGHTS_UPDATE,
    TRACES,
)
from atom.row.rule import CONTEXT, Policy, narrowed, noted
from atom.row.sql.statement import EVERY_ROW, OWNER, Bound, RowSet, Rule

if TYPE_CHECKING:
    from atom.row.hooked import HookedWrite

BIGINT = frozenset({"bigint", "bigint[]"})
OPEN = frozenset({"admin", "trusted"})  # tiers that see users whole

log = logging.getLogger(__name__)


class RowConfig:
    """The rules of config about tables and columns."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.secret = _folded(config["config_column_secret_list"])
        self.disabled = _folded(config["config_column_disabled_list"]) | MANAGED
        self.policy = Policy(config)
        self.broken: Mapping[tuple[str, str, str], str] = {}  # rules, and their faults
        self.limit_max: int = config["config_limit_read_max"]
        self.answer_max = Bound(config["config_answer_max_mb"] * 2**20)
        self.read_seconds: float = config["config_read_timeout_ms"] / 1000
        self.regular_seconds = self.read_seconds / 5  # with a regular expression
        self.write_max: int = config["config_write_rows_max"]
        self.evented: frozenset[str] = frozenset()  # those that note who asked
        self.hooks: Mapping[tuple[str, str], HookedWrite] = {}  # by table and verb
        self.sends = lru_cache(4096)(self._sends)
        self._public = RowScope(self, "public", None)

    def my(self, user: "Caller") -> "RowScope":
        """Return the scope of a user: what `my` of `config_table` opens."""
        return _known(self, "my", user)

    def public(self) -> "RowScope":
        """Return the public scope: what `public` of `config_table` opens."""
        return self._public

    def admin(self, user: "Caller") -> "RowScope":
        """Return the scope of an admin: every table that no entry closes."""
        return _known(self, "admin", user)

    def trusted(self, user_id: int | None) -> "RowScope":
        """Return the scope of trusted code: every row, on behalf of a user."""
        return RowScope(self, "trusted", user_id)

    def has_hooks(self, table: str, *verbs: str) -> bool:
        """Whether a table has hooks for one of these verbs."""
        return any((table, verb) in self.hooks for verb in verbs)

    def _sends(self, tier: str, table: str, column: str, create: bool) -> bool:
        """Whether callers of a tier may send a column, however it is spelt."""
        word = column.casefold().strip()
        if tier not in OPEN:
            if self.managed(table, column):
                return False
        elif word in (FIXED_CREATE if create else FIXED_UPDATE):
            return False
        if tier == "trusted":
            return True
        if tier == "admin" and table == "users":
            if word in (RIGHTS_CREATE if create else RIGHTS_UPDATE):
                return False
            if not create and word.startswith(MANAGED_PREFIX):
                return False
        verb = "create" if create else "update"
        return self.policy.sends(table, tier, verb, column, tier in OPEN)

    def managed(self, table: str, column: str) -> bool:
        """Whether users may not write a column, in any spelling."""
        word = column.casefold().strip()
        return (
            word in self.disabled
            or word.startswith(MANAGED_PREFIX)
            or word in MANAGED_OF.get(table, ())
        )


Caller = int | Mapping[str, Any]  # the id of a user, or the claims of their token


def _known(rules: RowConfig, tier: str, user: Caller) -> "RowScope":
    if isinstance(user, int):
        return RowScope(rules, tier, user)
    return RowScope(rules, tier, int(user["id"]), claims=user)


def _folded(names: Any) -> frozenset[str]:
    return frozenset(str(name).casefold() for name in names)


@dataclass(frozen=True, slots=True)
class RowScope:
    """One caller on one tier: my, public or admin."""

    rules: RowConfig
    tier: str
    user_id: int | None
    bigint_text: bool = False  # what is shown of a bigint is text
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False)
    by_key: bool = False  # by an API key, which writes no user

    def __post_init__(self) -> None:
        tier = self.tier
        if tier == "trusted":
            return
        if tier not in TIERS:
            raise ValueError(f"there is no tier {tier}")
        if (self.user_id is None) is not (tier == "public"):
            raise ValueError("a caller of /my and /admin is known, of /public is not")

    def value(self, name: str) -> Any:
        """Return what a statement takes of the caller: `me`, a claim, or metadata."""
        if name == ME:
            return self.user_id
        if name == CONTEXT:
            return metadata_text()
        return claim_text(self.claims.get(name.removeprefix(CLAIM)))

    def rule(self, table: Table, verb: str) -> Rule | None:
        """Return what a verb may do with a table, None where it is closed.

        Raises:
            Unavailable: `row.rule_broken` when the rule does not fit the table.
        """
        found = self._rule(table, verb)
        if found is None or verb == "read" or table.name not in self.rules.evented:
            return found
        return noted(found, verb)

    def _rule(self, table: Table, verb: str) -> Rule | None:
        if self.tier == "trusted":
            return self.rules.policy.every(table)
        if verb != "read":
            closed = TRACES if self.tier == "admin" else CLOSED
            if table.name in closed or (self.by_key and table.name == "users"):
                return None
        return self._compiled(table, self.tier, verb)

    def _compiled(
        self, table: Table, tier: str, verb: str, declared: Declared | None = None
    ) -> Rule | None:
        if self.rules.broken and (table.name, tier, verb) in self.rules.broken:
            raise broken(table.name)
        try:
            return self.rules.policy.compile(table, tier, verb, declared)
        except UnreadableCondition as error:
            log.error("rule of %s, %s, %s: %s", table.name, tier, verb, error)
            raise broken(table.name) from error

    def rows(self, catalog: Catalog, name: str, verb: str) -> RowSet:
        """Return the rows of a table that a verb reaches, or that it may add.

        Every row set of the row routes is made here, by the rules of `config_table`,
        and `statement.reached` writes its condition.

        Raises:
            NotFound: `sql.unknown_table`.
            Forbidden: `row.table_not_allowed`.
            Unavailable: `row.rule_broken`.
        """
        table = catalog.tables.get(name)
        if table is None:
            if self.tier == "public":
                raise not_allowed(self._open(catalog, verb))
            raise unknown_table(name, self._open(catalog, verb))
        if verb != "read":
            require_written(table)
        rule = self.rule(table, verb)
        if rule is None and name == "users" and self.tier == "my" and verb != "read":
            raise not_allowed((), "See /auth and /my/object-update for one's account.")
        if rule is None:
            raise not_allowed(self._open(catalog, verb))
        return RowSet(table, rule)

    def _open(self, catalog: Catalog, verb: str) -> list[str]:
        """Return the names of the tables that a verb of this tier is open for."""
        if self.tier == "trusted":
            return list(catalog.tables)
        policy, tier = self.rules.policy, self.tier
        return [name for name in catalog.tables if policy.verb(name, tier, verb)]

    def call(self, row_set: RowSet, text: str, *values: Any) -> tuple[Any, ...]:
        """Return a statement on rows that are there, and all its parameters."""
        return self.bind(row_set.rule.takes, text, *values)

    def bind(self, takes: tuple[str, ...], text: str, *values: Any) -> tuple[Any, ...]:
        """Return a statement and its parameters: what it takes of the caller first."""
        return text, *map(self.value, takes), *values

    def readable(
        self, catalog: Catalog, name: str, with_deleted: bool = False
    ) -> RowSet:
        """Return the rows of a table this caller may read; raises as `rows`."""
        found = self.rows(catalog, name, "read")
        if not with_deleted:
            return found
        if self.tier not in OPEN:
            raise ApiError("'deleted' is for /admin.")
        return RowSet(found.table, self.rules.policy.undeleted(found.table, self.tier))

    def creatable(self, catalog: Catalog, name: str) -> RowSet:
        """Return a table this caller may add rows to; raises as `rows`."""
        return self.rows(catalog, name, "create")

    def changeable(self, catalog: Catalog, name: str, verb: str = "update") -> RowSet:
        """Return the rows of a table this caller may change; raises as `rows`."""
        return self.rows(catalog, name, verb)

    def deletable(self, catalog: Catalog, name: str) -> RowSet:
        """Return the rows that filters may find to be deleted: those one reads, too."""
        rows = self.rows(catalog, name, "delete")
        readable = self.rows(catalog, name, "read")
        return RowSet(rows.table, narrowed(rows.rule, readable.rule))

    def visible_columns(self, catalog: Catalog, name: str) -> Table:
        """Return the columns of a table that may be shown and filtered."""
        view = visible(catalog, self.rules.secret, self.bigint_text).table(name)
        if self.tier == "trusted":
            return view
        declared = self.rules.policy.verb(name, self.tier, "read")
        if declared is None or declared.columns is None:
            return view
        return only(view, declared.columns)

    def creators(self, catalog: Catalog) -> RowSet | None:
        """Return what may be shown of users with the rows they made."""
        found = self.others(catalog)
        return None if found is None else RowSet(found[1], found[0].rule)

    def others(self, catalog: Catalog) -> tuple[RowSet, Table] | None:
        """Return the users that rows refer to, with the columns that others see."""
        shown = visible(catalog, self.rules.secret, self.bigint_text)
        view = shown.tables.get("users")
        if view is None:
            return None
        users = catalog.table("users")
        if self.tier in OPEN:
            return self.rows(catalog, "users", "read"), view
        if (others := self.rules.policy.others()) is None:
            return None
        declared, columns = others
        rule = self._compiled(users, "public", "read", declared)
        return RowSet(users, rule or EVERY_ROW), only(view, (users.key, *columns))

    def parent(self, catalog: Catalog, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that may be shown with those that refer to them.

        Anyone can write a row that refers to another, so referring grants nothing: the
        rule of the table itself decides. What is public is open to users, too.
        """
        if name == "users":
            return self.others(catalog)
        policy = self.rules.policy
        own, public = policy.verb(name, self.tier, "read"), None
        if self.tier == "my":
            public = policy.verb(name, "public", "read")
        scope = self
        if public is not None and (own is None or _opens_more(public, own)):
            scope = replace(self.rules.public(), bigint_text=self.bigint_text)
        try:
            rows = scope.readable(catalog, name)
        except Forbidden:
            return None
        return rows, scope.visible_columns(catalog, name)

    def require_writable(self, table: str, column: str, *, create: bool) -> None:
        """Refuse a column that this caller never writes, however it is spelt.

        Raises:
            ApiError: `row.managed_column`, naming it.
        """
        if not self.sends(table, column, create=create):
            raise ApiError(
                f"Column '{shown(column)}' may not be written.",
                code="row.managed_column",
            )

    def sends(self, table: str, column: str, *, create: bool) -> bool:
        """Whether this caller may send a column, of a new row or a change."""
        return self.rules.sends(self.tier, table, column, create)

    def stamps(self, table: Table, *, create: bool) -> dict[str, int]:
        """Return what the server itself writes: who made a row, who changed it."""
        column = OWNER if create else "updated_by_id"
        if self.user_id is None or column not in table.columns:
            return {}
        return {column: self.user_id}


def not_allowed(allowed: Iterable[str], hint: str = "") -> Forbidden:
    """Return the error for a table that is closed."""
    names = ", ".join(sorted(allowed))
    return Forbidden(
        "table not allowed",
        code="row.table_not_allowed",
        hint=hint or (f"Open: {names}" if names else ""),
    )


def broken(name: str) -> Unavailable:
    """Return the error for a table with a rule that does not fit it any more."""
    return Unavailable(
        f"Table '{name}' is closed: its rule in config_table cannot be applied.",
        code="row.rule_broken",
        hint="The log has the reason.",
    )


def _opens_more(public: Declared, own: Declared) -> bool:
    """Whether a rule reaches every row, and at least the columns of another."""
    if public.where is not None or public.roles:
        return False
    if public.columns is None:
        return True
    return own.columns is not None and set(own.columns) <= set(public.columns)


@lru_cache(16)
def visible(
    catalog: Catalog,
    secret: frozenset[str],
    bigint_text: bool = False,
) -> Catalog:
    """Return the catalog without secret columns: those do not exist outside.

    Every name a caller writes is looked up here, so a secret column looks like
    one that does not exist.
    """
    tables = {
        name: replace(table, columns=_without(table, secret))
        for name, table in catalog.tables.items()
    }
    if bigint_text:
        tables = {name: in_text(table) for name, table in tables.items()}
    return Catalog(MappingProxyType(tables))


def in_text(table: Table) -> Table:
    """Return a table of which bigints are shown as text."""
    columns = {
        name: replace(column, in_text=True) if column.datatype in BIGINT else column
        for name, column in table.columns.items()
    }
    return replace(table, columns=MappingProxyType(columns))


@lru_cache(256)
def only(table: Table, columns: tuple[str, ...]) -> Table:
    """Return a table with some of its columns alone."""
    kept = {name: each for name, each in table.columns.items() if name in columns}
    return replace(table, columns=MappingProxyType(kept))


@lru_cache(256)
def without(table: Table, hidden: frozenset[str]) -> Table:
    """Return a table without some of its columns."""
    return replace(table, columns=_without(table, hidden))


def _without(table: Table, hidden: frozenset[str]) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            name: column
            for name, column in table.columns.items()
            if name.casefold() not in hidden
        }
    )


def visible_columns(ports: Ports, name: str, *, bigint_text: bool = False) -> Table:
    """Return a table without secret columns; the same object while it is the same.

    With `bigint_text` whole numbers of 64 bits are shown as text. A column with
    `password` in its name is always secret.

    Raises:
        NotFound: `sql.unknown_table`.
    """
    table = ports.database.catalog.table(name)
    return _open(table, tuple(ports.config["config_column_secret_list"]), bigint_text)


@lru_cache(64)
def _open(table: Table, secret: tuple[str, ...], bigint_text: bool) -> Table:
    hidden = {name.casefold() for name in secret}
    hidden |= {name for name in map(str.casefold, table.columns) if "password" in name}
    found = without(table, frozenset(hidden))
    return in_text(found) if bigint_text else found


@dataclass(frozen=True, slots=True)
class ScopedRelatives:
    """`atom.row.sql.relation.Relatives`, as one caller reaches them."""

    scope: RowScope
    live: Catalog

    @property
    def catalog(self) -> Catalog:
        """Return every table, without secret columns."""
        return visible(self.live, self.scope.rules.secret, self.scope.bigint_text)

    def child(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that this caller may read, None when none are."""
        try:
            row_set = self.scope.readable(self.live, name)
        except Forbidden:
            return None
        return row_set, self.scope.visible_columns(self.live, name)

    def parent(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows that may be shown with those that refer to them."""
        return self.scope.parent(self.live, name)
