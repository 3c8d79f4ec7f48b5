"""What Atom's triggers keep, whoever changes the rows."""

import json

import asyncpg
import pytest

from atom.schema import apply as schema
from tests.integration.near import connected, database_url, fresh_database
from tests.integration.test_schema import shipped

__all__ = ["database_url"]


@pytest.fixture
async def raw(database_url):
    """A connection to a database with the shipped declaration and three users."""
    async with fresh_database(database_url) as url:
        await schema.apply(url, shipped())
        connection = await connected(url)
        await connection.execute(
            "insert into users (type, username, password, is_active)"
            " select 1, 'user' || i, 'hash', 1 from generate_series(1, 3) i"
        )
        yield connection
        await connection.close()


@pytest.fixture
async def heard(raw):
    """The notifications that have come so far."""
    payloads = []
    await raw.add_listener(
        "atom", lambda *received: payloads.append(json.loads(received[-1]))
    )
    return payloads


def of(user_id):
    """Return what is told of a user."""
    return {"topic": "user", "value": str(user_id)}


async def version(raw, user_id):
    """Return how often a user's tokens were ended."""
    return await raw.fetchval(
        "select version from atom.token_version where user_id = $1", user_id
    )


class TestTime:
    """created_at and updated_at."""

    async def test_row_is_given_its_time_of_birth(self, raw):
        """Without being asked."""
        await raw.execute("insert into test (title) values ('a')")

        assert await raw.fetchval(
            "select created_at between now() - interval '1 minute' and now() from test"
        )

    async def test_update_leaves_its_time(self, raw):
        """Set by the insert, moved by each update."""
        await raw.execute("insert into test (title) values ('a')")
        assert await raw.fetchval("select updated_at = created_at from test")

        await raw.execute("update test set title = 'b'")

        assert await raw.fetchval("select updated_at > created_at from test")


class TestKept:
    """Rows that cannot be deleted."""

    async def test_protected_row_is_not_deleted(self, raw):
        """The error names the row and the table; nothing else is touched."""
        row_id = await raw.fetchval(
            "insert into test (is_protected) values (1) returning id"
        )

        with pytest.raises(asyncpg.RaiseError) as caught:
            await raw.execute("delete from test")

        assert f'Row {row_id} of "test" is protected and cannot be deleted.' == (
            caught.value.message
        )

    @pytest.mark.parametrize("value", [0, None])
    async def test_other_rows_are_deleted(self, raw, value):
        """0 and null protect nothing."""
        await raw.execute("insert into test (is_protected) values ($1)", value)

        await raw.execute("delete from test")

        assert 0 == await raw.fetchval("select count(*) from test")

    async def test_first_user_is_not_deleted(self, raw):
        """Somebody must be able to get in."""
        with pytest.raises(asyncpg.RaiseError, match="User 1 cannot be deleted"):
            await raw.execute("delete from users where id = 1")

    async def test_users_are_deleted_one_at_a_time(self, raw):
        """A condition that was forgotten empties no table of users."""
        with pytest.raises(asyncpg.RaiseError, match=r"at most 1 row\(s\)"):
            await raw.execute("delete from users where id > 1")
        await raw.execute("delete from users where id = 3")

        assert 2 == await raw.fetchval("select count(*) from users")

    async def test_users_are_not_truncated(self, raw):
        """The short way past row triggers is closed as well."""
        with pytest.raises(asyncpg.RaiseError, match="cannot be emptied"):
            await raw.execute("truncate users")

    @pytest.mark.parametrize("flag", ["is_active", "is_deleted", "is_protected"])
    async def test_flag_is_0_or_1_or_null(self, raw, flag):
        """No third truth."""
        for value in ("0", "1", "null"):
            await raw.execute(f"insert into test ({flag}) values ({value})")

        with pytest.raises(asyncpg.CheckViolationError):
            await raw.execute(f"insert into test ({flag}) values (2)")


