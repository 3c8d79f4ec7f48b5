"""Which tables, rows and columns a caller reaches on the generic row routes.

A `RowScope` is made for one caller of one tier. It returns row sets (which rows) and
visible columns; the statements of `atom.row.sql` are built from those alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atom.errors import ApiError, Forbidden
from atom.port import Ports
from atom.postgres.catalog import (
    Catalog,
    Table,
    require_written,
    shown,
    unknown_table,
)
from atom.row.sql.answer import Bound
from atom.row.sql.relation import references
from atom.row.sql.statement import OWNER, RowSet, Statement

if TYPE_CHECKING:
    from atom.row.hooked import HookedWrite

# What the server itself keeps, in any table; only an admin writes some of it.
MANAGED = frozenset(
    {
        "id",
        "created_by_id",
        "updated_by_id",
        "created_at",
        "updated_at",
        "is_protected",
        "password",
        "password_bigint",
    }
)
MANAGED_PREFIX = "google_"
# is_read belongs to who received a message, and object-update to who sent it.
MANAGED_OF = {"message": frozenset({"is_read"}), "users": frozenset({"type"})}
# Not even an admin: who made a row and when stays true.
FIXED_CREATE = frozenset(
    {"id", "created_at", "updated_at", "created_by_id", "updated_by_id"}
)
FIXED_UPDATE = frozenset({"id", "created_at", "updated_at", "updated_by_id"})
# Rights and status of users, written by /admin/user-rights-update and nothing else.
RIGHTS = (
    "is_active",
    "is_verified",
    "is_deleted",
    "is_protected",
    "api_access",
    "role",
    "type",
    "status",
)
# Of users, refused to an admin: these rights, and what a user proves to be themself by.
RIGHTS_CREATE = frozenset(RIGHTS) - {"type"}
RIGHTS_UPDATE = frozenset({*RIGHTS, "password", "password_bigint"})
# An admin reads them and writes none: traces of what was done, keys to accounts.
TRACES = frozenset({"otp", "log_password", "log_api"})
# Written by routes of their own. A user's row of otp would be a key to any account.
CLOSED = frozenset({"users", "otp", "log_password", "log_api"})
BIGINT = frozenset({"bigint", "bigint[]"})
OPEN = frozenset({"admin", "trusted"})  # tiers that reach every table
# What one user does not learn of another through rows that point to that user.
PERSONAL = frozenset(
    {
        "api_access",
        "email",
        "google_id",
        "last_active_at",
        "location",
        "metadata",
        "mobile",
        "updated_at",  # moves with last_active_at
        "username_bigint",
    }
)


class RowConfig:
    """The rules of config about tables and columns."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.secret = _folded(config["config_column_secret_list"])
        self.disabled = _folded(config["config_column_disabled_list"]) | MANAGED
        self.public_create = frozenset(
            config["config_table_allowed_public_create_list"]
        )
        self.public_read = frozenset(config["config_table_allowed_public_read_list"])
        self.limit_max: int = config["config_limit_read_max"]
        self.answer_max = Bound(config["config_answer_max_mb"] * 2**20)
        self.read_seconds: float = config["config_read_timeout_ms"] / 1000
        self.write_max: int = config["config_write_rows_max"]
        self.hooks: Mapping[tuple[str, str], HookedWrite] = {}  # by table and verb

    def my(self, user_id: int) -> "RowScope":
        """Return the scope of a user: the rows they created."""
        return RowScope(self, "my", int(user_id))

    def public(self) -> "RowScope":
        """Return the public scope: the rows of tables open to everyone."""
        return RowScope(self, "public", None)

    def admin(self, user_id: int) -> "RowScope":
        """Return the scope of an admin: every row of every table."""
        return RowScope(self, "admin", int(user_id))

    def trusted(self, user_id: int | None) -> "RowScope":
        """Return the scope of trusted code: an admin's, on behalf of a user."""
        return RowScope(self, "trusted", user_id)

    def has_hooks(self, table: str, *verbs: str) -> bool:
        """Whether a table has hooks for one of these verbs."""
        return any((table, verb) in self.hooks for verb in verbs)

    def managed(self, table: str, column: str) -> bool:
        """Whether users may not write a column, in any spelling."""
        word = column.casefold().strip()
        return (
            word in self.disabled
            or word.startswith(MANAGED_PREFIX)
            or word in MANAGED_OF.get(table, ())
        )


