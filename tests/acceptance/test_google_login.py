"""Logging in with an ID token of Google, signed by a local key server."""

import asyncio
import base64
import hmac
import itertools
import json
import time

import httpx2
import jwt
import pytest

from atom.account.otp import hash_code
from tests.acceptance.conftest import serving
from tests.acceptance.people import LAST_CHANGE
from tests.service import fixture
from tests.service.web import Space

PATH, CLIENT = "/auth/login-google", "shop.apps.example"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def google():
    return Space(fixture.url("web"))


@pytest.fixture(scope="module")
def api(tmp_path_factory, google):
    config = {
        "config_google_login_client_id": f"{CLIENT},app.example",
        "config_google_certs_url": google.url + "/google/oauth2/v3/certs",
        "config_trusted_proxy_list": "127.0.0.1",
    }
    with serving(tmp_path_factory.mktemp("google"), config=config) as running:
        yield running


class Person:
    """What Google knows of a person nobody has seen."""

    def __init__(self):
        number = next(NUMBERS)
        self.sub, self.email = f"10{number}", f"p{number}@gmail.com"

    def token(self, google, **claims):
        known = {"aud": CLIENT, "sub": self.sub, "email": self.email}
        return google.id_token(**known | claims)


def hs256(claims, key):
    """Sign with HMAC, which PyJWT refuses to do with a public key."""
    words = ({"alg": "HS256", "kid": "k1"}, claims)
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()) for one in words]
    signed = b".".join(part.rstrip(b"=") for part in parts)
    mark = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256"))
    return (signed + b"." + mark.rstrip(b"=")).decode()


def log_in(api, token, **more):
    return api.call("POST", PATH, json={"google_token": token, **more})


def code(answer):
    return answer.status_code, answer.json().get("code")


def profile(api, answer):
    assert 200 == answer.status_code, answer.text
    bearer = {"Authorization": f"Bearer {answer.json()['message']}"}
    return api.message("GET", "/my/profile", headers=bearer)


INVALID = (401, "google.invalid")


def test_new_person_and_the_same_again(api, google):
    """By the subject: an address may change its owner."""
    person = Person()
    first = profile(api, log_in(api, person.token(google), type=1))
    assert (1, person.email) == (first["type"], first["email"])
    assert "google_data" not in first
    other = person.token(google, email="new@gmail.com", aud="app.example")
    again = profile(api, log_in(api, other))
    assert (first["id"], person.email) == (again["id"], again["email"])
    (row,) = api.sql("select * from users where id = $1", first["id"])
    assert person.sub == row["google_id"] and row["password"] is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other.example"},
        {"iss": "https://evil.example"},
        {"iss": "https://accounts.google.com.evil.example"},
        {"exp": "-10"},
        {"kid": "k2"},
        {"sub": ""},
    ],
    ids=str,
)
def test_claims_are_checked(api, google, claims):
    person = Person()
    assert INVALID == code(log_in(api, person.token(google, **claims)))
    count = "select count(*) as n from users where google_id = $1 or email = $2"
    ((row),) = api.sql(count, person.sub, person.email)
    assert 0 == row["n"]


def test_signature_is_checked(api, google):
    """Another key, no algorithm, the public key as a secret, a key in the header."""
    person, stranger = Person(), Space(fixture.url("web"))
    good = person.token(google)
    claims = jwt.decode(good, options={"verify_signature": False})
    certificates = httpx2.get(google.url + "/google/oauth2/v3/certs").json()
    public = json.dumps(certificates["keys"][0]).encode()
    head, body, signature = good.split(".")
    changed = jwt.encode({**claims, "sub": "9"}, "x" * 32).split(".")[1]
    for forged in (
        person.token(stranger),
        jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"}),
        hs256(claims, public),
        f"{head}.{changed}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "x",
        "é.é.é",
        "a" * 20_000,
    ):
        answer = log_in(api, forged)
        assert code(answer) in {INVALID, (422, "request.invalid")}, answer.text
    assert 200 == log_in(api, good).status_code


def test_token_of_another_kind(api, google):
    """An access token of this server is not one of Google's, nor the other way."""
    assert INVALID == code(log_in(api, api.person().token))
    bearer = {"Authorization": f"Bearer {Person().token(google)}"}
    assert 401 == api.call("GET", "/my/profile", headers=bearer).status_code


def test_nonce_is_the_one_that_was_asked_for(api, google):
    token = Person().token(google, nonce="n-1")
    assert INVALID == code(log_in(api, token, nonce="n-2"))
    assert INVALID == code(log_in(api, Person().token(google), nonce="n-1"))
    assert 200 == log_in(api, token, nonce="n-1").status_code


