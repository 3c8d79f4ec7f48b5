"""Rules of `config_table`, fitted to tables: what each verb of a tier may do."""

# ruff: noqa: S608 - conditions are text of the operator, values of callers are bound.

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from atom.config.table import (
    ANY_ROW,
    OTHERS,
    OWNED,
    OWNER,
    Declared,
    TableRules,
    claims,
    parse,
)
from atom.errors import nearest
from atom.own.declaration import NO_MORE_ROLES
from atom.postgres.catalog import Table
from atom.postgres.condition import Bind, Condition, Reader, UnreadableCondition, both
from atom.row.sql.statement import EVERY_ROW, RowSet, Rule
from atom.schema.entry_file import FileRule

# How a row is marked as deleted, and how one is recognised that is not, by datatype.
SOFT = {
    "boolean": ("true", "{0} is not true"),
    "integer": ("1", "({0} is null or {0} = 0)"),
    "moment": ("now()", "{0} is null"),
}


# Of users, what an admin may write of a column that rules read of their caller.
OTHERS_ALONE = "(:me = 1 or id <> :me)"

# Set until the transaction ends, for `atom.row_event` and `atom.audit_row`.
CONTEXT = "event"
NOTED = Condition(
    ("set_config('atom.event', ", Bind(CONTEXT), ", true) is not null"),
)

# The conditions a verb is made of, in the order in which they are asked for.
PARTS = ("where", "role", "tenant", "soft_delete", "check")


