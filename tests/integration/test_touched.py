"""What a write may change, as PostgreSQL itself carries it out."""

import asyncpg
import pytest

from atom.postgres import catalog
from tests.account_setup import cluster, database_url, template  # noqa: F401

SCHEMA = """
create table a (id bigint primary key);
create table b (id bigint primary key, a_id bigint references a on delete cascade);
create table c (id bigint primary key, b_id bigint references b on update set null);
create table d (id bigint primary key, a_id bigint references a);
create table alone (id bigint primary key);
create table "Mixed Case" (id bigint primary key);
create schema elsewhere;
create table elsewhere.between (id bigint primary key, d_id bigint references d
  on delete cascade);
create table e (id bigint primary key, between_id bigint
  references elsewhere.between on delete set default);
create view shown as select id from b;
create view shown_again as select id from shown;
create table whole (id bigint, day date) partition by range (day);
create table part partition of whole for values from ('2026-01-01') to ('2027-01-01');
create table ruled (id bigint primary key);
create rule copied as on insert to ruled do also insert into alone values (new.id);
create table dynamic (id bigint primary key);
create function build() returns trigger language plpgsql as $$
begin execute 'delete from al' || 'one'; return null; end $$;
create trigger t after insert on dynamic for each row execute function build();
create table quoting (id bigint primary key);
create function quoted() returns trigger language plpgsql as $$
begin delete from "Mixed Case"; return null; end $$;
create trigger t after insert on quoting for each row execute function quoted();
create table asked (id bigint primary key);
create function ask() returns bigint language sql begin atomic
  select count(*) from asked; end;
create view answer as select ask() as id;
create table off (id bigint primary key);
create trigger t after insert on off for each row execute function quoted();
alter table off disable trigger t;
"""


@pytest.fixture
async def known(database_url):  # noqa: F811
    """Read the catalog of such tables."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(SCHEMA)
    yield await catalog.read(connection)
    await connection.close()


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("a", {"b", "c", "shown", "shown_again"}),
        ("b", {"c", "shown", "shown_again"}),
        ("c", set()),
        ("d", {"e"}),
        ("alone", set()),
        ("shown", {"b", "c", "shown_again"}),
        ("whole", {"part"}),
        ("part", {"whole"}),
        ("ruled", {"alone"}),
        ("quoting", {"Mixed Case"}),
        ("asked", {"answer"}),
        ("off", set()),
        ("no such table", set()),
    ],
)
async def test_what_changes_with_a_table(known, table, changed):
    """Neither too little nor too much, where PostgreSQL knows it."""
    assert changed | {table} == known.changed_with(table)


async def test_built_statements_may_write_anything(known):
    """A trigger that builds its statements is taken to write every table."""
    assert {*known.tables, "shown", "shown_again"} <= known.changed_with("dynamic")


async def test_the_tables_of_atom(known):
    """A user's write logs a password; no trigger of Atom drops more."""
    assert {"users", "log_password"} == known.changed_with("users")
    assert {"test"} == known.changed_with("test")
