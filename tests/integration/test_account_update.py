"""Changing one's own row of users, on a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest

from atom.account.login import log_in
from atom.account.name import normalize
from atom.account.otp import hash_code, verify_otp
from atom.account.session import rotate
from atom.account.signup import sign_up as signup
from atom.account.update import update_account as update
from atom.errors import ApiError, Conflict, Forbidden, Unauthenticated
from tests.account_setup import KEY, cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

PASSWORD = "correct horse"
NEW = "battery staple"


@pytest.fixture
async def user(ports):
    """The claims of a user who signed up with a password."""
    await signup(ports, type=1, name="ada", password=PASSWORD)
    found = await ports.database.value("select id from users")
    return {"id": found, "is_active": None, "api_access": None}


@pytest.fixture
def change(ports, user):
    """Send changes of one's own row."""

    async def send(otp=None, **changes):
        return await update(ports, user, {"id": user["id"], **changes}, otp)

    return send


@pytest.fixture
def send_otp(ports):
    """Store a code as the senders do."""

    async def sent(otp, kind, address):
        address = normalize(kind, address)
        await ports.database.run(
            "insert into otp (otp, email, mobile) values ($1, $2, $3)",
            hash_code(otp, address, KEY),
            address if kind == "email" else None,
            address if kind == "mobile" else None,
        )

    return sent


def login(ports, password, name="ada", kind="username"):
    """Log in."""
    return log_in(
        ports, kind=kind, type=1, name=name, password=password, address="192.0.2.1"
    )


async def code(work):
    """Return the word a refusal carries."""
    with pytest.raises(ApiError) as caught:
        await work
    return caught.value.code


def own(ports, column):
    """Read one column of the only user."""
    return ports.database.value(f"select {column} from users")


class TestOwnRow:
    @pytest.mark.parametrize("given", [999, "a", "1 or 1=1", True, None, 1.5, [1]])
    async def test_other_ids_are_refused(self, ports, user, given):
        """Any id but one's own is a wrong id."""
        with pytest.raises(Forbidden) as caught:
            await update(ports, user, {"id": given, "name": "x"}, None)

        assert caught.value.message == "wrong id"
        assert await own(ports, "name") is None

    async def test_id_is_mandatory(self, ports, user):
        """Without an id nothing is changed, not even one's own row."""
        assert await code(update(ports, user, {"name": "x"}, None)) == (
            "account.wrong_id"
        )

    async def test_plain_columns_are_read_by_their_datatype(self, ports, user, change):
        """Text, JSON and places are stored; the id comes back; the editor is noted."""
        answer = await change(
            name="Ada", metadata={"a": 1}, location="POINT(77.2 28.6)", country=None
        )
        row = await ports.database.row("select *, location::text as place from users")

        assert answer == user["id"]
        assert (row["name"], row["metadata"], row["place"]) == (
            "Ada",
            '{"a": 1}',
            "(77.2,28.6)",
        )
        assert row["updated_by_id"] == user["id"]

    async def test_caches_of_users_hear_of_it(self, ports, change):
        """Answers made from users are dropped."""
        heard = []
        ports.database.written = heard.append
        await change(name="Ada")

        assert heard == ["users"]

    @pytest.mark.parametrize(
        "column",
        [
            "api_access",
            "API_ACCESS",
            " Is_Active",
            "is_verified",
            "is_protected",
            "is_deleted",
            "type",
            "created_at",
            "updated_at",
            "created_by_id",
            "updated_by_id",
            "google_id",
            "google_data",
            "last_active_at",
            "nope",
            "Password",
            "name\0",
            'name" = 1 --',
            "",
        ],
    )
    async def test_other_columns_are_refused(self, ports, change, column):
        """What is managed, disabled, unknown or oddly spelt is a 400."""
        before = await ports.database.row("select * from users")
        with pytest.raises(ApiError) as caught:
            await change(name="x", **{column: "1"})

        assert caught.value.status == 400
        assert before == await ports.database.row("select * from users")

    async def test_values_that_do_not_fit_are_refused(self, change):
        """A value of another type names its column."""
        with pytest.raises(ApiError) as caught:
            await change(name=1)

        assert "name" in caught.value.message

    async def test_nothing_is_no_change(self, change):
        """An id alone changes nothing, and says so."""
        assert await code(change()) == "account.nothing"

    async def test_username_keeps_the_rules_of_signup(self, ports, change):
        """Renaming trims, and refuses what signup refuses."""
        await change(username=" grace ")

        assert await own(ports, "username") == "grace"
        assert await code(change(username="")) == "identity.unreadable"
        assert await code(change(username=None)) == "value.refused"

    async def test_name_of_another_is_a_conflict(self, ports, user):
        """Two users of a type never have the same name."""
        await signup(ports, type=1, name="bob", password=PASSWORD)
        with pytest.raises(Conflict) as caught:
            await update(ports, user, {"id": user["id"], "username": "bob"}, "")

        assert "bob" not in caught.value.message

    async def test_who_is_gone_is_told(self, ports, user, change):
        """A token of a deleted user changes nothing."""
        await ports.database.run("insert into users (id, type) values (99, 1)")
        user["id"] = 98

        assert await code(change(name="x")) == "account.missing"


