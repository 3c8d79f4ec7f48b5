"""Who changed which rows of the tables with `"audit": 1` in `config_table`.

Triggers write it into `atom.row_audit`; here they are declared, and the table is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from atom.config.secret import secret_columns
from atom.config.table import parse
from atom.config.view import view
from atom.errors import Forbidden
from atom.own.part import Trigger
from atom.postgres.database import Database
from atom.row.scope import RowScope

PASSED = ("updated_at", "updated_by_id")  # an update of these alone is not kept
PASSED_OF = {"users": ("last_active_at",)}
OWN = {  # of Atom's own tables, with what is shown of each
    "atom.user_group": ("id", "name", "description"),
    "atom.group_member": ("id", "group_id", "user_id"),
}
TRIGGERS = (  # the operation, and the rows it shows
    ("insert", " referencing new table as made"),
    ("update", " referencing old table as gone new table as made"),
    ("delete", " referencing old table as gone"),
    ("truncate", ""),
)
READ = """
select to_jsonb(page)::text as row from (
  select id, created_at, created_by_id, request_id, database_user, table_name, row_key,
    action,
    (select jsonb_object_agg(k, v) from jsonb_each(before) e (k, v) where k = any($2))
      as before,
    (select jsonb_object_agg(k, v) from jsonb_each(after) e (k, v) where k = any($2))
      as after,
    secret_changed
  from atom.row_audit
  where table_name = $1 and ($3::text is null or row_key = $3)
    and ($4::bigint is null or created_by_id = $4)
    and ($5::text is null or request_id = $5)
    and ($6::bigint is null or id < $6)
  order by id desc limit $7
) page
"""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """What config sets for the audit."""

    column_secret_list: tuple[str, ...]
    postgres_schema: Mapping[str, Any]


def triggers(config: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """Return the triggers that write the audit, in the transaction of the change."""
    given = view(AuditConfig, config)
    return tuple(
        Trigger(
            "public",
            table,
            f"atom_audit_{operation}",
            f"after {operation} on {{table}}{rows} for each statement"
            f" execute function atom.audit_row({hidden}, {passed})",
        )
        for table in sorted(parse(config, []).audited)
        for hidden in (
            _listed(
                secret_columns(given.postgres_schema, given.column_secret_list, table)
            ),
        )
        for passed in (_listed((*PASSED, *PASSED_OF.get(table, ()))),)
        for operation, rows in TRIGGERS
    )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    """Return names as one argument in SQL."""
    return "'" + ",".join(names).replace("'", "''") + "'"


async def read(
    database: Database,
    scope: RowScope,
    table: str,
    *,
    key: str | None = None,
    created_by_id: int | None = None,
    request_id: str | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return changes of a table, the latest first; `cursor` is the last id seen.

    Raises:
        Forbidden: `row.table_not_allowed`, also where the caller reads some rows only:
            what a row was does not show who could read it.
    """
    asked = (key, created_by_id, request_id, cursor, limit)
    if table in OWN:
        return await _read(database, table, OWN[table], asked)
    row_set = scope.readable(database.catalog, table, with_deleted=True)
    if row_set.rule.where is not None:
        raise Forbidden(
            "The audit of this table is not open to you.",
            code="row.table_not_allowed",
            hint="It is for those who read every row of the table.",
        )
    columns = scope.visible_columns(database.catalog, table).columns
    return await _read(database, row_set.table.name, columns, asked)


async def _read(
    database: Database, table: str, columns: Iterable[str], asked: tuple[Any, ...]
) -> list[dict[str, Any]]:
    found = await database.rows(READ, table, list(columns), *asked)
    return [orjson.loads(each["row"]) for each in found]
