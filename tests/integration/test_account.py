"""Accounts on a real PostgreSQL: signup, login, profile, deletion, root."""

import asyncio
import hashlib
import time
from dataclasses import replace

import orjson
import pytest

from atom.account import deletion, profile, root, signup
from atom.account import login as login_module
from atom.account.login import check_password
from atom.account.password import hash_password, verify_password
from atom.account.session import logout, renew, rotate
from atom.account.throttle import LoginThrottle
from atom.errors import ApiError, Conflict, Forbidden, RateLimited, Unauthenticated
from tests.account_setup import cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

PASSWORD = "correct horse"


@pytest.fixture
async def user_id(ports):
    """A user with a name, an e-mail, a mobile and numbers, not the first one."""
    await ports.database.run("insert into users (type, username) values (1, 'first')")
    pair = await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)
    numbers = await signup.sign_up_bigint(
        ports, type=1, username_bigint=555, password_bigint=12345678
    )
    await ports.database.run(
        "update users set email = 'ada@x.com', mobile = '+9198' where username = 'ada'"
    )
    assert numbers.access
    return ports.tokens.decode(pair.access, int(time.time())).subject


def login(ports, name="ada", password=PASSWORD, kind="username", **more):
    """Log in as ada unless said otherwise."""
    arguments = {"type": 1, "address": "192.0.2.1", **more}
    return login_module.log_in(
        ports, kind=kind, name=name, password=password, **arguments
    )


async def code(work):
    """Return the word a refusal carries."""
    with pytest.raises(ApiError) as caught:
        await work
    return caught.value.code


def closed(ports, **changes):
    """Change config for one test."""
    ports.account = replace(ports.account, **changes)
    ports.config |= {f"config_{name}": value for name, value in changes.items()}


class TestSignup:
    async def test_gives_tokens_of_a_user_without_rights(self, ports):
        """Who signs up has no api_access, whatever type they choose."""
        pair = await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)
        claims = ports.tokens.decode(pair.access, int(time.time()))

        assert claims.user == {
            "id": claims.subject,
            "is_active": None,
            "api_access": None,
        }
        assert (await rotate(ports, pair.refresh)).access

    async def test_stores_a_slow_hash(self, ports):
        """The stored password is Argon2id, for names and for numbers."""
        await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)
        await signup.sign_up_bigint(
            ports, type=1, username_bigint=1, password_bigint=12345678
        )
        rows = await ports.database.rows(
            "select coalesce(password, password_bigint) as hash from users"
        )

        assert len(rows) == 2
        assert all(row["hash"].startswith("$argon2id$") for row in rows)

    async def test_name_is_taken_once(self, ports):
        """The same name of the same type is a conflict that says so."""
        await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)
        with pytest.raises(Conflict) as caught:
            await signup.sign_up(ports, type=1, name=" ada ", password=PASSWORD)

        assert caught.value.message == "username already exists"

    async def test_of_many_at_once_one_has_the_name(self, ports):
        """Signups that race for a name: one user, and conflicts for the others."""
        results = await asyncio.gather(
            *(
                signup.sign_up(ports, type=1, name="ada", password=PASSWORD)
                for _ in range(5)
            ),
            return_exceptions=True,
        )

        assert sum(isinstance(one, Conflict) for one in results) == 4
        assert await ports.database.value("select count(*) from users") == 1

    async def test_number_is_taken_once(self, ports):
        """The same holds for names that are numbers."""
        who = {"type": 1, "username_bigint": 5, "password_bigint": 12345678}
        await signup.sign_up_bigint(ports, **who)

        assert await code(signup.sign_up_bigint(ports, **who)) == "account.exists"

    @pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\0b", "a\u202eb"])
    async def test_name_keeps_the_rules(self, ports, name):
        """Empty, long and invisible names are refused."""
        work = signup.sign_up(ports, type=1, name=name, password=PASSWORD)

        assert await code(work) == "identity.unreadable"

    async def test_password_keeps_the_rules(self, ports):
        """A short password and a huge one are refused, also as numbers."""
        short = signup.sign_up(ports, type=1, name="a", password="x" * 7)
        huge = signup.sign_up(ports, type=1, name="a", password="x" * 1001)
        number = signup.sign_up_bigint(
            ports, type=1, username_bigint=1, password_bigint=1234567
        )

        assert await code(short) == "password.too_short"
        assert await code(huge) == "password.too_long"
        assert await code(number) == "password.too_short"

    async def test_type_must_be_listed(self, ports):
        """A type outside config_signup_type_list is refused, naming the list."""
        with pytest.raises(ApiError) as caught:
            await signup.sign_up(ports, type=2, name="a", password=PASSWORD)

        assert caught.value.message == "type must be one of 1"

    async def test_can_be_closed(self, ports):
        """With config_is_signup 0 nobody signs up."""
        closed(ports, is_signup=False)
        with pytest.raises(Forbidden) as caught:
            await signup.sign_up(ports, type=1, name="a", password=PASSWORD)

        assert caught.value.message == "signup disabled"