def test_address_links_only_where_google_vouches_for_it(api, google):
    """Verified, and its own: gmail.com, or a hosted domain."""
    person = api.person()
    known = Person()
    api.sql("update users set email = $1 where id = $2", known.email, person.id)
    claim = Person().token(google, email=known.email, email_verified="false")
    assert person.id != profile(api, log_in(api, claim))["id"]
    assert person.id == profile(api, log_in(api, known.token(google)))["id"]
    (asked,) = api.sql(LAST_CHANGE, str(person.id))  # in the audit
    assert person.id == asked["created_by_id"] and asked["request_id"]
    # Bound now: another subject with the same address is another person.
    other = Person()
    answer = log_in(api, other.token(google, email=known.email))
    assert (409, "account.exists") == code(answer)

    foreign, hosted = Person(), api.person()
    email = f"boss{next(NUMBERS)}@firm.example"
    api.sql("update users set email = $1 where id = $2", email, hosted.id)
    answer = log_in(api, foreign.token(google, email=email))
    assert (409, "account.exists") == code(answer)
    answer = log_in(api, foreign.token(google, email=email, hd="firm.example"))
    assert hosted.id == profile(api, answer)["id"]


def test_unverified_address_is_not_kept(api, google):
    """The person becomes a user without it."""
    person = Person()
    made = profile(api, log_in(api, person.token(google, email_verified="false")))
    assert made["email"] is None


def test_inactive_and_deleted(api, google):
    for column, value, expected in (
        ("is_active", 0, (403, "active.inactive")),
        ("is_deleted", 1, (409, "account.exists")),
    ):
        person = Person()
        made = profile(api, log_in(api, person.token(google)))
        api.sql(f"update users set {column} = $1 where id = $2", value, made["id"])
        assert expected == code(log_in(api, person.token(google)))


def test_type_that_may_not_sign_up(api, google):
    answer = log_in(api, Person().token(google), type=3)
    assert (400, "account.unknown_type") == code(answer)


def test_twenty_at_once_make_one_user(api, google):
    person = Person()
    body = {"google_token": person.token(google)}

    async def race():
        async with httpx2.AsyncClient(timeout=60) as client:
            each = (client.post(api.url + PATH, json=body) for _ in range(20))
            return [one.status_code for one in await asyncio.gather(*each)]

    assert [200] * 20 == asyncio.run(race())
    found = api.sql("select id from users where google_id = $1", person.sub)
    assert 1 == len(found)


def test_certificates_are_kept(api, google):
    """As long as Google allows; a flood of unknown keys asks no more than once."""
    log_in(api, Person().token(google))
    before = len(google.requests("google"))
    for number in range(10):
        log_in(api, Person().token(google))
        log_in(api, Person().token(google, kid=f"none{number}"))
    asked = google.requests("google")[before:]
    certificates = [one for one in asked if one["path"].endswith("/certs")]
    assert len(certificates) <= 1


def test_token_is_not_in_the_log(api, google):
    token = Person().token(google)
    log_in(api, token)
    assert token not in api.log.read_text()


def test_without_google(tmp_path, google):
    """Off without a client id; with sign-up closed for the unknown alone."""
    (tmp_path / "off").mkdir()
    (tmp_path / "closed").mkdir()
    with serving(tmp_path / "off") as api:
        answer = log_in(api, Person().token(google))
        assert (503, "client.missing") == code(answer)
        assert "config_google_login_client_id" in answer.text
    config = {
        "config_google_login_client_id": CLIENT,
        "config_google_certs_url": google.url + "/google/oauth2/v3/certs",
        "config_is_signup": "0",
    }
    with serving(tmp_path / "closed", config=config) as api:
        person = Person()
        assert (403, "account.closed") == code(log_in(api, person.token(google)))
        api.sql("insert into users (type, google_id) values (1, $1)", person.sub)
        assert 200 == log_in(api, person.token(google)).status_code


def test_google_that_is_away_is_reported(tmp_path, google):
    """Its certificates cannot be had: 503; once they can, the same token is good."""
    config = {
        "config_google_login_client_id": CLIENT,
        "config_google_certs_url": google.url + "/google/oauth2/v3/certs",
    }
    with serving(tmp_path, config=config) as api:
        token = Person().token(google)
        google.script("google", *[{"status": 500, "body": {}}] * 2)
        assert (503, "client.silent") == code(log_in(api, token))
        deadline = time.monotonic() + 60
        while (answer := log_in(api, token)).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert 200 == answer.status_code


def test_where_addresses_are_not_proven_and_columns_are_demanded(tmp_path, google):
    """No account is bound by its address; no one becomes a user without the column."""
    config = {
        "config_google_login_client_id": CLIENT,
        "config_google_certs_url": google.url + "/google/oauth2/v3/certs",
        "config_is_otp_verify": "0",
    }
    own = "config_signup = {'column': ['country'], 'mandatory': ['country']}\n"
    with serving(tmp_path, config=config, config_own=own) as api:
        person = Person()
        api.sql("insert into users (type, email) values (1, $1)", person.email)
        for one in (person, Person()):
            answer = log_in(api, one.token(google))
            assert (400, "country is mandatory") == (
                answer.status_code,
                answer.json()["message"],
            )
        stored = hash_code("123456", "o@gmail.com", api.config["config_key_jwt"])
        sent = (
            "insert into otp (created_at, email, otp) values (now(), 'o@gmail.com', $1)"
        )
        api.sql(sent, stored)
        body = {"otp": "123456", "email": "o@gmail.com"}
        answer = api.call("POST", "/auth/login-otp-email", json=body)
        assert "country is mandatory" == answer.json()["message"]
        assert [] == api.sql("select id from users where google_id is not null")
