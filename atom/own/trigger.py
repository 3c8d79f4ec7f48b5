"""Trigger functions and triggers Atom keeps on its own tables and on the user's."""

from collections.abc import Mapping
from dataclasses import dataclass

from atom.postgres.identifier import quote
from atom.schema.column import is_time
from atom.schema.declaration import digest

# How many users one statement may delete.
BULK_DELETE_MAX = 1


@dataclass(frozen=True)
class Function:
    """A trigger function in schema `atom`."""

    name: str
    body: str
    # Runs with its owner's rights: a change made by another role must count as well.
    definer: bool = False

    @property
    def create(self) -> str:
        """Return the statement that makes it, whatever was there before."""
        definer = " security definer" if self.definer else ""
        return (
            f"create or replace function atom.{self.name}() returns trigger"
            f" language plpgsql{definer} set search_path = pg_catalog, pg_temp"
            f" as $atom$\n{self.body}\n$atom$"
        )

    @property
    def mark(self) -> str:
        """A digest of this version, to compare with an earlier one."""
        return f"atom:{digest(self.create)}"

    @property
    def source(self) -> str:
        """Return the body as the catalog keeps it."""
        return f"\n{self.body}\n"

    @property
    def sql(self) -> str:
        """Return everything that is run for it."""
        return (
            f"{self.create};\n"
            f"revoke all on function atom.{self.name}() from public;\n"
            f"comment on function atom.{self.name}() is '{self.mark}'"
        )


@dataclass(frozen=True)
class Trigger:
    """A trigger of Atom's on one table; `rule` is the SQL around the table's name."""

    schema: str
    table: str
    name: str
    rule: str

    @property
    def create(self) -> str:
        """Return the statement that makes it, whatever was there before."""
        table = f"{self.schema}.{quote(self.table)}"
        return f"create or replace trigger {self.name} " + self.rule.format(table=table)

    @property
    def mark(self) -> str:
        """A digest of this version, to compare with an earlier one."""
        return f"atom:{digest(self.create)}"

    @property
    def sql(self) -> str:
        """Return everything that is run for it."""
        table = f"{self.schema}.{quote(self.table)}"
        return f"{self.create};\n" + (
            f"comment on trigger {self.name} on {table} is '{self.mark}'"
        )


TOUCH = Function("touch", "begin\n  new.updated_at := now();\n  return new;\nend")

KEEP_PROTECTED = Function(
    "keep_protected",
    """begin
  raise exception 'Row % of "%" is protected and cannot be deleted.',
    to_jsonb(old) ->> 'id', tg_table_name;
end""",
)

KEEP_FIRST_USER = Function(
    "keep_first_user",
    "begin\n  raise exception 'User 1 cannot be deleted.';\nend",
)

LIMIT_DELETE = Function(
    "limit_delete",
    """begin
  if (select count(*) from gone) > tg_argv[0]::bigint then
    raise exception 'Of "%" at most % row(s) may be deleted at once.',
      tg_table_name, tg_argv[0];
  end if;
  return null;
end""",
)

REFUSE_TRUNCATE = Function(
    "refuse_truncate",
    "begin\n  raise exception 'Table \"%\" cannot be emptied.', tg_table_name;\nend",
)

# Read as jsonb, so that a users table without one of the columns works as well.
# A login that only rehashes the same password marks this, and ends no session.
NOTIFY_USER = Function(
    "tell_user",
    """declare
  was constant jsonb := to_jsonb(old);
  now_is jsonb;
  ended boolean := tg_op = 'DELETE';
begin
  if tg_op = 'UPDATE' then
    now_is := to_jsonb(new);
    ended := (
      current_setting('atom.rehash', true) is distinct from 'on'
      and (now_is -> 'password' is distinct from was -> 'password'
        or now_is -> 'password_bigint' is distinct from was -> 'password_bigint')
    ) or (
      now_is ->> 'is_deleted' is not distinct from '1'
      and was ->> 'is_deleted' is distinct from '1'
    );
    if not ended
      and now_is -> 'is_active' is not distinct from was -> 'is_active'
      and now_is -> 'is_deleted' is not distinct from was -> 'is_deleted'
      and now_is -> 'api_access' is not distinct from was -> 'api_access'
    then
      return null;
    end if;
  end if;
  if ended then
    insert into atom.token_version as v (user_id, version) values (old.id, 1)
    on conflict (user_id) do update set version = v.version + 1;
  end if;
  perform pg_notify('atom', format('{"topic":"user","value":"%s"}', old.id));
  return null;
end""",
    definer=True,
)