class TestLogin:
    @pytest.mark.parametrize(
        ("kind", "name", "password"),
        [
            ("username", " ada", PASSWORD),
            ("email", "ADA@x.com ", PASSWORD),
            ("mobile", "+91-98", PASSWORD),
            ("username_bigint", 555, "12345678"),
        ],
    )
    async def test_opens_with_each_identity(self, ports, user_id, kind, name, password):
        """Username, e-mail, mobile and number: in whatever spelling they are typed."""
        assert (await login(ports, name, password, kind)).access

    async def test_finds_an_address_kept_in_another_spelling(self, ports, user_id):
        """An e-mail that SQL wrote with capitals still logs in as it is written."""
        await ports.database.run(
            "update users set email = 'Ada@X.com' where id = $1", user_id
        )

        assert (await login(ports, "Ada@X.com", kind="email")).access

    @pytest.mark.parametrize(
        "wrong",
        [
            {"password": "wrong"},
            {"name": "nobody"},
            {"name": "first"},
            {"name": "a\0b"},
            {"name": "a\ud800b"},
            {"type": 2},
            {"kind": "email"},
        ],
        ids=str,
    )
    async def test_says_the_same_whatever_is_wrong(self, ports, user_id, wrong):
        """Wrong password, unknown name, no password, other type: one answer."""
        with pytest.raises(Unauthenticated) as caught:
            await login(ports, **wrong)

        assert caught.value.code == "account.wrong_password"
        assert caught.value.message == "wrong login or password"

    async def test_takes_as_long_for_a_stranger(self, ports, user_id):
        """An unknown name costs the time of a known one."""

        async def quickest(name):
            taken = []
            for _ in range(4):
                began = time.process_time()  # work, not waiting
                await code(login(ports, name, "wrong"))
                taken.append(time.process_time() - began)
            return min(taken)

        assert 0.5 < await quickest("ada") / await quickest("nobody") < 2

    async def test_refuses_the_inactive_who_know_their_password(self, ports, user_id):
        """Inactive: 403 with the right password, and 401 with a wrong one."""
        await ports.database.run(
            "update users set is_active = 0 where id = $1", user_id
        )

        assert await code(login(ports)) == "active.inactive"
        assert await code(login(ports, password="wrong")) == "account.wrong_password"

    async def test_does_not_know_the_deleted(self, ports, user_id):
        """A softly deleted user is a stranger, even with the right password."""
        await ports.database.run(
            "update users set is_deleted = 1 where id = $1", user_id
        )

        assert await code(login(ports)) == "account.wrong_password"

    async def test_replaces_an_old_hash_and_ends_no_session(self, ports, user_id):
        """SHA-256 becomes Argon2id at login; who is logged in stays so."""
        old = hashlib.sha256(PASSWORD.encode()).hexdigest()
        await ports.database.run(
            "update users set password = $2 where id = $1", user_id, old
        )
        first = await login(ports)
        await ports.database.run(
            "update users set password = $2 where id = $1", user_id, old
        )
        before = await login(ports)
        stored = await ports.database.value(
            "select password from users where id = $1", user_id
        )

        assert (await verify_password(PASSWORD, stored)).ok
        assert stored.startswith("$argon2id$")
        assert (await rotate(ports, before.refresh)).access
        assert await code(rotate(ports, first.refresh))


