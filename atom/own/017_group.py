"""Groups of users, which rules of `config_table` read by `config_scope`.

In schema `atom` no row route reaches them: who is in a group is changed by the routes
of `/admin/group-…` alone. Every change is in the audit.
"""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "user_group": {
        "id": "bigint generated always as identity primary key",
        "name": "text not null",
        "description": "text",
        "created_by_id": "bigint",
        "created_at": "timestamp with time zone not null default now()",
    },
    "group_member": {
        "id": "bigint generated always as identity primary key",
        "group_id": "bigint not null references atom.user_group on delete cascade",
        "user_id": "bigint not null",
        "created_by_id": "bigint",
        "created_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {
    "user_group_name": "unique user_group (name)",
    "group_member_user_id": "unique group_member (user_id, group_id)",
    "group_member_group_id": "group_member (group_id, user_id)",
}

LEAVE_GROUPS = Function(
    "leave_groups",
    """begin
  delete from atom.group_member where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (LEAVE_GROUPS,)
AUDITED = (
    ("insert", "referencing new table as made"),
    ("update", "referencing old table as gone new table as made"),
    ("delete", "referencing old table as gone"),
)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield those of the audit, and that of `users`, where it is declared."""
    for table in TABLES:
        for operation, rows in AUDITED:
            yield Trigger(
                "atom",
                table,
                f"atom_audit_{operation}",
                f"after {operation} on {{table}} {rows}"
                " for each statement execute function atom.audit_row('', '')",
            )
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_leave_groups",
            "after delete on {table} for each row execute function atom.leave_groups()",
        )