NOTIFY_SESSION = Function(
    "tell_session",
    """begin
  perform pg_notify('atom', format('{"topic":"user","value":"%s"}', new.user_id));
  return null;
end""",
)

LOG_PASSWORD = Function(
    "log_password",
    """declare
  was constant jsonb := to_jsonb(old);
  now_is constant jsonb := to_jsonb(new);
begin
  if current_setting('atom.rehash', true) is distinct from 'on'
    and (now_is -> 'password' is distinct from was -> 'password'
      or now_is -> 'password_bigint' is distinct from was -> 'password_bigint')
  then
    insert into public.log_password (created_at, created_by_id, user_id)
    values (now(), (now_is ->> 'updated_by_id')::bigint, new.id);
  end if;
  return null;
end""",
    definer=True,
)

FUNCTIONS = (
    TOUCH,
    KEEP_PROTECTED,
    KEEP_FIRST_USER,
    LIMIT_DELETE,
    REFUSE_TRUNCATE,
    NOTIFY_USER,
    NOTIFY_SESSION,
    LOG_PASSWORD,
)
COUNTING = frozenset({"smallint", "integer", "bigint", "numeric"})
WATCHED = ("is_active", "api_access", "password", "password_bigint", "is_deleted")
PASSWORDS = ("password", "password_bigint")
LOGGED = ("created_at", "created_by_id", "user_id")

SESSION_TRIGGER = Trigger(
    "atom",
    "session",
    "atom_tell_session",
    "after update of revoked_at on {table} for each row"
    " when (old.revoked_at is distinct from new.revoked_at)"
    " execute function atom.tell_session()",
)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> list[Trigger]:
    """Return the triggers of Atom, given each table's columns and their datatypes."""
    wanted = [SESSION_TRIGGER]
    for table, columns in tables.items():
        if is_time(columns.get("updated_at", "")):
            rule = "before update on {table} for each row execute function atom.touch()"
            wanted.append(Trigger("public", table, "atom_touch", rule))
        if columns.get("is_protected") in COUNTING:
            rule = (
                "before delete on {table} for each row"
                " when (old.is_protected = 1) execute function atom.keep_protected()"
            )
            wanted.append(Trigger("public", table, "atom_keep_protected", rule))
    if "users" in tables:
        wanted.extend(_of_users(tables))
    return wanted


def _of_users(tables: Mapping[str, Mapping[str, str]]) -> list[Trigger]:
    columns = tables["users"]
    rules = {
        "atom_keep_first_user": "before delete on {table} for each row"
        " when (old.id = 1) execute function atom.keep_first_user()",
        "atom_limit_delete": "after delete on {table} referencing old table as gone"
        f" for each statement execute function atom.limit_delete('{BULK_DELETE_MAX}')",
        "atom_refuse_truncate": "before truncate on {table}"
        " for each statement execute function atom.refuse_truncate()",
    }
    watched = ", ".join(name for name in WATCHED if name in columns)
    event = f"update of {watched} or delete" if watched else "delete"
    rules["atom_tell_user"] = (
        f"after {event} on {{table}} for each row execute function atom.tell_user()"
    )
    changed = ", ".join(name for name in PASSWORDS if name in columns)
    if changed and set(LOGGED) <= set(tables.get("log_password", ())):
        rules["atom_log_password"] = (
            f"after update of {changed} on {{table}} for each row"
            " execute function atom.log_password()"
        )
    return [Trigger("public", "users", name, rule) for name, rule in rules.items()]