class TestGuesses:
    async def test_are_stopped(self, ports, user_id):
        """Of twenty wrong logins ten are checked, ten are turned away with a time."""
        seen = [await code(login(ports, password="wrong")) for _ in range(20)]
        with pytest.raises(RateLimited) as caught:
            await login(ports)

        assert seen == ["account.wrong_password"] * 10 + ["rate.exceeded"] * 10
        assert 0 < int(caught.value.headers["Retry-After"]) <= 300

    async def test_all_at_once_are_stopped_as_well(self, ports, user_id):
        """Guesses sent at the same time get no more answers than ten."""
        work = [login(ports, password="wrong") for _ in range(15)]
        results = await asyncio.gather(*work, return_exceptions=True)

        assert sum(isinstance(one, Unauthenticated) for one in results) == 10
        assert sum(isinstance(one, RateLimited) for one in results) == 5

    async def test_right_one_is_not_told_once_there_is_no_room(self, ports, user_id):
        """A guess that was begun before ten failed, and ends after, opens nothing."""
        throttle = LoginThrottle.for_user(ports.counter, "username 1 ada", "192.0.2.7")
        stored = await hash_password(PASSWORD)
        guess = asyncio.create_task(
            check_password(throttle, PASSWORD, stored, Unauthenticated("wrong"))
        )
        await asyncio.sleep(0)
        for _ in range(10):
            await throttle.fail()

        with pytest.raises(RateLimited):
            await guess

    async def test_are_counted_for_strangers_as_well(self, ports, user_id):
        """That a name is limited does not tell that it exists."""
        for _ in range(10):
            await code(login(ports, "nobody", "wrong"))

        assert await code(login(ports, "nobody", "wrong")) == "rate.exceeded"

    async def test_from_elsewhere_lock_nobody_out(self, ports, user_id):
        """The owner logs in from another address while somebody guesses."""
        for _ in range(11):
            await code(login(ports, password="wrong"))

        assert (await login(ports, address="198.51.100.7")).access

    async def test_from_one_ipv6_network_are_one_caller(self, ports, user_id):
        """Addresses of one /64 share their count."""
        for number in range(10):
            await code(login(ports, password="wrong", address=f"2001:db8::{number}"))

        assert await code(login(ports, address="2001:db8::ffff")) == "rate.exceeded"

    async def test_on_many_users_are_stopped(self, ports, user_id, monkeypatch):
        """One address that tries one password on everybody is stopped too."""
        monkeypatch.setattr("atom.account.throttle.ADDRESS_TIMES", 3)
        for number in range(3):
            await code(login(ports, f"user{number}", "wrong"))

        assert await code(login(ports)) == "rate.exceeded"

    async def test_are_forgotten_after_success(self, ports, user_id):
        """Nine mistakes and a success leave room for nine more mistakes."""
        for _ in range(2):
            for _ in range(9):
                await code(login(ports, password="wrong"))
            assert (await login(ports)).access

    async def test_right_ones_are_not_counted(self, ports, user_id):
        """Fifteen right logins at once all pass."""
        pairs = await asyncio.gather(*(login(ports) for _ in range(15)))

        assert len({pair.refresh for pair in pairs}) == 15


