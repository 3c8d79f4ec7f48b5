"""A forgotten password, with the mail as the mail server got it."""

import asyncio

import httpx2
import pytest

from atom.account.otp import hash_code
from tests.acceptance.mailing import address, far, mailing
from tests.acceptance.operations import held
from tests.acceptance.people import LAST_CHANGE, PASSWORD, newcomer

NEW = "a new one, and long"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    cheap = {"config_password_rounds": "2", "config_password_memory_kib": "8192"}
    own = "config_signup = {'column': ['email']}\n"
    with mailing(tmp_path_factory.mktemp("password"), own, **cheap) as made:
        yield made


def forgot(shop, user, count=1):
    """Ask for a link, and return its token."""
    shop.done("/auth/password-forgot", email=user.email)
    return shop.link(user.email, "password-reset", count)


def code(answer, status):
    assert status == answer.status_code, answer.text
    return answer.json()["code"]


def test_a_link_sets_a_new_password_and_ends_every_session(shop):
    """The old password and all tokens are void; a notice comes by mail."""
    ada = shop.user()
    token = forgot(shop, ada)

    made = shop.done("/auth/password-reset", token=token, password=NEW)

    assert "done" == made["message"]
    (asked,) = shop.api.sql(LAST_CHANGE, str(ada.id))  # in the audit
    assert ada.id == asked["created_by_id"] and asked["request_id"]
    assert "token.revoked" == code(shop.api.call("GET", "/my/profile", ada), 401)
    refresh = shop.post("/auth/token-refresh", refresh_token=ada.refresh)
    assert 401 == refresh.status_code
    old = shop.login(email=ada.email, password=ada.password)
    assert "account.wrong_password" == code(old, 401)
    assert 200 == shop.login(email=ada.email, password=NEW).status_code
    notice = shop.office.wait(ada.email, 2)[1]
    assert "Your password was changed" == notice["subject"]


def test_a_link_is_good_once(shop):
    """A second use, and another link of the same user, are refused."""
    ada = shop.user()
    first, second = forgot(shop, ada), forgot(shop, ada, 2)
    assert first != second
    shop.done("/auth/password-reset", token=first, password=NEW)

    for token in (first, second):
        again = shop.post("/auth/password-reset", token=token, password=NEW + "!")
        assert "account_token.invalid" == code(again, 401)
    assert 200 == shop.login(email=ada.email, password=NEW).status_code


def test_of_twenty_uses_at_once_one_wins(shop):
    """The password is that of the winner."""
    ada = shop.user()
    token = forgot(shop, ada)
    bodies = [{"token": token, "password": f"{NEW} {n}"} for n in range(20)]

    async def all_at_once():
        async with httpx2.AsyncClient(timeout=60) as client:
            url = shop.api.url + "/auth/password-reset"
            return await asyncio.gather(
                *(client.post(url, json=body, headers=far()) for body in bodies)
            )

    answers = asyncio.run(all_at_once())
    won = [n for n, answer in enumerate(answers) if answer.status_code == 200]

    assert 1 == len(won), [answer.text for answer in answers]
    assert {"account_token.invalid"} == {
        answer.json()["code"] for n, answer in enumerate(answers) if n != won[0]
    }
    password = bodies[won[0]]["password"]
    assert 200 == shop.login(email=ada.email, password=password).status_code


def test_only_a_hash_is_stored(shop):
    """Neither the table nor the queue, once the mail is sent, has the token."""
    ada = shop.user()
    token = forgot(shop, ada)
    (row,) = shop.api.sql(
        "select t::text as kept, expires_at - created_at = interval '1 day' as day"
        " from atom.account_token t where user_id = $1",
        ada.id,
    )

    assert token not in row["kept"]
    assert row["day"]
    shop.office.wait(ada.email)
    queued = "select count(*) as n from atom.outbox where payload::text like $1"
    deadline = asyncio.run(emptied(shop, queued, f"%{token}%"))
    assert deadline
    assert token not in shop.api.log.read_text()


async def emptied(shop, text, *values):
    """Wait until a count is 0."""
    for _ in range(600):
        found = await asyncio.to_thread(shop.api.sql, text, *values)
        if found[0]["n"] == 0:
            return True
        await asyncio.sleep(0.05)
    return False


def test_a_refused_password_leaves_the_token_good(shop):
    """Whoever mistypes does not need another mail."""
    ada = shop.user()
    token = forgot(shop, ada)

    short = shop.post("/auth/password-reset", token=token, password="x")

    assert "password.too_short" == code(short, 400)
    shop.done("/auth/password-reset", token=token, password=NEW)


@pytest.mark.parametrize(
    "change",
    [
        "update users set is_deleted = 1 where id = $1",
        "update users set is_active = 0 where id = $1",
        "update users set email = 'moved-' || email where id = $1",
        "delete from users where id = $1",
        "update atom.account_token set expires_at = now() where user_id = $1",
        "update atom.account_token set purpose = 'email-verify' where user_id = $1",
    ],
    ids=["deleted", "inactive", "moved", "gone", "expired", "other purpose"],
)
def test_a_token_ends_with_what_it_was_issued_for(shop, change):
    ada = shop.user()
    token = forgot(shop, ada)
    shop.api.sql(change, ada.id)

    answer = shop.post("/auth/password-reset", token=token, password=NEW)

    assert "account_token.invalid" == code(answer, 401)


