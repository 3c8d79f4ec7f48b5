"""Signing in by a service that speaks OpenID Connect, with one that checks PKCE."""

import itertools
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.acceptance.conftest import serving
from tests.acceptance.operations import at_once
from tests.service.oidc_provider import CLIENT, SECRET, oidc_provider

PAGE, OTHER = "https://shop.example/back", "https://shop.example/app"
NUMBERS = itertools.count(1)
OWN = """
config_oidc = {{
    "work": {{
        "issuer": "{url}", "client_id": "{client}", "client_secret": "{secret}",
        "redirect_uri": ["{page}", "{other}"], "is_email_trusted": 1,
    }},
    "club": {{
        "issuer": "{url}", "client_id": "{client}", "client_secret": "{secret}",
        "redirect_uri": "{page}",
    }},
}}
"""
INVALID = (401, "oidc.invalid")


@pytest.fixture(scope="module")
def service():
    with oidc_provider() as running:
        yield running


@pytest.fixture(scope="module")
def shop(tmp_path_factory, service):
    places = {"url": service.url, "page": PAGE, "other": OTHER}
    own = OWN.format(client=CLIENT, secret=SECRET, **places)
    config = {"config_trusted_proxy_list": "127.0.0.1"}
    folder = tmp_path_factory.mktemp("oidc")
    with serving(folder, config=config, config_own=own) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(service):
    yield
    service.claims, service.signs, service.metadata = {}, service.key, {}


def subject():
    return f"s{next(NUMBERS)}"


def post(shop, path, **body):
    number = next(NUMBERS)
    headers = {"x-forwarded-for": f"10.7.{number >> 8}.{number & 255}"}
    return shop.call("POST", path, json=body, headers=headers)


def begin(shop, provider="work", **more):
    answer = post(shop, "/auth/oidc-begin", provider=provider, **more)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


def signed_in(shop, service, who, provider="work", **more):
    """Walk through all of it. Return what the login is asked."""
    begun = begin(shop, provider, **more)
    return {"flow": begun["flow"], **service.sign_in(begun["url"], who)}


def log_in(shop, asked, **more):
    return post(shop, "/auth/login-oidc", **asked | more)


def code(answer):
    return answer.status_code, answer.json().get("code")


def profile(shop, answer):
    assert 200 == answer.status_code, answer.text
    bearer = {"Authorization": f"Bearer {answer.json()['message']}"}
    return shop.message("GET", "/my/profile", headers=bearer)


def test_new_person_and_the_same_again(shop, service):
    """By issuer and subject: an address may change its owner."""
    who = subject()
    service.claims = {"email": f"{who}@work.example", "email_verified": True}
    first = profile(shop, log_in(shop, signed_in(shop, service, who)))
    service.claims = {"email": "else@work.example", "email_verified": True}
    again = profile(shop, log_in(shop, signed_in(shop, service, who)))

    assert (first["id"], f"{who}@work.example") == (again["id"], again["email"])
    other = profile(shop, log_in(shop, signed_in(shop, service, subject())))
    assert other["id"] != first["id"]


def test_where_the_browser_goes(shop, service):
    begun = begin(shop, redirect_uri=OTHER)
    asked = parse_qs(urlsplit(begun["url"]).query)
    kept = jwt.decode(begun["flow"], options={"verify_signature": False})

    assert [OTHER] == asked["redirect_uri"]
    assert [kept["state"]] == asked["state"]
    assert kept["verifier"] not in begun["url"]
    assert SECRET not in str(begun)
    assert {"openid"} <= set(asked["scope"][0].split())


def test_a_page_that_is_not_listed_is_refused(shop):
    for page in ("https://evil.example", PAGE + "/x", OTHER.upper()):
        answer = post(shop, "/auth/oidc-begin", provider="work", redirect_uri=page)
        assert (400, "oidc.redirect") == code(answer)
    answer = post(shop, "/auth/oidc-begin", provider="wrok")
    assert (400, "oidc.unknown") == code(answer)
    assert "work" in answer.json()["hint"]


