"""Sessions on a real PostgreSQL: rotation, reuse, races, and what ends one."""

import asyncio
import time

import pytest

from atom.account.session import open_session, person_now, revoke, rotate
from atom.errors import Forbidden, Unauthenticated
from tests.account_setup import cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

# Uses of refresh tokens were longer ago than the grace.
LATER = "update atom.session set used_at = used_at - interval '1 minute'"


@pytest.fixture
async def user_id(ports):
    """A user who can have sessions."""
    return await ports.database.value(
        "insert into users (id, type, username, password, api_access)"
        " values (7, 1, 'ada', 'x', '1,2') returning id"
    )


@pytest.fixture
def begin(ports, user_id):
    """Open a session of that user."""

    async def opened():
        person = await person_now(ports.database, user_id, ports.account)
        return await open_session(ports.database, person, ports.account)

    return opened


def said(ports, access):
    """Return what an access token says now."""
    return ports.tokens.decode(access, int(time.time()))


async def refused(ports, refresh, code="token.invalid"):
    """Say whether a refresh token is refused, with this word."""
    with pytest.raises(Unauthenticated) as caught:
        await rotate(ports, refresh)
    return caught.value.code == code


async def test_token_carries_the_listed_columns_and_the_session(ports, begin, user_id):
    """The access token holds exactly config_token_key_list, and names its session."""
    claims = said(ports, (await begin()).access)

    assert claims.user == {"id": user_id, "is_active": None, "api_access": "1,2"}
    assert (claims.subject, claims.version) == (user_id, 0)
    assert claims.session == str(
        await ports.database.value("select family from atom.session")
    )


async def test_times_are_those_of_config(ports, begin):
    """Access and refresh token live as long as config says."""
    pair = await begin()
    claims = said(ports, pair.access)
    lasts = await ports.database.value(
        "select extract(epoch from expires_at - created_at)::int from atom.session"
    )

    assert claims.expires - claims.issued == pair.expires_in
    assert pair.expires_in == ports.account.token_expire_sec
    assert lasts == ports.account.token_refresh_expire_sec


async def test_refresh_token_is_not_stored(ports, begin):
    """The table holds nothing that can be sent as a refresh token."""
    pair = await begin()
    row = await ports.database.value("select s::text from atom.session s")

    assert pair.refresh not in row
    assert pair.refresh.partition(".")[2] not in row


async def test_rotation_gives_a_new_pair_of_the_same_session(ports, begin):
    """The next pair differs, and belongs to the session of the first."""
    first = await begin()
    second = await rotate(ports, first.refresh)
    third = await rotate(ports, second.refresh)

    assert len({first.refresh, second.refresh, third.refresh}) == 3
    assert said(ports, first.access).session == said(ports, third.access).session


async def test_rotation_shows_the_row_as_it_is_now(ports, begin):
    """A changed api_access is in the next token."""
    pair = await begin()
    await ports.database.run("update users set api_access = '5'")
    pair = await rotate(ports, pair.refresh)

    assert said(ports, pair.access).user["api_access"] == "5"


async def test_reuse_ends_the_whole_family(ports, begin):
    """A token that comes back after its use ends the session for thief and owner."""
    first = await begin()
    second = await rotate(ports, first.refresh)
    await ports.database.run(LATER)

    assert await refused(ports, first.refresh)
    assert await refused(ports, second.refresh)


async def test_reuse_leaves_other_sessions_alone(ports, begin):
    """Another login of the same user goes on."""
    first, other = await begin(), await begin()
    await rotate(ports, first.refresh)
    await ports.database.run(LATER)

    assert await refused(ports, first.refresh)
    assert (await rotate(ports, other.refresh)).access


async def test_of_two_rotations_at_once_one_wins_and_the_session_stays(ports, begin):
    """Concurrent use of one token is a second tab: one pair is made, and is good."""
    for _ in range(5):
        pair = await begin()
        results = await asyncio.gather(
            *(rotate(ports, pair.refresh) for _ in range(4)),
            return_exceptions=True,
        )
        won = [one for one in results if not isinstance(one, Exception)]

        assert len(won) == 1
        assert {"token.used"} == {
            one.code for one in results if isinstance(one, Exception)
        }
        assert (await rotate(ports, won[0].refresh)).access


