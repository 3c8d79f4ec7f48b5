"""The role, database and extensions that a superuser makes once."""

import asyncio
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
