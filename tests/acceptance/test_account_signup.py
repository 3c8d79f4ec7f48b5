"""Sign-up by any name, and the flows that let a new user in, with the mails read."""

import asyncio

import httpx2
import pytest

from atom.account.otp import hash_code
from tests.acceptance.mailing import address, far, mailing
from tests.acceptance.operations import eventually
from tests.acceptance.people import LAST_CHANGE, newcomer

PASSWORD = "correct horse battery"
ME = "/my/profile"


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    """A server that has new users confirm their address."""
    flow = {"config_user_approval_flow": "email_verification"}
    with mailing(tmp_path_factory.mktemp("confirmed"), **flow) as made:
        yield made


@pytest.fixture(scope="module")
def approved(tmp_path_factory):
    """A server on which an admin lets users in, and addresses need no code."""
    flow = {"config_user_approval_flow": "admin_approval", "config_is_otp_verify": "0"}
    own = "config_signup = {'column': ['email', 'mobile']}\n"
    with mailing(tmp_path_factory.mktemp("approved"), own, **flow) as made:
        yield made


def code(answer, status):
    assert status == answer.status_code, answer.text
    return answer.json()["code"]


def coded(api, kind, value):
    """Store a code as if it had been sent, for any purpose, and return it."""
    key = api.config["config_key_jwt"]
    api.sql(
        f"insert into otp (created_at, {kind}, otp) values (now(), $1, $2)",
        value,
        hash_code("123456", value, key),
    )
    return "123456"


class TestByAddress:
    """Without a flow: an address is a name, once it is proven."""

    @pytest.mark.parametrize(
        "kind, value", [("email", "By.Mail@Example.com"), ("mobile", "+91 98000-11111")]
    )
    def test_needs_its_code_and_logs_in(self, api, kind, value):
        """In its normal form; taken after that."""
        plain = {"email": "by.mail@example.com", "mobile": "+919800011111"}[kind]
        body = {kind: value, "password": PASSWORD}
        path = f"/auth/signup-{kind}"

        assert "otp.missing" == code(api.call("POST", path, json=body), 400)
        otp = coded(api, kind, plain)
        made = api.call("POST", path, json=body | {"otp": otp})

        assert 200 == made.status_code, made.text
        token = {"Authorization": f"Bearer {made.json()['message']}"}
        profile = api.message("GET", ME, headers=token)
        assert plain == profile[kind] and profile["username"] is None
        api.message("POST", f"/auth/login-{kind}", json=body)
        otp = coded(api, kind, plain)
        again = api.call("POST", path, json=body | {"otp": otp})
        assert "account.exists" == code(again, 409)


def signed_up(shop, **body):
    """Sign up, to wait; return the body."""
    by = "-email" if "username" not in body else ""
    made = shop.done(f"/auth/signup{by}", password=PASSWORD, **body)
    assert "pending" == made["message"]
    return made


