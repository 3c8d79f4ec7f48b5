"""A forgotten password, with the mail as the mail server got it."""

import asyncio

import httpx2
import pytest

from tests.acceptance.mailing import address, far, mailing

NEW = "a new one, and long"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with mailing(tmp_path_factory.mktemp("password")) as made:
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
