"""What a caller reaches of related tables: each under its own read rule."""

from dataclasses import dataclass

from atom.errors import ApiError
from atom.postgres.catalog import Catalog, Table
from atom.row.scope import OPEN, PERSONAL, RowScope
from atom.row.sql.statement import RowSet
from atom.row.visibility import visible, without


@dataclass(frozen=True, slots=True)
class ReachedRelatives:
    """`atom.row.sql.relation.Relatives`, as one caller reaches them."""

    scope: RowScope
    live: Catalog

    @property
    def catalog(self) -> Catalog:
        """Return every table, without secret columns."""
        return visible(self.live, self.scope.rules.secret)

    def child(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that this caller may read, None when none are."""
        try:
            target = self.scope.readable(self.live, name)
        except ApiError:  # closed to the public, or without an owner on /my
            return None
        return target, self.scope.visible_columns(self.live, name)

    def parent(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows of a table that may be shown with those that refer to them.

        Anyone can write a row that refers to another, so referring grants nothing: of
        other tables only what is public is shown, of users what is not personal.
        """
        open_to_all = name in self.scope.rules.public_read
        if self.scope.tier in OPEN:
            return self.child(name)
        if name == "users":
            table = without(self.scope.visible_columns(self.live, name), PERSONAL)
            return RowSet(self.live.table(name), owned=False), table
        if open_to_all:
            view = self.scope.visible_columns(self.live, name)
            return RowSet(self.live.table(name), owned=False), view
        return self.child(name) if self.scope.tier == "my" else None
