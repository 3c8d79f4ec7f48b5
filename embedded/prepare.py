"""The role, database and extensions that a superuser makes once."""

import asyncio
import hmac
import threading
from typing import Any

from atom.errors import ConfigError

ROLE = """
do $$
declare phrase text := current_setting('atom.password');
begin
  if not exists (select from pg_roles where rolname = 'atom') then
    create role atom login;
  end if;
  execute format('alter role atom nosuperuser nocreaterole nocreatedb noreplication '
    'nobypassrls password %L', phrase);
  -- its name is also that of a schema, which would come first
  alter role atom set search_path = public;
end $$
"""
# Logins with no right of their own, for statements the application does not trust; it
# grants them what they may read. Their passwords are derived from its own.
LOGINS = ("atom_reader_atom", "atom_writer_atom", "atom_exporter_atom")
LOGIN_SETTINGS = """
select set_config('atom.login', $1, false), set_config('atom.password', $2, false)
"""
LOGIN = """
do $$
declare login text := current_setting('atom.login');
begin
  if not exists (select from pg_roles where rolname = login) then
    execute format('create role %I', login);
  end if;
  execute format('alter role %I login nosuperuser nocreaterole nocreatedb'
    ' noreplication nobypassrls password %L', login, current_setting('atom.password'));
  execute format('grant %I to atom', login);
end $$
"""
DATABASE_EXISTS = "select exists (select from pg_database where datname = 'atom')"
DATABASE = "create database atom owner atom"
CLOSED = """
revoke all on database atom, postgres from public;
"""
EXTENSIONS = """
do $$
declare extension text;
begin
  foreach extension in array array['pg_trgm', 'postgis'] loop
    if exists (select from pg_available_extensions where name = extension) then
      execute format('create extension if not exists %I', extension);
    end if;
  end loop;
end $$
"""


def prepare(maintenance_url: str, database_url: str, password: str) -> None:
    """Make the application's role, its database and the extensions it may not make.

    Repeatable: existing ones stay. Runs in a thread, since the caller may be inside an
    event loop.

    Raises:
        ConfigError: when PostgreSQL refuses, with its message.
    """
    problems: list[Exception] = []

    def run() -> None:
        try:
            asyncio.run(_prepare(maintenance_url, database_url, password))
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=run, name="prepare-postgres")
    thread.start()
    thread.join()
    if problems:
        raise ConfigError(
            [f"The private database could not be prepared: {problems[0]}"]
        ) from problems[0]


async def _prepare(maintenance_url: str, database_url: str, password: str) -> None:
    import asyncpg

    connection: Any = await asyncpg.connect(maintenance_url)
    try:
        await connection.execute(
            "select set_config('atom.password', $1, false)", password
        )
        await connection.execute(ROLE)
        for login in LOGINS:
            derived = hmac.digest(password.encode(), login.encode(), "sha256").hex()
            await connection.execute(LOGIN_SETTINGS, login, derived)
            await connection.execute(LOGIN)
        if not await connection.fetchval(DATABASE_EXISTS):
            await connection.execute(DATABASE)
        await connection.execute(CLOSED)
    finally:
        await connection.close()
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(EXTENSIONS)
    finally:
        await connection.close()