async def test_logout_during_rotations_leaves_nothing_alive(ports, begin, user_id):
    """Whatever a rotation adds while its session is ended is dead as well."""
    for _ in range(10):
        pair = await begin()
        session = said(ports, pair.access).session
        rotated, _ = await asyncio.gather(
            rotate(ports, pair.refresh),
            revoke(ports.database, session, user_id),
            return_exceptions=True,
        )
        if not isinstance(rotated, Exception):
            assert await refused(ports, rotated.refresh)
        assert 0 == await ports.database.value(
            "select count(*) from atom.session where revoked_at is null"
        )


async def test_revoked_session_is_known_by_its_id(ports, begin, user_id):
    """The `sid` of every token of a session is the id of a revoked row."""
    pair = await begin()
    pair = await rotate(ports, pair.refresh)
    session = said(ports, pair.access).session
    await revoke(ports.database, session, user_id)

    assert await refused(ports, pair.refresh)
    assert session in {
        str(row["id"])
        for row in await ports.database.rows(
            "select id from atom.session where revoked_at is not null"
        )
    }


async def test_first_token_of_a_living_session_is_never_cleaned_away(ports, begin):
    """Old tokens go, but the one whose id names the session stays."""
    pair = await begin()
    pair = await rotate(ports, pair.refresh)
    session = said(ports, pair.access).session
    await ports.database.run(
        "update atom.session set expires_at = now() - interval '1 year'"
        " where used_at is not null"
    )
    for _ in range(2):
        pair = await rotate(ports, pair.refresh)

    assert await ports.database.value(
        "select exists (select from atom.session where id::text = $1)", session
    )


async def test_dead_sessions_are_cleaned_away(ports, begin):
    """A session all of whose tokens are long expired leaves no rows."""
    pair = await begin()
    await rotate(ports, pair.refresh)
    await ports.database.run(
        "update atom.session set expires_at = now() - interval '1 year'"
    )
    await begin()

    assert 1 == await ports.database.value("select count(*) from atom.session")


async def test_nobody_ends_the_session_of_another(ports, begin, user_id):
    """Revoking needs the user as well as the session."""
    pair = await begin()
    await revoke(ports.database, said(ports, pair.access).session, user_id + 1)

    assert (await rotate(ports, pair.refresh)).access


@pytest.mark.parametrize("text", ["", "x", "0.", "é\ud800", "0." + "x" * 43])
async def test_unknown_refresh_token_is_invalid(ports, begin, text):
    """Text we never gave out is refused, whatever it is."""
    await begin()

    assert await refused(ports, text)


async def test_expired_refresh_token_says_so(ports, begin):
    """A token that was good once is expired, not invalid."""
    pair = await begin()
    await ports.database.run("update atom.session set expires_at = now()")

    assert await refused(ports, pair.refresh, "token.expired")


async def test_password_changed_by_any_hand_ends_refresh_tokens(ports, begin):
    """A password set in SQL ends the sessions begun before it."""
    pair = await begin()
    await ports.database.run("update users set password = 'y'")

    assert await refused(ports, pair.refresh)


@pytest.mark.parametrize(
    "text",
    ["update users set is_deleted = 1", "delete from users where username='ada'"],
)
async def test_deleted_user_gets_no_token(ports, begin, text):
    """Nobody refreshes the tokens of a deleted user."""
    pair = await begin()
    await ports.database.run(text)

    assert await refused(ports, pair.refresh, "account.missing")


async def test_inactive_user_gets_no_token_and_loses_none(ports, begin):
    """While inactive: refused. Active again: the same refresh token works."""
    pair = await begin()
    await ports.database.run("update users set is_active = 0")
    with pytest.raises(Forbidden) as caught:
        await rotate(ports, pair.refresh)
    await ports.database.run("update users set is_active = 1")

    assert caught.value.code == "active.inactive"
    assert (await rotate(ports, pair.refresh)).access