def test_a_stranger_gets_the_same_answer(shop):
    """For an address no user has: the same body and headers, and no mail."""
    ada, unknown = shop.user(), address()
    answers = [shop.post("/auth/password-forgot", email=unknown)]
    answers.append(shop.post("/auth/password-forgot", email=ada.email))

    different = {"date", "x-request-id"}
    one, two = (
        (a.status_code, a.json(), {k for k in a.headers if k not in different})
        for a in answers
    )
    assert one == two
    shop.office.wait(ada.email)  # asked later, and written by the same work
    assert [] == shop.office.read(unknown)


@pytest.mark.parametrize("what", ["password-forgot", "email-verify-resend"])
def test_the_answer_is_there_before_anyone_looks_who_it_is(shop, what):
    """So it takes the same time: while users cannot be read, all get it."""
    ada, locks = (
        shop.user(),
        [
            f"lock table {each} in access exclusive mode"
            for each in ("users", "atom.pending_user", "atom.account_token")
        ],
    )
    with held(shop.api.database, *locks):
        for email in (ada.email, address(), ada.email, address()):
            shop.done(f"/auth/{what}", email=email)
    if what == "password-forgot":
        shop.link(ada.email, "password-reset", 2)


def test_mails_are_limited_for_a_caller_and_an_address(shop):
    """The sixth of one caller is refused, known or not; another caller passes."""
    for email in (shop.user().email, address()):
        caller = far()
        path, body = "/auth/password-forgot", {"email": email}
        for _ in range(5):
            shop.api.message("POST", path, json=body, headers=caller)
        sixth = shop.api.call("POST", path, json=body, headers=caller)
        assert "account.too_often" == code(sixth, 429)
        assert "retry-after" in sixth.headers
        assert 200 == shop.post(path, email=email).status_code


def test_the_page_shows_a_form_and_changes_nothing(shop):
    """A program that opens the link uses nothing up."""
    ada = shop.user()
    token = forgot(shop, ada)

    page = shop.api.call("GET", "/auth/page/password-reset")

    assert 200 == page.status_code and "<form" in page.text
    assert "no-referrer" == page.headers["referrer-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "page.missing" == code(shop.api.call("GET", "/auth/page/other"), 404)
    shop.done("/auth/password-reset", token=token, password=NEW)


COMMON = ("password", "Password1", "qwertyuiop", "iloveyou")


@pytest.mark.parametrize("password", COMMON)
def test_a_common_password_is_refused(shop, password):
    """Whatever its case: at sign-up, at a change and at a reset."""
    ada = shop.user()
    body = {"username": address(), "password": password}
    change = {"id": ada.id, "password": password, "password_old": ada.password}
    table = {"table": "users"}
    answers = [
        shop.post("/auth/signup", **body),
        shop.api.call("PUT", "/my/object-update", ada, params=table, json=change),
        shop.post("/auth/password-reset", token=forgot(shop, ada), password=password),
    ]

    assert ["password.common"] * 3 == [code(answer, 400) for answer in answers]


def test_a_password_with_ones_own_name_is_refused(shop):
    """The username, or the name of the e-mail, in any case."""
    ada = shop.user()
    name, mailbox = ada.username, ada.email.partition("@")[0]
    token = forgot(shop, ada)
    table = {"table": "users"}
    for own in (name, mailbox):
        password = f"I am {own.upper()} !"
        change = {"id": ada.id, "password": password, "password_old": ada.password}
        for answer in (
            shop.api.call("PUT", "/my/object-update", ada, params=table, json=change),
            shop.post("/auth/password-reset", token=token, password=password),
        ):
            assert "password.own_name" == code(answer, 400)
    body = {"username": "babbage", "password": "analytical Babbage"}
    assert "password.own_name" == code(shop.post("/auth/signup", **body), 400)
    by_mail = {"username": address(), "email": "babbage@x.com"}
    answer = shop.post("/auth/signup", **by_mail, password="analytical babbage")
    assert "password.own_name" == code(answer, 400)
    ok = {"username": "li", "password": "a list of lilies"}  # too short to matter
    shop.done("/auth/signup", **ok)


def test_a_hash_with_other_parameters_is_replaced_at_login(shop):
    """By one with those of config; sessions stay open."""
    ada = newcomer(shop.api)  # whose hash was made with the usual ones
    (row,) = shop.api.sql("select password from users where id = $1", ada.id)

    assert "$m=8192,t=2,p=1$" in row["password"]
    assert 200 == shop.login(username=ada.username, password=PASSWORD).status_code
    shop.api.message("GET", "/my/profile", ada)


@pytest.mark.parametrize("kind", ["email", "mobile"])
def test_the_old_address_learns_of_a_change(shop, kind):
    """With the code that was sent to the new one; without it, nothing is sent."""
    ada = shop.user()
    new = {"email": address(), "mobile": "+919811122233"}[kind]
    key = shop.api.config["config_key_jwt"]
    shop.api.sql(
        f"insert into otp (created_at, {kind}, otp, purpose)"
        " values (now(), $1, $2, 'change')",
        new,
        hash_code("123456", new, key),
    )
    table, body = {"table": "users"}, {"id": ada.id, kind: new}

    def change(otp):
        query = {**table, "otp": otp}
        return shop.api.call("PUT", "/my/object-update", ada, params=query, json=body)

    assert "otp.invalid" == code(change("654321"), 401)
    assert 200 == change("123456").status_code

    (mail,) = shop.office.wait(ada.email)
    assert "was changed" in mail["subject"]


def test_the_owner_of_the_address_learns_of_a_new_password(shop):
    """When it was changed with the old one."""
    ada = shop.user()
    change = {"id": ada.id, "password": NEW, "password_old": ada.password}
    table = {"table": "users"}
    shop.api.message("PUT", "/my/object-update", ada, params=table, json=change)

    (mail,) = shop.office.wait(ada.email)
    assert "The password of your account was changed" == mail["subject"]