class TestProfile:
    async def test_is_the_row_without_secrets(self, ports, user_id):
        """Every column is there but those of passwords and config's secret ones."""
        await ports.database.run(
            "update users set location = '(77.2,28.6)', metadata = '{\"a\":[1]}',"
            " google_data = '{}' where id = $1",
            user_id,
        )
        row = orjson.loads(await profile.read_profile(ports, user_id))
        columns = set(ports.database.catalog.table("users").columns)

        assert row["id"] == user_id
        assert row["metadata"] == {"a": [1]}
        assert row["location"] == {"type": "Point", "coordinates": [77.2, 28.6]}
        assert row["created_at"].endswith("+00:00")
        assert columns - set(row) == {"password", "password_bigint", "google_data"}

    async def test_never_shows_a_password_whatever_config_says(self, ports, user_id):
        """Emptying config_column_secret_list opens no password."""
        closed(ports, column_secret_list=())
        row = orjson.loads(await profile.read_profile(ports, user_id))

        assert "google_data" in row
        assert not [name for name in row if "password" in name]

    async def test_notes_the_visit(self, ports, user_id):
        """last_active_at is set after the first visit, without being waited for."""
        await profile.read_profile(ports, user_id)
        await ports.tasks.drain(seconds=5)

        assert await ports.database.value(
            "select last_active_at > now() - interval '5 s' from users where id = $1",
            user_id,
        )

    async def test_notes_one_visit_a_minute(self, ports, user_id):
        """The second visit of a minute writes nothing, nor does another worker's."""
        await profile.read_profile(ports, user_id)
        await ports.tasks.drain(seconds=5)
        await ports.database.run("update users set last_active_at = null")
        await profile.read_profile(ports, user_id)

        assert ports.tasks.running == 0
        assert await ports.database.value(
            "select last_active_at is null from users where id = $1", user_id
        )

    async def test_of_nobody_is_not_found(self, ports, user_id):
        """A user who is gone has no profile."""
        assert await code(profile.read_profile(ports, 999)) == "account.missing"


def test_visits_are_remembered_for_a_minute_and_for_so_many():
    """A visit is due again after 60 s, or when too many others came since."""
    touches = profile.Touches(size=2)

    assert [touches.due(1, now) for now in (0, 59.9, 60, 61)] == [
        True,
        False,
        True,
        False,
    ]
    assert touches.due(2, 61) and touches.due(3, 61)
    assert touches.due(1, 62)


class TestTokenRefresh:
    async def test_shows_the_row_as_it_is_now(self, ports, user_id):
        """A column changed since the login is in the new token, of the same session."""
        pair = await login(ports)
        session = ports.tokens.decode(pair.access, int(time.time())).session
        await ports.database.run(
            "update users set api_access = '4' where id = $1", user_id
        )
        access, seconds = await renew(ports, user_id, session)
        claims = ports.tokens.decode(access, int(time.time()))

        assert claims.user["api_access"] == "4"
        assert (claims.session, seconds) == (session, 86_400)

    async def test_of_a_deleted_user_says_not_found(self, ports, user_id):
        """After a hard delete the answer is `user not found`."""
        await deletion.delete_account(ports, user_id, "hard")
        with pytest.raises(Unauthenticated) as caught:
            await renew(ports, user_id, "")

        assert caught.value.message == "user not found"


async def test_logout_ends_the_refresh_token(ports, user_id):
    """After logging out the session has no next pair; other sessions have."""
    pair, other = await login(ports), await login(ports)
    session = ports.tokens.decode(pair.access, int(time.time())).session
    await logout(ports, user_id, session)

    assert await code(rotate(ports, pair.refresh)) == "token.invalid"
    assert (await rotate(ports, other.refresh)).access