class TestPassword:
    async def test_is_changed_with_the_old_one(self, ports, change):
        """The new password logs in, the old one does not."""
        await change(password=NEW, password_old=PASSWORD)

        assert (await login(ports, NEW)).access
        assert await code(login(ports, PASSWORD)) == "account.wrong_password"

    async def test_change_ends_every_session(self, ports, change):
        """Refresh tokens stop, the version of access tokens moves on, the log knows."""
        pair = await login(ports, PASSWORD)
        await change(password=NEW, password_old=PASSWORD)

        assert await code(rotate(ports, pair.refresh))
        assert await ports.database.value("select version from atom.token_version") == 1
        assert await ports.database.value("select count(*) from log_password") == 1

    async def test_is_not_stored_in_clear(self, ports, change):
        """What is stored is a hash."""
        await change(password=NEW, password_old=PASSWORD)

        assert (await own(ports, "password")).startswith("$argon2id$")

    async def test_needs_the_old_one(self, ports, change):
        """Without it 400, with a wrong one 401; nothing is changed."""
        before = await own(ports, "password")

        assert await code(change(password=NEW)) == "account.no_password_old"
        assert await code(change(password=NEW, password_old="wrong")) == (
            "account.wrong_password"
        )
        assert before == await own(ports, "password")

    async def test_old_one_is_guessed_ten_times(self, change):
        """A stolen token is no way to guess the password."""
        seen = [await code(change(password=NEW, password_old="x")) for _ in range(12)]

        assert seen[9:] == ["account.wrong_password", "rate.exceeded", "rate.exceeded"]

    async def test_needs_no_old_one_when_config_says_so(self, ports, change):
        """With config_is_password_old_check 0 the token is enough."""
        ports.account = replace(ports.account, is_password_old_check=False)
        await change(password=NEW)

        assert (await login(ports, NEW)).access

    async def test_first_one_needs_no_old_one(self, ports, change):
        """Who has none yet (came by OTP) sets one."""
        await ports.database.run("update users set password = null")
        await change(password=NEW)

        assert (await login(ports, NEW)).access

    @pytest.mark.parametrize(
        "beside", [{"name": "x"}, {"email": "a@x.com"}, {"password_bigint": 12345678}]
    )
    async def test_goes_alone(self, change, beside):
        """A password and anything else is refused."""
        work = change(password=NEW, password_old=PASSWORD, **beside)

        assert await code(work) == "account.not_alone"

    async def test_old_one_goes_with_a_new_one(self, change):
        """password_old beside another column is a misunderstanding."""
        work = change(name="x", password_old=PASSWORD)

        assert await code(work) == "account.not_alone"

    @pytest.mark.parametrize("value", ["short", None, 12345678, ["a"], "", "x" * 1001])
    async def test_keeps_the_rules(self, ports, change, value):
        """Too short, too long and no text at all are refused."""
        with pytest.raises(ApiError) as caught:
            await change(password=value, password_old=PASSWORD)

        assert caught.value.status == 400

    async def test_number_is_changed_like_a_text(self, ports, change):
        """password_bigint: proven by the password there is, hashed, logs in."""
        await change(username_bigint=5)
        await change(password_bigint=12345678, password_old=PASSWORD)

        assert (await login(ports, "12345678", 5, "username_bigint")).access
        assert await code(change(password_bigint="1234567x")) == "value.unreadable"