def _folded(names: Any) -> frozenset[str]:
    return frozenset(str(name).casefold() for name in names)


@dataclass(frozen=True, slots=True)
class RowScope:
    """One caller on one tier: my, public or admin."""

    rules: RowConfig
    tier: str
    user_id: int | None
    bigint_text: bool = False  # what is shown of a bigint is text

    def __post_init__(self) -> None:
        if self.tier == "trusted":
            return
        if self.tier not in {"my", "public", "admin"}:
            raise ValueError(f"there is no tier {self.tier}")
        if (self.user_id is None) is not (self.tier == "public"):
            raise ValueError("a caller of /my and /admin is known, of /public is not")

    @property
    def owner(self) -> int | None:
        """The owner of the rows; None when they do not belong to one user."""
        return self.user_id if self.tier == "my" else None

    def rows(self, table: Table, *, owned: bool) -> RowSet:
        """Return rows of a table, of a caller's own or of everyone.

        Every row set of the row routes is made here, and `statement.reached` writes
        its condition: whatever else decides which rows a caller reaches belongs here.
        """
        return RowSet(table, owned)

    def call(self, row_set: RowSet, text: str, *values: Any) -> tuple[Any, ...]:
        """Return a statement and its parameters; the owner is the first, if any."""
        return text, *Statement(text, values, row_set.owned).bound(self.owner)

    def row_set(self, catalog: Catalog, name: str) -> RowSet:
        """Return the rows of a table this caller reaches.

        Raises:
            NotFound: `sql.unknown_table`.
            ApiError: when a table of /my has no owner column.
        """
        found = catalog.tables.get(name)
        if found is None:
            raise unknown_table(name, catalog.tables if self.tier != "public" else ())
        return self.rows(found, owned=self.tier == "my")

    def readable(self, catalog: Catalog, name: str) -> RowSet:
        """Return the rows of a table this caller may read.

        Raises:
            Forbidden: `row.table_not_allowed` on a table closed to the public.
        """
        if self.tier == "public" and name not in self.rules.public_read:
            raise not_allowed(name, self.rules.public_read)
        return self.row_set(catalog, name)

    def visible_columns(self, catalog: Catalog, name: str) -> Table:
        """Return the columns of a table that may be shown and filtered."""
        return visible(catalog, self.rules.secret, self.bigint_text).table(name)

    def creators(self, catalog: Catalog) -> RowSet | None:
        """Return what may be shown of users with the rows they made."""
        shown = visible(catalog, self.rules.secret, self.bigint_text)
        users = shown.tables.get("users")
        if users is None:
            return None
        if self.tier not in OPEN:
            users = without(users, PERSONAL)
        return self.rows(users, owned=False)

    def parents(
        self, catalog: Catalog, row_set: RowSet, name: str, column: str
    ) -> RowSet:
        """Return the parents of one's own rows: their rows and columns that are shown.

        Anyone can write a row that names any parent, so naming grants nothing: only a
        table that is open to read, or one's own parent by its name, may be asked for.

        Raises:
            Forbidden: `row.table_not_allowed` for any other table.
        """
        parent = self.visible_columns(catalog, name)
        if name == "users":
            return self.rows(without(parent, PERSONAL), owned=False)
        if name in self.rules.public_read:
            return self.rows(parent, owned=False)
        named = {f"{name}_id", f"{name.removesuffix('s')}_id"}
        if name == row_set.table.name:
            named.add("parent_id")
        known = references(visible(catalog, self.rules.secret))
        refers = known.get(row_set.table.name, {}).get(column)
        if refers is not None and refers.table == name:
            named.add(column)  # declared, so it may be called as it likes
        if name not in CLOSED and column in named:
            return self.rows(parent, owned=row_set.owned)
        raise Forbidden(
            f"Table '{shown(name)}' is not a parent of '{row_set.table.name}' by column"
            f" '{shown(column)}'.",
            code="row.table_not_allowed",
            hint=f"A column that refers to it is called {name[:50]}_id, or is declared"
            " with a foreign key.",
        )

    def creatable(self, catalog: Catalog, name: str) -> RowSet:
        """Return a table this caller may add rows to.

        Raises:
            Forbidden: `row.table_not_allowed`.
        """
        if self.tier == "public" and name not in self.rules.public_create:
            raise not_allowed(name, self.rules.public_create)
        return self.changeable(catalog, name)

    def changeable(self, catalog: Catalog, name: str) -> RowSet:
        """Return the rows of a table this caller may change.

        Raises:
            Forbidden: `row.table_not_allowed` on a table with routes of its own.
        """
        row_set = self.row_set(catalog, name)
        require_written(row_set.table)
        closed = TRACES if self.tier == "admin" else CLOSED
        if self.tier != "trusted" and name in closed:
            raise Forbidden(
                f"Rows of table '{name}' are not written here.",
                code="row.table_not_allowed",
                hint="See /auth and /my/object-update for one's own account."
                if name == "users"
                else "",
            )
        return row_set

    def require_writable(self, table: str, column: str, *, create: bool) -> None:
        """Refuse a column that this caller never writes, however it is spelt.

        Raises:
            ApiError: `row.managed_column`, naming it.
        """
        if self.tier in OPEN:
            fixed = FIXED_CREATE if create else FIXED_UPDATE
            word = column.casefold().strip()
            refused = word in fixed
            if self.tier == "admin" and table == "users" and not refused:
                rights = RIGHTS_CREATE if create else RIGHTS_UPDATE
                refused = word in rights or (
                    not create and word.startswith(MANAGED_PREFIX)
                )
        else:
            refused = self.rules.managed(table, column)
        if refused:
            raise ApiError(
                f"Column '{shown(column)}' may not be written.",
                code="row.managed_column",
            )

    def stamps(self, table: Table, *, create: bool) -> dict[str, int]:
        """Return what the server itself writes: who made a row, who changed it."""
        column = OWNER if create else "updated_by_id"
        if self.user_id is None or column not in table.columns:
            return {}
        return {column: self.user_id}


