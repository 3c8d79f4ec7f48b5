"""Sessions and versions of tokens; triggers that end them and log a new password.

The trigger of claims depends on config: `atom/account/claim.py` has it.
"""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "token_version": {
        "user_id": "bigint primary key",
        "version": "integer not null",
    },
    "session": {
        "id": "uuid primary key",
        "user_id": "bigint not null",
        "family": "uuid not null",
        "token_hash": "bytea not null unique",
        "created_at": "timestamp with time zone not null default now()",
        "expires_at": "timestamp with time zone not null",
        "used_at": "timestamp with time zone",
        "revoked_at": "timestamp with time zone",
        "address": "text",
        "user_agent": "text",
    },
}
INDEXES = {
    "session_user_id": "session (user_id)",
    "session_family": "session (family)",
}

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
    if tg_op = 'UPDATE' and now_is ->> 'is_deleted' is distinct from '1' then
      update atom.session set revoked_at = now()
      where user_id = old.id and revoked_at is null;
    end if;
  end if;
  perform pg_notify('atom', format('{"topic":"user","value":"%s"}', old.id));
  return null;
end""",
    definer=True,
)

NOTIFY_SESSION = Function(
    "tell_session",
    """begin
  perform pg_notify('atom', format('{"topic":"user","value":"%s"}', old.user_id));
  return null;
end""",
)

# The columns are its arguments.
CLAIM_CHANGED = Function(
    "claim_changed",
    """declare
  was constant jsonb := to_jsonb(old);
  now_is constant jsonb := to_jsonb(new);
begin
  if exists (select from unnest(tg_argv) as claim (name)
      where now_is -> name is distinct from was -> name) then
    perform pg_notify('atom', format('{"topic":"user","value":"%s"}', old.id));
  end if;
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

FUNCTIONS = (NOTIFY_USER, NOTIFY_SESSION, CLAIM_CHANGED, LOG_PASSWORD)
WATCHED = ("is_active", "api_access", "password", "password_bigint", "is_deleted")
PASSWORDS = ("password", "password_bigint")
LOGGED = ("created_at", "created_by_id", "user_id")


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of sessions, and those of `users` where it is declared."""
    yield Trigger(
        "atom",
        "session",
        "atom_tell_session",
        "after update of revoked_at, expires_at on {table} for each row"
        " when (old.revoked_at is distinct from new.revoked_at"
        " or old.expires_at is distinct from new.expires_at)"
        " execute function atom.tell_session()",
    )
    yield Trigger(
        "atom",
        "session",
        "atom_tell_session_gone",
        "after delete on {table} for each row"
        " when (old.revoked_at is null and old.expires_at > now())"
        " execute function atom.tell_session()",
    )
    if "users" not in tables:
        return
    columns = tables["users"]
    watched = ", ".join(name for name in WATCHED if name in columns)
    event = f"update of {watched} or delete" if watched else "delete"
    rule = f"after {event} on {{table}} for each row execute function atom.tell_user()"
    yield Trigger("public", "users", "atom_tell_user", rule)
    changed = ", ".join(name for name in PASSWORDS if name in columns)
    if changed and set(LOGGED) <= set(tables.get("log_password", ())):
        rule = (
            f"after update of {changed} on {{table}} for each row"
            " execute function atom.log_password()"
        )
        yield Trigger("public", "users", "atom_log_password", rule)