def test_a_code_is_good_once_and_for_who_began(shop, service):
    """Of two browsers neither finishes what the other has begun."""
    mine, other = (signed_in(shop, service, subject()) for _ in range(2))

    assert INVALID == code(log_in(shop, mine, state=other["state"]))
    assert INVALID == code(log_in(shop, mine, flow=other["flow"]))
    mixed = {**other, "code": mine["code"]}
    assert INVALID == code(
        log_in(shop, mixed)
    )  # PKCE: it was not asked with its digest
    assert 200 == log_in(shop, other).status_code
    assert INVALID == code(log_in(shop, other))


def test_twenty_at_once(shop, service):
    """Of one code one wins; of one new person there is one user."""
    asked = signed_in(shop, service, subject())
    answers = at_once(20, lambda _: log_in(shop, asked).status_code)
    assert [200] + [401] * 19 == sorted(answers)

    who = subject()
    many = [signed_in(shop, service, who) for _ in range(8)]
    found = at_once(8, lambda number: profile(shop, log_in(shop, many[number]))["id"])
    assert 1 == len(set(found))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another client"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": ""},
        {"sub": None},
        {"exp": 1},
        {"exp": None},
    ],
    ids=str,
)
def test_claims_are_checked(shop, service, claims):
    service.claims = claims
    assert INVALID == code(log_in(shop, signed_in(shop, service, subject())))


def test_a_signature_of_another_key_is_refused(shop, service):
    service.signs = ec.generate_private_key(ec.SECP256R1())
    assert INVALID == code(log_in(shop, signed_in(shop, service, subject())))


def test_a_flow_that_was_not_signed_here_is_refused(shop, service):
    asked = signed_in(shop, service, subject())
    kept = jwt.decode(asked["flow"], options={"verify_signature": False})
    key = shop.config["config_key_jwt"]
    person = shop.person()
    for flow in (
        jwt.encode(kept, "k" * 64, "HS256"),
        jwt.encode(kept, None, "none"),
        jwt.encode({**kept, "exp": int(time.time()) - 1}, key, "HS256"),
        jwt.encode({**kept, "type": "access"}, key, "HS256"),
        person.token,
        "x.y.z",
        "",
    ):
        assert INVALID == code(log_in(shop, asked, flow=flow)), flow
    assert 200 == log_in(shop, asked).status_code
    headers = {"authorization": f"Bearer {asked['flow']}"}
    assert 401 == shop.call("GET", "/my/profile", headers=headers).status_code


def test_an_address_links_only_where_it_is_trusted_and_verified(shop, service):
    """And never takes over the account of another subject."""
    for provider, verified, links in (
        ("work", True, True),
        ("work", False, False),
        ("work", "true", False),
        ("work", None, False),
        ("club", True, False),
    ):
        email = f"{subject()}@work.example"
        person = shop.person(email=email)
        service.claims = {"email": email, "email_verified": verified}
        answer = log_in(shop, signed_in(shop, service, subject(), provider))
        assert links == (person.id == profile(shop, answer)["id"])
        if links:
            service.claims = {"email": email, "email_verified": True}
            second = log_in(shop, signed_in(shop, service, subject()))
            assert (409, "account.exists") == code(second)


def test_a_service_that_is_not_trusted_puts_no_address_there(shop, service):
    """Else its users could have an account ready that the owner is bound to later."""
    email = f"{subject()}@work.example"
    service.claims = {"email": email, "email_verified": True}
    early = profile(shop, log_in(shop, signed_in(shop, service, subject(), "club")))
    owner = profile(shop, log_in(shop, signed_in(shop, service, subject(), "work")))

    assert (None, email) == (early["email"], owner["email"])
    assert early["id"] != owner["id"]


def test_a_service_that_names_itself_must_be_the_one(shop, service):
    asked = signed_in(shop, service, subject())
    assert INVALID == code(log_in(shop, asked, iss="https://evil.example"))
    assert 200 == log_in(shop, asked, iss=service.url).status_code