class TestConfirmed:
    """`email_verification`."""

    @pytest.mark.parametrize("by", ["email", "username"])
    def test_a_user_is_let_in_by_the_link(self, confirmed, by):
        """Not before; with the reason for who knows the password alone."""
        shop, email = confirmed, address()
        name = {"username": f"by {email}"} if by == "username" else {}
        made = signed_up(shop, email=email, **name)
        assert "email_verification" == made["pending"]
        login = {by: {"email": email, **name}[by]}

        right = shop.login(**login, password=PASSWORD)
        wrong = shop.login(**login, password="not the password")
        token = shop.link(email, "email-verify")
        shop.done("/auth/email-verify", token=token)

        assert "account.unconfirmed" == code(right, 403)
        assert "account.wrong_password" == code(wrong, 401)
        for each in ({"email": email}, login):
            assert 200 == shop.login(**each, password=PASSWORD).status_code
        (row,) = shop.api.sql(
            "select is_active, is_verified from users where email = $1", email
        )
        assert {"is_active": 1, "is_verified": 1} == row
        query = "select id from users where email = $1"
        user_id = shop.api.sql(query, email)[0]["id"]
        (asked,) = shop.api.sql(LAST_CHANGE, str(user_id))  # in the audit
        assert user_id == asked["created_by_id"] and asked["request_id"]
        again = shop.post("/auth/email-verify", token=token)
        assert "account_token.invalid" == code(again, 401)

    def test_an_email_is_demanded(self, confirmed):
        """Also of who signs up by another name, and of who logs in by a code."""
        body = {"username": "no address", "password": PASSWORD}
        assert 422 == confirmed.post("/auth/signup", **body).status_code
        mobile = "+919800022222"
        otp = coded(confirmed.api, "mobile", mobile)
        answer = confirmed.post("/auth/login-otp-mobile", mobile=mobile, otp=otp)
        assert 400 == answer.status_code and "email" in answer.json()["message"]

    def test_a_taken_address_is_answered_alike(self, confirmed):
        """Its owner gets a notice; the new user never comes in."""
        shop, owner = confirmed, newcomer(confirmed.api, email=address())
        (row,) = shop.api.sql("select email from users where id = $1", owner.id)
        taken, free = row["email"], address()
        answers = [
            shop.post("/auth/signup-email", email=each, password=PASSWORD)
            for each in (taken, free)
        ]

        assert 200 == answers[0].status_code
        assert answers[0].json() == answers[1].json()
        shop.link(free, "email-verify")
        (mail,) = shop.office.wait(taken)
        assert "You have an account already" == mail["subject"]
        logins = [
            shop.login(email=each, password="not the password")
            for each in (taken, free)
        ]
        assert logins[0].status_code == logins[1].status_code == 401
        names = ["message", "code"]
        one, two = ([a.json()[n] for n in names] for a in logins)
        assert one == two

    def test_the_link_is_sent_again_to_who_waits(self, confirmed):
        """And nothing to others, with the same answer."""
        shop, email, unknown = confirmed, address(), address()
        signed_up(shop, email=email)
        shop.link(email, "email-verify")
        path = "/auth/email-verify-resend"

        answers = [shop.done(path, email=each) for each in (unknown, email)]

        assert answers[0] == answers[1]
        second = shop.link(email, "email-verify", 2)
        assert [] == shop.office.read(unknown)
        shop.done("/auth/email-verify", token=second)
        shop.done(path, email=email)  # no one waits any more
        other = address()
        signed_up(shop, email=other)
        shop.link(other, "email-verify")
        assert 2 == len(shop.office.read(email))

    def test_mails_are_limited(self, confirmed):
        """Of signing up and of resending, for one caller and address."""
        email, caller = address(), far()
        for path, more in (
            ("/auth/signup-email", {"password": PASSWORD}),
            ("/auth/email-verify-resend", {}),
        ):
            body = {"email": email, **more}
            for _ in range(5):
                confirmed.api.message("POST", path, json=body, headers=caller)
            answer = confirmed.api.call("POST", path, json=body, headers=caller)
            assert "account.too_often" == code(answer, 429)

    def test_the_first_to_confirm_has_the_address(self, confirmed):
        """Of two who signed up with it; it was no one's before."""
        shop, email = confirmed, address()
        signed_up(shop, email=email)
        first = shop.link(email, "email-verify")
        signed_up(shop, email=email)
        second = shop.link(email, "email-verify", 2)

        shop.done("/auth/email-verify", token=first)

        late = shop.post("/auth/email-verify", token=second)
        assert "account.exists" == code(late, 409)

    def test_an_admin_does_not_confirm_an_address(self, confirmed):
        """It could be a stranger's, whom a sign-in by Google would then bind to it."""
        shop, email = confirmed, address()
        signed_up(shop, email=email)
        token = shop.link(email, "email-verify")
        find = "select user_id from atom.pending_user where email = $1"
        (row,) = shop.api.sql(find, email)
        approver = newcomer(shop.api, api_access="8")
        change = {"id": row["user_id"], "is_active": 1}
        shop.api.message("PUT", "/admin/user-rights-update", approver, json=change)

        held = "select email from users where id = $1"
        assert [{"email": None}] == shop.api.sql(held, row["user_id"])
        shop.done("/auth/email-verify", token=token)
        assert [{"email": email}] == shop.api.sql(held, row["user_id"])

    def test_of_twenty_uses_at_once_one_wins(self, confirmed):
        shop, email = confirmed, address()
        signed_up(shop, email=email)
        body = {"token": shop.link(email, "email-verify")}
        answers = at_once(shop, "/auth/email-verify", [body] * 20)
        assert [200] + [401] * 19 == sorted(a.status_code for a in answers)

    @pytest.mark.parametrize(
        "change",
        [
            "delete from users where id = $1",
            "update users set is_deleted = 1 where id = $1",
            "update atom.account_token set expires_at = now() where user_id = $1",
            "update atom.pending_user set email = 'else@x.com' where user_id = $1",
        ],
        ids=["gone", "deleted", "expired", "another address"],
    )
    def test_a_token_ends_with_what_it_was_issued_for(self, confirmed, change):
        shop, email = confirmed, address()
        signed_up(shop, email=email)
        token = shop.link(email, "email-verify")
        find = "select user_id from atom.pending_user where email = $1"
        (row,) = shop.api.sql(find, email)
        shop.api.sql(change, row["user_id"])

        answer = shop.post("/auth/email-verify", token=token)

        assert "account_token.invalid" == code(answer, 401)
        login = {"email": email, "password": PASSWORD}
        assert 200 != shop.login(**login).status_code


