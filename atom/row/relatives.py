"""What a caller reaches of related tables: each under its own read rule."""

from dataclasses import dataclass

from atom.errors import ApiError
from atom.postgres.catalog import Catalog, Table
from atom.row.scope import OPEN, PERSONAL, Reach
from atom.row.sql.statement import Target
from atom.row.visibility import visible, without


@dataclass(frozen=True, slots=True)
class ReachedRelatives:
    """`atom.row.sql.relation.Relatives`, as one caller reaches them."""

    reach: Reach
    live: Catalog

    @property
    def catalog(self) -> Catalog:
        """Return every table, without secret columns."""
        return visible(self.live, self.reach.rules.secret)

    def child(self, name: str) -> tuple[Target, Table] | None:
        """Return the rows of a table that this caller may read, None when none are."""
        try:
            target = self.reach.readable(self.live, name)
        except ApiError:  # closed to the public, or without an owner on /my
            return None
        return target, self.reach.view(self.live, name)

    def parent(self, name: str) -> tuple[Target, Table] | None:
        """Return the rows of a table that may be shown beside rows that refer to them.

        A row says itself what it refers to, so referring opens nothing: of others only
        what anybody may read is shown, and of users what is not personal.
        """
        open_to_all = name in self.reach.rules.public_read
        if self.reach.tier in OPEN:
            return self.child(name)
        if name == "users":
            table = without(self.reach.view(self.live, name), PERSONAL)
            return Target(self.live.table(name), owned=False), table
        if open_to_all:
            view = self.reach.view(self.live, name)
            return Target(self.live.table(name), owned=False), view
        return self.child(name) if self.reach.tier == "my" else None