def test_inactive_and_deleted(shop, service):
    for column, expected in (
        ("is_active = 0", (403, "active.inactive")),
        ("is_deleted = 1", (409, "account.exists")),
    ):
        who = subject()
        found = profile(shop, log_in(shop, signed_in(shop, service, who)))
        shop.sql(f"update users set {column} where id = $1", found["id"])
        assert expected == code(log_in(shop, signed_in(shop, service, who)))
    who = subject()
    found = profile(shop, log_in(shop, signed_in(shop, service, who)))
    shop.sql("delete from users where id = $1", found["id"])
    again = profile(shop, log_in(shop, signed_in(shop, service, who)))
    assert again["id"] != found["id"]


def test_nothing_of_it_is_in_the_log(shop, service):
    asked = signed_in(shop, service, subject())
    log_in(shop, asked)
    log_in(shop, asked)
    text = shop.log.read_text()
    assert not [name for name in ("flow", "code", "state") if asked[name] in text]
    assert SECRET not in text


def test_keys_are_kept(shop, service):
    asked = signed_in(shop, service, subject())
    before = len(service.asked)
    assert 200 == log_in(shop, asked).status_code
    assert ["/token"] == service.asked[before:]


def test_bad_configuration_stops_the_start(tmp_path):
    """Naming the service and the key; the others: tests/unit/test_oidc.py."""
    own = "config_oidc = {'work': {'client_id': 'x', 'redirect_uri': 'https://a.b'}}"
    with (
        pytest.raises(RuntimeError, match="config_oidc in .*: work: issuer is missing"),
        serving(tmp_path, config_own=own),
    ):
        pass


@pytest.fixture(scope="module")
def others(tmp_path_factory, service):
    """A server that proves no addresses, with services that are not right."""
    client = f'"client_id": "{CLIENT}", "redirect_uri": "{PAGE}"'
    right = f'"issuer": "{service.url}", {client}'
    trusted = f'"client_secret": "{SECRET}", "is_email_trusted": 1'
    own = f"""
config_oidc = {{
    "missing": {{"issuer": "{service.url}/realm", {client}}},
    "away": {{"issuer": "http://127.0.0.1:1", {client}}},
    "wrong": {{{right}, "client_secret": "y"}},
    "renamed": {{{right}}},
    "named": {{{right}, {trusted}}},
}}
"""
    config = {"config_is_otp_verify": "0", "config_trusted_proxy_list": "127.0.0.1"}
    folder = tmp_path_factory.mktemp("others")
    with serving(folder, config=config, config_own=own) as running:
        yield running


@pytest.mark.parametrize("name", ["missing", "away", "renamed"])
def test_a_service_that_is_away_or_another_is_reported(others, service, name):
    if name == "renamed":
        service.metadata = {"issuer": "https://else.example"}
    answer = post(others, "/auth/oidc-begin", provider=name)
    assert (503, "client.silent") == code(answer), answer.text
    assert "config_oidc" in answer.json()["hint"]


def test_a_client_that_is_refused_is_reported(others, service):
    answer = log_in(others, signed_in(others, service, subject(), "wrong"))
    assert (502, "client.refused") == code(answer)
    assert "client_secret" in answer.json()["hint"]


def test_a_service_that_names_itself_always_does(others, service):
    """Where it announces that, an answer without a name is not its own (RFC 9207)."""
    service.metadata = {"authorization_response_iss_parameter_supported": True}
    asked = signed_in(others, service, subject(), "named")
    assert INVALID == code(log_in(others, asked))
    assert 200 == log_in(others, asked, iss=service.url).status_code


def test_where_no_address_is_proven_none_links(others, service):
    email = f"{subject()}@work.example"
    others.person(email=email)
    service.claims = {"email": email, "email_verified": True}
    asked = signed_in(others, service, subject(), "named")
    answer = log_in(others, asked, iss=service.url)
    assert (409, "account.exists") == code(answer)


def test_without_a_service(api):
    answer = post(api, "/auth/oidc-begin", provider="work")
    assert (503, "client.missing") == code(answer)
    assert "config_oidc" in answer.text