def at_once(shop, path, bodies):
    """Send all of them in one moment."""

    async def run():
        async with httpx2.AsyncClient(timeout=60) as client:
            return await asyncio.gather(
                *(
                    client.post(shop.api.url + path, json=body, headers=far())
                    for body in bodies
                )
            )

    return asyncio.run(run())


@pytest.fixture(scope="module")
def admin(approved):
    """An admin who approves, with an address."""
    made = newcomer(approved.api, api_access="8", email="admin@example.com")
    return made


class TestApproved:
    """`admin_approval`."""

    def test_an_admin_lets_a_user_in(self, approved, admin):
        """Both are notified, by mail and without."""
        shop, email = approved, address()
        other = newcomer(shop.api, api_access="8")  # who has no address
        made = signed_up(shop, email=email)
        assert "admin_approval" == made["pending"]
        login = {"email": email, "password": PASSWORD}

        assert "account.unapproved" == code(shop.login(**login), 403)
        wrong = shop.login(**{**login, "password": "not the password"})
        assert "account.wrong_password" == code(wrong, 401)
        mails = shop.office.wait("admin@example.com")
        assert email in mails[-1].get_body(("plain",)).get_content()
        read = "/my/notification-read"
        eventually(lambda: shop.api.message("GET", read, other))
        (note,) = shop.api.message("GET", read, other)
        assert "registration" == note["kind"] and email in note["message"]
        (row,) = shop.api.sql("select id from users where email = $1", email)
        change = {"id": row["id"], "is_active": 1}
        path = "/admin/user-rights-update"
        shop.api.message("PUT", path, admin, json=change)

        assert 200 == shop.login(**login).status_code
        (mail,) = shop.office.wait(email)
        assert mail["subject"].endswith(" is open")
        token = shop.login(**login).json()["message"]
        headers = {"Authorization": f"Bearer {token}"}
        (note,) = shop.api.message("GET", read, headers=headers)
        assert ("approval", mail["subject"]) == (note["kind"], note["subject"])
        shop.api.message("PUT", path, admin, json=change | {"is_active": 0})
        assert "active.inactive" == code(shop.login(**login), 403)

    def test_an_admin_refuses_a_user(self, approved, admin):
        """Who learns that at the next login, not by mail."""
        shop, email = approved, address()
        signed_up(shop, email=email)
        (row,) = shop.api.sql("select id from users where email = $1", email)
        change = {"id": row["id"], "is_active": 0}
        shop.api.message("PUT", "/admin/user-rights-update", admin, json=change)

        login = {"email": email, "password": PASSWORD}
        assert "active.inactive" == code(shop.login(**login), 403)
        assert [] == shop.office.read(email)

    def test_a_login_by_code_waits_as_well(self, approved, admin):
        """Who was unknown becomes a user, who is not let in."""
        email = address()
        for _ in range(2):
            otp = coded(approved.api, "email", email)
            answer = approved.post("/auth/login-otp-email", email=email, otp=otp)
            assert "account.unapproved" == code(answer, 403)

    @pytest.mark.parametrize("kind", ["username", "email", "mobile"])
    def test_of_twenty_sign_ups_at_once_one_wins(self, approved, kind):
        """All others learn that the name is taken."""
        email = address()
        number = email[1:].partition("@")[0]
        value = {"username": email, "email": email, "mobile": f"+9198{number:0>8}"}
        path = "/auth/signup" + ("" if kind == "username" else f"-{kind}")
        body = {kind: value[kind], "password": PASSWORD}

        answers = at_once(approved, path, [body] * 20)

        assert [200] + [409] * 19 == sorted(a.status_code for a in answers)


def test_another_word_for_the_flow_stops_the_start(tmp_path):
    """Naming the key and the words that it takes."""
    with pytest.raises(RuntimeError) as error:
        with mailing(tmp_path, config_user_approval_flow="admin_aproval"):
            pytest.fail("it started")

    assert "config_user_approval_flow" in str(error.value)
    assert "admin_approval" in str(error.value)