class Policy:
    """What `config_table` declares, compiled for each table once."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.declared: TableRules = parse(config, [])
        self.files: Mapping[str, Mapping[str, FileRule]] = {}  # columns that hold one
        self.reader = Reader(self.declared.scopes, self.declared.roles)
        self.compile = lru_cache(4096)(self._compile)
        self.every = lru_cache(1024)(self._every)
        self.claims = claims(self.declared)
        self._others_alone = lru_cache(16)(
            lambda table: Rule(where=self._read(OTHERS_ALONE, table))
        )

    def verb(self, table: str, tier: str, verb: str) -> Declared | None:
        """Return a verb as declared, None where it is closed.

        Admins reach every table that no entry closes to them.
        """
        if tier == "admin" and (table, tier) not in self.declared.named:
            return ANY_ROW
        return self.declared.tables.get(table, {}).get(tier, {}).get(verb)

    def is_plain(self, table: str, tier: str, verb: str) -> bool:
        """Whether a verb is closed, or open without any condition."""
        if self.declared.tenant is not None or table in self.declared.soft_delete:
            return False
        return self.verb(table, tier, verb) in (None, ANY_ROW)

    def others(self) -> tuple[Declared, tuple[str, ...]] | None:
        """Return how users are read where rows refer to them, and their columns.

        None where an entry with `public` does not open reading.
        """
        given = self.verb("users", "public", "read")
        if given is None:
            is_closed = ("users", "public") in self.declared.named
            return None if is_closed else (ANY_ROW, OTHERS)
        return given, given.columns or ()

    def sends(self, table: str, tier: str, verb: str, column: str, marks: bool) -> bool:
        """Whether a verb takes a column.

        A row is marked as deleted by who `marks`, or where the column is listed: it is
        a delete, which is another verb.
        """
        is_open = marks or column != self.declared.soft_delete.get(table)
        declared = self.verb(table, tier, verb)
        if declared is None:
            return is_open
        if declared.columns is not None:
            is_open = column in declared.columns
        return is_open and all(column != name for name, _ in declared.preset)

    def _compile(
        self,
        table: Table,
        tier: str,
        verb: str,
        declared: Declared | None = None,
        with_deleted: bool = False,
    ) -> Rule | None:
        """Return the rule of a verb, None where it is closed.

        Raises:
            UnreadableCondition: when it does not fit the table.
        """
        declared = declared or self.verb(table.name, tier, verb)
        if declared is None:
            return None
        self._require_columns(declared, table)
        parts = self.parts(table, verb, declared)
        if with_deleted:
            parts.pop("soft_delete", None)
        conditions = {name: condition for name, (_, condition) in parts.items()}
        where, role, tenant, kept, check = map(conditions.get, PARTS)
        soft = _soft(table, self.declared.soft_delete.get(table.name))
        default = {}
        if verb == "create" and tenant is not None:
            default = self._only_tenant()
        writes = verb in {"create", "update"}
        rule = Rule(
            where=None if verb == "create" else both((where, role, tenant, kept)),
            check=both((check or where, role, tenant)) if writes else None,
            columns=None if declared.columns is None else frozenset(declared.columns),
            preset={
                name: self.reader.read(text, table.name, ())
                for name, text in declared.preset
            },
            default=default,
            most=declared.most,
            soft=None if soft is None else soft[0],
        )
        return rule if rule.is_limit else EVERY_ROW

    def parts(
        self, table: Table, verb: str, declared: Declared
    ) -> dict[str, tuple[str, Condition]]:
        """Return the conditions of a verb, each with its text, by name (`PARTS`)."""
        texts = {"where": declared.where, "check": declared.check}
        if verb == "create" and declared.check == OWNED:
            self._read(OWNED, table)
            del texts["check"]  # the server writes the column itself
        found = {
            name: (text, self._read(text, table))
            for name, text in texts.items()
            if text is not None
        }
        if declared.roles:
            role = self.reader.role(declared.roles)
            found["role"] = (" or ".join(declared.roles), role)
        if (text := self._tenant(table)) is not None:
            found["tenant"] = (text, self._read(text, table))
        soft = _soft(table, self.declared.soft_delete.get(table.name))
        if soft is not None and verb != "create":
            found["soft_delete"] = (soft[1], self._read(soft[1], table))
        return found

    def without_own_claims(
        self, tier: str, row_set: RowSet, columns: Iterable[str]
    ) -> RowSet:
        """Return the rows of which these columns may be changed.

        Of users, not an admin's own: a claim would be a right they give themselves.
        """
        table = row_set.table
        if tier != "admin" or table.name != "users" or self.claims.isdisjoint(columns):
            return row_set
        return RowSet(table, narrowed(row_set.rule, self._others_alone(table)))

    def undeleted(self, table: Table, tier: str) -> Rule:
        """Return the rule of reading that leaves out no row marked as deleted."""
        if tier == "trusted":
            return EVERY_ROW
        return self.compile(table, tier, "read", None, True) or EVERY_ROW

    def _every(self, table: Table) -> Rule:
        """Return the rule of trusted code: every row that is not marked as deleted."""
        soft = _soft(table, self.declared.soft_delete.get(table.name))
        if soft is None:
            return EVERY_ROW
        return Rule(where=self._read(soft[1], table), soft=soft[0])

    def _read(self, text: str, table: Table) -> Condition:
        if text == OWNED and OWNER not in table.columns:
            raise UnreadableCondition(f"'owner' needs a column {OWNER}")
        if "role" not in table.columns:
            text = text.replace(NO_MORE_ROLES, "")
        return self.reader.read(text, table.name, table.columns)

    def _tenant(self, table: Table) -> str | None:
        tenant = self.declared.tenant
        if tenant is None or table.name in tenant.exempt:
            return None
        if tenant.column not in table.columns:
            return None
        return f'"{tenant.column}" in {tenant.scope}'

    def _only_tenant(self) -> dict[str, Condition]:
        """Return what the tenant's column is set to: the caller's, if it is one."""
        tenant = self.declared.tenant
        assert tenant is not None
        text = (
            "(select (array_agg(distinct one.tenant))[1]"
            f" from ({self.declared.scopes[tenant.scope]}\n) as one(tenant)"
            " having count(distinct one.tenant) = 1)"
        )
        return {tenant.column: self.reader.read(text, "", ())}

    @staticmethod
    def _require_columns(declared: Declared, table: Table) -> None:
        presets = [name for name, _ in declared.preset]
        for name in (*(declared.columns or ()), *presets):
            if name not in table.columns:
                hint = nearest(name[:60], table.columns)
                raise UnreadableCondition(f"there is no column '{name}'. {hint}")


def _soft(table: Table, name: str | None) -> tuple[tuple[str, str], str] | None:
    """Return the column that marks deleted rows with its mark, and who is left."""
    if name is None:
        return None
    column = table.columns.get(name)
    kind = None if column is None else column.kind.family
    if kind not in SOFT:
        raise UnreadableCondition(
            f"soft_delete needs a boolean, an integer or a timestamp, not '{name}'"
        )
    mark, left = SOFT[kind]
    return (name, mark), left.format(f'"{name}"')


@lru_cache(4096)
def noted(rule: Rule, verb: str) -> Rule:
    """Return a rule of writing that sets who asked for it, for the row events.

    Deletes return nothing that is checked: for them it is part of the condition.
    """
    if verb == "delete":
        return replace(rule, where=both((rule.where, NOTED)))
    return replace(rule, check=both((rule.check, NOTED)))


@lru_cache(1024)
def narrowed(rule: Rule, other: Rule) -> Rule:
    """Return a rule that reaches only what another reaches too."""
    if other.where is None or other.where == rule.where:
        return rule
    return replace(rule, where=both((rule.where, other.where)))