class TestDelete:
    async def test_soft_keeps_the_row_and_ends_the_account(self, ports, user_id):
        """Marked as deleted: no login, no refresh, the version has moved."""
        pair = await login(ports)
        await deletion.delete_account(ports, user_id, "soft")
        version = await ports.database.value(
            "select version from atom.token_version where user_id = $1", user_id
        )

        assert await code(login(ports)) == "account.wrong_password"
        assert await code(rotate(ports, pair.refresh))
        assert version == 1
        assert (
            await ports.database.value(
                "select is_deleted from users where id = $1", user_id
            )
            == 1
        )

    async def test_hard_removes_the_row_and_its_sessions(self, ports, user_id):
        """Gone, with every session."""
        await login(ports)
        await deletion.delete_account(ports, user_id, "hard")

        for table in ("users where id", "atom.session where user_id"):
            assert 0 == await ports.database.value(
                f"select count(*) from {table} = $1", user_id
            )

    async def test_other_mode_names_both(self, ports, user_id):
        """A mode that does not exist is answered with those that do."""
        with pytest.raises(ApiError) as caught:
            await deletion.delete_account(ports, user_id, "zzz")

        assert caught.value.status == 400
        assert "soft" in caught.value.message and "hard" in caught.value.message

    @pytest.mark.parametrize("mode", ["soft", "hard"])
    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ("api_access = '1'", "account.has_access"),
            ("is_protected = 1", "account.protected"),
        ],
    )
    async def test_is_refused(self, ports, user_id, mode, change, word):
        """Who has api_access, or is protected, stays in either mode."""
        await ports.database.run(f"update users set {change} where id = $1", user_id)

        assert await code(deletion.delete_account(ports, user_id, mode)) == word
        assert (await login(ports)).access

    @pytest.mark.parametrize("mode", ["soft", "hard"])
    async def test_of_the_first_user_is_refused(self, ports, user_id, mode):
        """User 1 stays, with or without rights."""
        assert (
            await code(deletion.delete_account(ports, 1, mode)) == "account.protected"
        )

    async def test_twice_is_not_found(self, ports, user_id):
        """Who is deleted already is nobody."""
        await deletion.delete_account(ports, user_id, "soft")

        assert (
            await code(deletion.delete_account(ports, user_id, "hard"))
            == "account.missing"
        )


class TestRoot:
    async def test_is_user_one_with_every_right(self, ports):
        """The first user has config's name, the ids given, a password made for it."""
        made = await root.ensure_root(ports.database, ports.account, [3, 1, 2])
        row = await ports.database.row("select * from users")

        assert (made.id, made.username, row["api_access"]) == (1, "root", "1,2,3")
        assert (row["is_protected"], row["is_active"]) == (1, 1)
        assert (await login(ports, "root", made.password, type=made.type)).access

    async def test_has_the_password_of_config(self, ports):
        """A password that is set is used."""
        closed(ports, root_password="set by hand", root_username="boss")
        await root.ensure_root(ports.database, ports.account, [1])

        assert (await login(ports, "boss", "set by hand")).access

    async def test_is_made_once_by_many(self, ports):
        """Workers that start together make one root; one of them tells the login."""
        made = await asyncio.gather(
            *(root.ensure_root(ports.database, ports.account, [1]) for _ in range(4))
        )

        assert sum(one is not None for one in made) == 1
        assert await ports.database.value("select count(*) from users") == 1

    async def test_is_not_made_again_after_a_rename(self, ports):
        """A renamed root stays the only one."""
        await root.ensure_root(ports.database, ports.account, [1])
        await ports.database.run("update users set username = 'boss', id = 77")

        assert await root.ensure_root(ports.database, ports.account, [1]) is None
        assert await ports.database.value("select count(*) from users") == 1

    async def test_leaves_a_first_user_alone(self, ports):
        """Where somebody is user 1 already, nobody is given rights."""
        await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)

        assert await root.ensure_root(ports.database, ports.account, [1]) is None
        assert await ports.database.value("select count(api_access) from users") == 0

    async def test_lets_the_next_user_be_two(self, ports):
        """Signing up works right after root was made."""
        await root.ensure_root(ports.database, ports.account, [1])
        pair = await signup.sign_up(ports, type=1, name="ada", password=PASSWORD)

        assert ports.tokens.decode(pair.access, int(time.time())).subject == 2
