"""A second factor: an authenticator app, and recovery codes, over HTTP."""

import json
import re
from collections import Counter
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from argon2 import PasswordHasher

from atom.account.otp import hash_code
from tests.acceptance.authenticator import (
    BACK,
    App,
    code,
    enrolled,
    first_step,
    profile,
    second_step,
    with_app,
)
from tests.acceptance.mailing import far, mailing
from tests.acceptance.operations import at_once, eventually
from tests.service import fixture
from tests.service.oidc_provider import CLIENT, SECRET, oidc_provider
from tests.service.web import Space

CODE = re.compile(r"([a-z2-7]{4}-){5}[a-z2-7]{4}")


PAGE = "https://shop.example/back"


@pytest.fixture(scope="module")
def service():
    with oidc_provider() as running:
        yield running


@pytest.fixture(scope="module")
def google():
    return Space(fixture.url("web"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory, service, google):
    work = {"issuer": service.url, "client_id": CLIENT, "client_secret": SECRET}
    config = {
        "config_mfa": "optional",
        "config_app_name": "a shop",
        "config_google_login_client_id": "shop.apps.example",
        "config_google_certs_url": google.url + "/google/oauth2/v3/certs",
        "config_oidc": json.dumps({"work": {**work, "redirect_uri": PAGE}}),
    }
    with mailing(tmp_path_factory.mktemp("mfa"), **config) as made:
        yield made


def test_a_person_sets_an_app_up_and_logs_in_with_it(shop):
    """From the QR code to the tokens; the notice is in the mail."""
    ada = shop.user()
    given = shop.done("/my/totp-create", ada, password=ada.password)["message"]
    uri = urlsplit(given["uri"])
    assert ("otpauth", "totp") == (uri.scheme, uri.netloc)
    assert f"/a shop:{ada.username}" == unquote(uri.path)
    asked = {name: value for name, (value,) in parse_qs(uri.query).items()}
    assert asked == {
        "secret": given["secret"],
        "issuer": "a shop",
        "algorithm": "SHA1",
        "digits": "6",
        "period": "30",
    }
    # Until a code has come nothing is asked.
    assert isinstance(first_step(shop, ada), str)

    app = App(given["secret"])
    first = app.code()
    codes = shop.done("/my/totp-confirm", ada, code=first)["message"]
    assert 10 == len(set(codes))
    assert all(CODE.fullmatch(each) for each in codes)

    found = first_step(shop, ada)
    assert ["totp", "recovery"] == found["method"]
    used = second_step(shop, found["mfa_token"], code=first)
    assert "mfa.invalid" == code(used, 401)  # it set the app up
    pair = second_step(shop, found["mfa_token"], code=app.code(1))
    assert 200 == pair.status_code, pair.text
    assert 200 == profile(shop, pair.json()["message"]).status_code
    refresh = pair.json()["refresh_token"]
    shop.done("/auth/token-refresh", refresh_token=refresh)

    state = shop.api.message("GET", "/my/mfa-read", ada)
    assert ("optional", 10) == (state["mode"], state["recovery_code"])
    assert state["totp_since"]
    (mail,) = shop.office.wait(ada.email, 1)
    assert "authenticator app was added" in mail["subject"]
    audit = shop.api.sql("select action from atom.audit where user_id = $1", ada.id)
    assert [{"action": "totp-create"}] == audit

    def events():
        counts = Counter()
        for one in shop.api.message("GET", "/my/security-event-read", ada):
            counts[one["kind"], one["reason"]] += one["count"]
        return counts

    expected = {
        ("signup.ok", ""): 1,
        ("factor.added", ""): 1,
        ("login.ok", ""): 2,  # the first step alone is not one
        ("login.refused", "mfa.invalid"): 1,
    }
    eventually(lambda: expected == events())


def has_otp(shop, kind, value):
    """Store a code as if it had been sent."""
    key = shop.api.config["config_key_jwt"]
    shop.api.sql(
        f"insert into otp ({kind}, otp, purpose) values ($1, $2, 'login')",
        value,
        hash_code("123456", value, key),
    )
    return {kind: value, "otp": "123456"}


def ways_in(shop, service, google, ada):
    """Yield each way to log in: its path, and what it is sent."""
    password, mobile = {"password": ada.password}, "+49151" + f"{ada.id:08}"
    hashed = PasswordHasher(time_cost=1, memory_cost=1024).hash("4711")
    shop.api.sql(
        "update users set mobile = $2, google_id = $3, username_bigint = $1,"
        " password_bigint = $4 where id = $1",
        ada.id,
        mobile,
        f"g{ada.id}",
        hashed,
    )
    add = "insert into atom.identity (issuer, subject, type, user_id) values"
    shop.api.sql(f"{add} ($1, $2, 1, $3)", service.url, f"s{ada.id}", ada.id)
    begun = shop.done("/auth/oidc-begin", provider="work")["message"]
    back = service.sign_in(begun["url"], f"s{ada.id}")
    known = {"aud": "shop.apps.example", "sub": f"g{ada.id}", "email": ada.email}
    yield "password", {"username": ada.username, **password}
    number = {"username_bigint": ada.id, "password_bigint": 4711}
    yield "password-bigint", number
    yield "password-email", {"email": ada.email, **password}
    yield "password-mobile", {"mobile": mobile, **password}
    yield "otp-email", has_otp(shop, "email", ada.email)
    yield "otp-mobile", has_otp(shop, "mobile", mobile)
    yield "google", {"google_token": google.id_token(**known)}
    yield "oidc", {"flow": begun["flow"], **back}


def test_every_way_in_asks_for_it(shop, service, google):
    """Without a factor each of them answers tokens."""
    for has_app in (False, True):
        ada = shop.user()
        ways = dict(ways_in(shop, service, google, ada))
        if has_app:
            ada.token = first_step(shop, ada)  # the new password_bigint ended it
            with_app(shop, ada)
        for way, body in ways.items():
            found = shop.done(f"/auth/login-{way}", **body)
            assert has_app is ("refresh_token" not in found), way
            if has_app:
                assert ["totp", "recovery"] == found["message"]["method"], way
    document = shop.api.call("GET", "/openapi.json").json()
    logins = {path for path in document["paths"] if path.startswith("/auth/login-")}
    logins -= {"/auth/login-mfa", "/auth/login-passkey"}  # which are both steps
    assert {f"/auth/login-{way}" for way in ways} == logins
    for path in logins:
        answer = document["paths"][path]["post"]["responses"]["200"]
        assert "Challenged" in json.dumps(answer), path


def test_the_token_of_the_first_step_opens_nothing(shop):
    """Not as an access token, a refresh token, or one of a mail."""
    ada, _ = enrolled(shop)
    token = first_step(shop, ada)["mfa_token"]
    assert "token.invalid" == code(profile(shop, token), 401)
    answer = shop.post("/auth/token-refresh", refresh_token=token)
    assert "token.invalid" == code(answer, 401)
    for path in ("/auth/password-reset", "/auth/invitation-accept"):
        answer = shop.post(path, token=token, password="correct horse battery")
        assert "account_token.invalid" == code(answer, 401)
    answer = shop.post("/auth/email-verify", token=token)
    assert "account_token.invalid" == code(answer, 401)
    # Nor is a token of another kind good for the second step.
    shop.done("/auth/password-forgot", email=ada.email)
    for other in (ada.token, ada.refresh, shop.link(ada.email, "password-reset")):
        answer = second_step(shop, other[:200], code=ada.app.code())
        assert "account_token.invalid" == code(answer, 401)
    assert 200 == second_step(shop, token, code=ada.app.code()).status_code


def test_it_ends_with_its_time_and_with_the_password(shop):
    ada, codes = enrolled(shop)
    late = first_step(shop, ada)["mfa_token"]
    shop.api.sql(
        "update atom.account_token set expires_at = now() where user_id = $1", ada.id
    )
    answer = second_step(shop, late, code=ada.app.code())
    assert "account_token.invalid" == code(answer, 401)

    before = first_step(shop, ada)["mfa_token"]
    body = {"id": ada.id, "password": "another battery", "password_old": ada.password}
    path = "/my/object-update?table=users"
    assert 200 == shop.api.call("PUT", path, ada, json=body).status_code
    answer = second_step(shop, before, recovery_code=codes[0])
    assert "account_token.invalid" == code(answer, 401)


def test_a_code_is_good_once_and_near_its_time(shop):
    """RFC 6238 section 5.2: nor is one that came before it. Its drift: unit tests."""
    ada, _ = enrolled(shop)

    def log_in(ahead):
        token = first_step(shop, ada)["mfa_token"]
        return second_step(shop, token, code=ada.app.code(ahead))

    for ahead in (-3, 3):
        assert "mfa.invalid" == code(log_in(ahead), 401)
    assert 200 == log_in(0).status_code
    assert 200 == log_in(1).status_code
    for ahead in (-1, 0):
        assert "mfa.invalid" == code(log_in(ahead), 401)


@pytest.mark.parametrize("kind", ["code", "recovery_code"])
@pytest.mark.parametrize("same", [True, False], ids=["one login", "many logins"])
def test_of_twenty_at_once_one_wins(shop, kind, same):
    ada, codes = enrolled(shop)
    one = first_step(shop, ada)["mfa_token"]
    tokens = [one if same else first_step(shop, ada)["mfa_token"] for _ in range(20)]
    factor = {kind: codes[0] if kind == "recovery_code" else ada.app.code()}

    answers = at_once(20, lambda number: second_step(shop, tokens[number], **factor))

    statuses = [answer.status_code for answer in answers]
    assert [200] + [401] * 19 == sorted(statuses), statuses


def test_the_token_of_the_first_step_is_good_once(shop):
    """Also with another factor that would be right."""
    ada, codes = enrolled(shop)
    token = first_step(shop, ada)["mfa_token"]

    assert 200 == second_step(shop, token, recovery_code=codes[0]).status_code
    again = second_step(shop, token, recovery_code=codes[1])
    assert "account_token.invalid" == code(again, 401)


def test_a_recovery_code_is_for_its_user_and_once(shop):
    """However it is typed."""
    ada, codes = enrolled(shop)
    _, others = enrolled(shop)
    token = first_step(shop, ada)["mfa_token"]
    answer = second_step(shop, token, recovery_code=others[0])
    assert "mfa.invalid" == code(answer, 401)
    typed = codes[0].upper().replace("-", " ")
    assert 200 == second_step(shop, token, recovery_code=typed).status_code
    token = first_step(shop, ada)["mfa_token"]
    answer = second_step(shop, token, recovery_code=codes[0])
    assert "mfa.invalid" == code(answer, 401)
    assert 9 == shop.api.message("GET", "/my/mfa-read", ada)["recovery_code"]


def test_guesses_are_few(shop):
    """One caller has five; from many networks there are thirty. A home goes on."""
    home = far()
    ada, _ = enrolled(shop)
    token = first_step(shop, ada)["mfa_token"]
    right = second_step(shop, token, home, code=ada.app.code())
    assert 200 == right.status_code, right.text
    token = first_step(shop, ada)["mfa_token"]
    here, wrong = far(), {"code": "000000"}
    seen = [second_step(shop, token, here, **wrong).status_code for _ in range(6)]
    assert [401] * 5 + [429] == seen
    seen = [second_step(shop, token, **wrong).status_code for _ in range(30)]
    assert 401 == seen[0]
    assert 429 == seen[-1]
    answer = second_step(shop, token, code=ada.app.code(1))
    assert 429 == answer.status_code
    assert 0 < int(answer.headers["retry-after"]) <= 300
    answer = second_step(shop, token, home, code=ada.app.code(1))
    assert 200 == answer.status_code, answer.text


def test_an_app_ends_other_sessions_and_not_this(shop):
    ada = shop.user()
    other = first_step(shop, ada)
    given = shop.done("/my/totp-create", ada, password=ada.password)["message"]
    shop.done("/my/totp-confirm", ada, code=App(given["secret"]).code())
    assert "token.revoked" == code(profile(shop, other), 401)
    assert 200 == profile(shop, ada.token).status_code


ROUTES = [
    ("POST", "/my/totp-create"),
    ("DELETE", "/my/totp-delete"),
    ("POST", "/my/recovery-code-create"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_open_session_alone_changes_nothing(shop, method, path):
    ada, codes = enrolled(shop)

    def ask(**proof):
        return shop.api.call(method, path, ada, json=proof, headers=far())

    assert "mfa.unproven" == code(ask(), 400)
    assert "account.wrong_password" == code(ask(password="not theirs"), 401)
    assert "mfa.invalid" == code(ask(code="000000"), 401)
    assert "mfa.invalid" == code(ask(recovery_code=codes[0][::-1]), 401)
    state = shop.api.message("GET", "/my/mfa-read", ada)
    assert 10 == state["recovery_code"]
    assert 200 == ask(recovery_code=codes[0]).status_code


def test_a_user_without_a_password_has_logged_in_just_now(shop):
    """Then nothing else proves it: they log in again first."""
    ada = shop.user()
    shop.api.sql(
        "update users set password = null"
        " where id = $1 and set_config('atom.rehash', 'on', true) is not null",
        ada.id,
    )
    assert shop.done("/my/totp-create", ada)["message"]["secret"]
    shop.api.sql(
        "update atom.session set created_at = now() - interval '11 minutes'"
        " where user_id = $1",
        ada.id,
    )
    assert "mfa.stale" == code(shop.post("/my/totp-create", ada), 403)


def test_taken_away_by_its_user(shop):
    ada, _ = enrolled(shop)
    answer = shop.api.call(
        "DELETE", "/my/totp-delete", ada, json={"code": ada.app.code()}, headers=far()
    )
    assert "done" == answer.json()["message"]
    assert isinstance(first_step(shop, ada), str)
    state = shop.api.message("GET", "/my/mfa-read", ada)
    assert (None, 0) == (state["totp_since"], state["recovery_code"])
    subjects = [mail["subject"] for mail in shop.office.wait(ada.email, 2)]
    assert any("taken away" in subject for subject in subjects)


def test_a_new_app_replaces_the_old_one_once_a_code_has_come(shop):
    ada, codes = enrolled(shop)
    body = {"code": ada.app.code()}
    given = shop.done("/my/totp-create", ada, **body)["message"]
    new = App(given["secret"])
    token = first_step(shop, ada)["mfa_token"]
    assert "mfa.invalid" == code(second_step(shop, token, code=new.code()), 401)
    assert 200 == second_step(shop, token, code=ada.app.code(1)).status_code
    # The recovery codes stay: none are shown again.
    assert [] == shop.done("/my/totp-confirm", ada, code=new.code())["message"]
    shop.api.sql(BACK, ada.id)
    token = first_step(shop, ada)["mfa_token"]
    assert "mfa.invalid" == code(second_step(shop, token, code=ada.app.code()), 401)
    assert 200 == second_step(shop, token, code=new.code()).status_code
    fresh = shop.done("/my/recovery-code-create", ada, recovery_code=codes[0])
    assert not set(codes) & set(fresh["message"])
    token = first_step(shop, ada)["mfa_token"]
    answer = second_step(shop, token, recovery_code=codes[1])
    assert "mfa.invalid" == code(answer, 401)


def test_the_database_does_not_hold_the_secret(shop):
    """And what is stored for one user is not another's."""
    ada, _ = enrolled(shop)
    bob, _ = enrolled(shop)
    text = "select encode(secret, 'escape') as secret from atom.totp where user_id = $1"
    (row,) = shop.api.sql(text, ada.id)
    assert ada.app.secret not in row["secret"]
    shop.api.sql(
        "update atom.totp t set secret = o.secret from atom.totp o"
        " where t.user_id = $1 and o.user_id = $2",
        bob.id,
        ada.id,
    )
    token = first_step(shop, bob)["mfa_token"]
    answer = second_step(shop, token, code=ada.app.code())
    assert "mfa.unreadable" == code(answer, 503)


def test_a_deleted_user_leaves_nothing(shop):
    ada, _ = enrolled(shop)
    shop.api.sql("delete from users where id = $1", ada.id)
    for table in ("totp", "recovery_code"):
        rows = shop.api.sql(f"select from atom.{table} where user_id = $1", ada.id)
        assert [] == rows