class TestAddress:
    async def test_needs_its_own_otp(self, ports, change, send_otp):
        """A code sent to the new address changes it; it is stored in one spelling."""
        await send_otp("123456", "email", "ada@x.com")
        await change("123456", email=" Ada@X.com", name="Ada")

        assert await own(ports, "email || name") == "ada@x.comAda"

    async def test_otp_of_another_address_is_refused(self, ports, change, send_otp):
        """A code proves the address it was sent to, no other."""
        await send_otp("123456", "email", "other@x.com")
        await send_otp("123456", "mobile", "+9198")

        assert await code(change("123456", email="ada@x.com")) == "otp.invalid"
        assert await own(ports, "email") is None

    async def test_otp_is_mandatory(self, change):
        """Without a code: 400 that says what to do."""
        assert await code(change(email="ada@x.com")) == "otp.missing"
        assert await code(change(mobile="+9198")) == "otp.missing"

    async def test_otp_is_not_needed_when_config_says_so(self, ports, change):
        """With config_is_otp_verify 0 the token is enough."""
        ports.account = replace(ports.account, is_otp_verify=False)
        await change(mobile="+91 98-76")

        assert await own(ports, "mobile") == "+919876"

    async def test_both_do_not_go_together(self, change):
        """E-mail and mobile are changed one at a time."""
        work = change("1", email="ada@x.com", mobile="+9198")

        assert await code(work) == "account.not_alone"

    @pytest.mark.parametrize(
        "wrong", [{"email": "ada"}, {"email": "a b@x.com"}, {"mobile": "call me"}]
    )
    async def test_must_look_like_one(self, change, wrong):
        """What is no address is refused before a code is used up."""
        assert await code(change("123456", **wrong)) == "identity.unreadable"

    async def test_is_taken_away_with_an_otp_to_the_old_one(
        self, ports, change, send_otp
    ):
        """Removing an address needs a code that was sent to it."""
        await ports.database.run("update users set email = 'ada@x.com'")

        assert await code(change(email=None)) == "otp.missing"
        await send_otp("123456", "email", "ada@x.com")
        await change("123456", email=None)
        assert await own(ports, "email") is None

    async def test_same_as_before_needs_no_otp(self, ports, change):
        """Sending a whole form back with the address unchanged is no change of it."""
        await ports.database.run("update users set email = 'ada@x.com'")
        await change(email="ADA@x.com", name="Ada")

        assert await own(ports, "name") == "Ada"


class TestOtp:
    @pytest.fixture
    def verify(self, ports):
        """Verify a code for ada's e-mail."""
        return lambda otp, email="ada@x.com": verify_otp(
            ports.database, otp, keys=(KEY,), email=email
        )

    async def test_is_good_once(self, verify, send_otp):
        """The second use of a right code is refused."""
        await send_otp("123456", "email", "ada@x.com")
        await verify(" 123456", "ADA@X.com ")

        assert await code(verify("123456")) == "otp.invalid"

    async def test_is_good_for_one_of_many_at_once(self, verify, send_otp):
        """Of several callers with the right code one is let in."""
        await send_otp("123456", "email", "ada@x.com")
        results = await asyncio.gather(
            *(verify("123456") for _ in range(4)), return_exceptions=True
        )

        assert sum(one is None for one in results) == 1

    async def test_is_guessed_five_times(self, verify, send_otp):
        """After five wrong guesses the right code is refused too."""
        await send_otp("123456", "email", "ada@x.com")
        for _ in range(5):
            await code(verify("000000"))

        assert await code(verify("123456")) == "otp.invalid"

    async def test_is_good_after_four_wrong_guesses(self, verify, send_otp):
        """The fifth try may be the right one."""
        await send_otp("123456", "email", "ada@x.com")
        for _ in range(4):
            await code(verify("000000"))

        assert await verify("123456") is None

    async def test_is_good_for_ten_minutes(self, ports, verify, send_otp):
        """An older code is refused."""
        await send_otp("123456", "email", "ada@x.com")
        await ports.database.run("update otp set created_at = now() - interval '601 s'")

        assert await code(verify("123456")) == "otp.invalid"

    async def test_only_the_latest_counts(self, verify, send_otp):
        """A new code makes the one before worthless."""
        await send_otp("111111", "email", "ada@x.com")
        await send_otp("222222", "email", "ada@x.com")

        assert await code(verify("111111")) == "otp.invalid"
        assert await verify("222222") is None

    async def test_stored_text_is_no_code(self, ports, verify, send_otp):
        """Whoever reads the table has nothing to send."""
        await send_otp("123456", "email", "ada@x.com")
        stored = await ports.database.value("select otp from otp")

        assert "123456" not in stored
        assert await code(verify(stored)) == "otp.invalid"

    @pytest.mark.parametrize("otp", ["", " ", "\0", "\ud800", "1" * 5000])
    async def test_what_is_no_code_is_refused(self, verify, send_otp, otp):
        """Any text at all is answered the same."""
        await send_otp("123456", "email", "ada@x.com")
        with pytest.raises(Unauthenticated):
            await verify(otp)

    async def test_old_signing_key_still_opens(self, ports, send_otp):
        """A code sealed before the keys were rotated is good."""
        await send_otp("123456", "email", "ada@x.com")

        assert (
            await verify_otp(
                ports.database, "123456", keys=("new" * 20, KEY), email="ada@x.com"
            )
            is None
        )


async def test_guesses_of_others_lock_nobody_out(ports, user, change, monkeypatch):
    """Failures of one user are not counted as those of the next."""
    monkeypatch.setattr("atom.account.throttle.ADDRESS_TIMES", 2)
    await signup(ports, type=1, name="eve", password=PASSWORD)
    eve = {"id": await ports.database.value("select max(id) from users")}
    wrong = {"id": eve["id"], "password": NEW, "password_old": "no such thing"}
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await update(ports, eve, wrong, None)

    assert user["id"] == await change(password=NEW, password_old=PASSWORD)