def not_allowed(name: str, allowed: frozenset[str]) -> Forbidden:
    """Return the error for a table closed to the public, whether or not it exists."""
    return Forbidden(
        "table not allowed",
        code="row.table_not_allowed",
        hint="Open: " + ", ".join(sorted(allowed)) if allowed else "",
    )


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
        tables = {name: _in_text(table) for name, table in tables.items()}
    return Catalog(MappingProxyType(tables))


def _in_text(table: Table) -> Table:
    """Return a table of which bigints are shown as text."""
    columns = {
        name: replace(column, in_text=True) if column.datatype in BIGINT else column
        for name, column in table.columns.items()
    }
    return replace(table, columns=MappingProxyType(columns))


@lru_cache(64)
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


def visible_columns(ports: Ports, name: str) -> Table:
    """Return a table without secret columns; the same object while it is the same.

    A column with `password` in its name is always secret.

    Raises:
        NotFound: `sql.unknown_table`.
    """
    table = ports.database.catalog.table(name)
    return _open(table, tuple(ports.config["config_column_secret_list"]))


@lru_cache(64)
def _open(table: Table, secret: tuple[str, ...]) -> Table:
    hidden = {name.casefold() for name in secret}
    hidden |= {name for name in map(str.casefold, table.columns) if "password" in name}
    return without(table, frozenset(hidden))


@dataclass(frozen=True, slots=True)
class ScopedRelatives:
    """`atom.row.sql.relation.Relatives`, as one caller reaches them."""

    scope: RowScope
    live: Catalog

    @property
    def catalog(self) -> Catalog:
        """Return every table, without secret columns."""
        scope = self.scope
        return visible(self.live, scope.rules.secret, scope.bigint_text)

    def child(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that this caller may read, None when none are."""
        try:
            row_set = self.scope.readable(self.live, name)
        except ApiError:  # closed to the public, or without an owner on /my
            return None
        return row_set, self.scope.visible_columns(self.live, name)

    def parent(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that may be shown with those that refer to them.

        Anyone can write a row that refers to another, so referring grants nothing: of
        other tables only what is public is shown, of users what is not personal.
        """
        scope = self.scope
        if scope.tier not in OPEN and (
            name == "users" or name in scope.rules.public_read
        ):
            view = scope.visible_columns(self.live, name)
            if name == "users":
                view = without(view, PERSONAL)
            return scope.rows(self.live.table(name), owned=False), view
        return self.child(name) if scope.tier != "public" else None