class TestTold:
    """What every worker hears of users, and whose tokens end."""

    @pytest.mark.parametrize(
        ("change", "ends"),
        [
            ("is_active = 0", None),
            ("api_access = '1,2'", None),
            ("password = 'other'", 1),
            ("password_bigint = 'other'", 1),
            ("is_deleted = 1", 1),
            ("is_deleted = 0", None),
        ],
    )
    async def test_change_that_matters_is_told(self, raw, heard, change, ends):
        """A change of the password and a deletion end the tokens too."""
        await raw.execute(f"update users set {change} where id = 2")
        await raw.fetchval("select 1")

        assert [of(2)] == heard
        assert ends == await version(raw, 2)

    @pytest.mark.parametrize(
        "change", ["name = 'x'", "is_active = 1", "password = 'hash'"]
    )
    async def test_other_changes_are_not_told(self, raw, heard, change):
        """Neither other columns nor the same value again."""
        await raw.execute(f"update users set {change} where id = 2")
        await raw.fetchval("select 1")

        assert [] == heard

    async def test_deletion_is_told_and_ends_the_tokens(self, raw, heard):
        """The row is gone, the version stays."""
        await raw.execute("delete from users where id = 2")
        await raw.fetchval("select 1")

        assert [of(2)] == heard
        assert 1 == await version(raw, 2)

    async def test_each_password_ends_what_was_before(self, raw):
        """The version grows with every change."""
        for password in ("a", "b", "c"):
            await raw.execute("update users set password = $1 where id = 2", password)

        assert 3 == await version(raw, 2)

    async def test_rolled_back_change_is_not_told(self, raw, heard):
        """What did not happen is no news."""
        transaction = raw.transaction()
        await transaction.start()
        await raw.execute("update users set is_active = 0 where id = 2")
        await transaction.rollback()
        await raw.fetchval("select 1")

        assert [] == heard

    async def test_session_that_is_revoked_is_told(self, raw, heard):
        """Whoever revokes it; a use of it is not told."""
        await raw.execute(
            "insert into atom.session (id, user_id, family, token_hash, expires_at)"
            " values (gen_random_uuid(), 2, gen_random_uuid(), 'x', now())"
        )
        await raw.execute("update atom.session set used_at = now()")
        await raw.execute("update atom.session set revoked_at = now()")
        await raw.fetchval("select 1")

        assert [of(2)] == heard

    async def test_role_without_rights_on_atoms_schema_ends_tokens_as_well(self, raw):
        """Revocation holds for a change made by hand, by whoever may make it."""
        await raw.execute("drop role if exists clerk")
        await raw.execute("create role clerk; grant select, update on users to clerk")
        await raw.execute("set role clerk")

        await raw.execute("update users set password = 'x' where id = 2")
        await raw.execute("reset role")

        assert 1 == await version(raw, 2)
        await raw.execute("drop owned by clerk; drop role clerk")


class TestPasswordLog:
    """log_password: that a password changed, when and by whom; never the hash."""

    async def test_change_leaves_a_row_without_the_hash(self, raw):
        """Not even in a column that is not meant for it."""
        await raw.execute(
            "update users set password = 'a new hash', updated_by_id = 3 where id = 2"
        )

        rows = await raw.fetch("select * from log_password")

        assert [(2, 3)] == [(row["user_id"], row["created_by_id"]) for row in rows]
        assert "a new hash" not in str(rows)

    async def test_same_password_hashed_anew_leaves_no_trace(self, raw, heard):
        """A login that brings the hash up to date ends no session."""
        async with raw.transaction():
            await raw.execute("select set_config('atom.rehash', 'on', true)")
            await raw.execute("update users set password = 'again' where id = 2")
        await raw.execute("update users set password = 'other' where id = 3")
        await raw.fetchval("select 1")

        assert [of(3)] == heard
        assert [3] == [
            row["user_id"] for row in await raw.fetch("select * from log_password")
        ]
