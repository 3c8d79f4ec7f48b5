"""Passkeys, by an authenticator in software: alone, and as the second factor."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.acceptance.authenticator import (
    code,
    enrolled,
    first_step,
    profile,
    second_step,
)
from tests.acceptance.mailing import far, mailing
from tests.acceptance.operations import at_once
from tests.acceptance.passkey_device import PRESENT, Device, encode

APP = "https://app.shop.example:8443"
REFUSED = (401, "passkey.invalid")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    config = {
        "config_mfa": "required_for_admin",
        "config_app_name": "a shop",
        "config_passkey_origin_list": f"https://shop.example,{APP}",
    }
    with mailing(tmp_path_factory.mktemp("passkey"), **config) as made:
        yield made


def with_passkey(shop, ada, **device):
    """Make a passkey for a user. Return it, and the recovery codes."""
    options = shop.done("/my/passkey-create", ada, password=ada.password)["message"]
    made = Device(**device)
    body = {"credential": made.make(options), "name": "a phone"}
    found = shop.done("/my/passkey-confirm", ada, **body)["message"]
    assert encode(made.id) == found["id"]
    return made, found["recovery_code"]


def owner(shop, **device):
    ada = shop.user()
    ada.device, ada.codes = with_passkey(shop, ada, **device)
    return ada


def begin(shop, **body):
    return shop.done("/auth/passkey-begin", **body)["message"]


def log_in(shop, credential):
    return shop.post("/auth/login-passkey", credential=credential)


def answered(answer):
    return answer.status_code, answer.json().get("code")


def test_a_person_makes_one_and_logs_in_without_a_name(shop):
    ada = shop.user()
    other = first_step(shop, ada)
    options = shop.done("/my/passkey-create", ada, password=ada.password)["message"]
    assert {"id": "shop.example", "name": "a shop"} == options["rp"]
    assert ada.username == options["user"]["name"]
    assert str(ada.id) not in options["user"]["id"]
    device = Device()
    body = {"credential": device.make(options), "name": "a phone"}
    codes = shop.done("/my/passkey-confirm", ada, **body)["message"]["recovery_code"]
    assert 10 == len(codes)
    assert "token.revoked" == code(profile(shop, other), 401)

    asked = begin(shop)
    assert "required" == asked["userVerification"]
    assert [] == asked["allowCredentials"]
    pair = log_in(shop, device.sign(asked)).json()
    headers = {"authorization": f"Bearer {pair['message']}"}
    me = shop.api.call("GET", "/my/profile", headers=headers).json()["message"]
    assert ada.id == me["id"]
    shop.done("/auth/token-refresh", refresh_token=pair["refresh_token"])

    (row,) = shop.api.message("GET", "/my/passkey-read", ada)
    assert (encode(device.id), "a phone", False) == tuple(
        row[name] for name in ("id", "name", "is_backed_up")
    )
    assert row["last_used_at"]
    (mail,) = shop.office.wait(ada.email, 1)
    assert "passkey was added" in mail["subject"]
    again = shop.done("/my/passkey-create", ada, recovery_code=codes[0])
    assert [encode(device.id)] == [
        each["id"] for each in again["message"]["excludeCredentials"]
    ]


def test_it_works_from_each_listed_page(shop):
    ada = owner(shop, origin=APP)
    assert 200 == log_in(shop, ada.device.sign(begin(shop))).status_code


CHANGED = {
    "another page": {"origin": "https://shop.example.evil"},
    "the page without its port": {"origin": "https://app.shop.example"},
    "another site": {"rp_id": "evil.example"},
    "another key": {"key": ec.generate_private_key(ec.SECP256R1())},
    "an unknown passkey": {"id": b"unknown"},
}
SIGNED = {
    "not verified": {"flags": PRESENT},
    "not present": {"flags": 0},
    "another kind": {"type": "webauthn.create"},
    "a challenge of its own": {"challenge": encode(bytes(32))},
    "no user": {"handle": None},
    "another user": {"handle": encode(b"another")},
    "a count that came before": {"step": -5},
}


@pytest.mark.parametrize("how", [*CHANGED, *SIGNED])
def test_what_is_not_signed_for_this_is_refused(shop, how):
    ada = owner(shop, count=10)
    assert 200 == log_in(shop, ada.device.sign(begin(shop))).status_code
    device = replace(ada.device, **CHANGED.get(how, {}))
    answer = log_in(shop, device.sign(begin(shop), **SIGNED.get(how, {})))
    assert REFUSED == answered(answer)
    ada.device.count = 20
    assert 200 == log_in(shop, ada.device.sign(begin(shop))).status_code


@pytest.mark.parametrize("how", ["type", "challenge", "origin", "rp_id", "flags"])
def test_what_is_not_made_for_this_is_refused(shop, how):
    ada = shop.user()
    body = {"password": ada.password}
    options = shop.done("/my/passkey-create", ada, **body)["message"]
    given = {"origin": "https://a.b", "rp_id": "a.b", "flags": 0}
    device = Device(**{k: v for k, v in given.items() if k == how})
    wrong = {"type": "webauthn.get", "challenge": begin(shop)["challenge"]}
    made = device.make(options, **{k: v for k, v in wrong.items() if k == how})
    answer = shop.post("/my/passkey-confirm", ada, credential=made)
    assert REFUSED == answered(answer)
    assert [] == shop.api.message("GET", "/my/passkey-read", ada)


def test_a_challenge_is_its_users(shop):
    ada, bob = shop.user(), shop.user()
    options = shop.done("/my/passkey-create", ada, password=ada.password)["message"]
    body = {"credential": Device().make(options)}
    assert REFUSED == answered(shop.post("/my/passkey-confirm", bob, **body))
    assert 200 == shop.post("/my/passkey-confirm", ada, **body).status_code
    assert REFUSED == answered(shop.post("/my/passkey-confirm", ada, **body))


def test_a_passkey_has_one_user(shop):
    ada, bob = owner(shop), shop.user()
    options = shop.done("/my/passkey-create", bob, password=bob.password)["message"]
    body = {"credential": replace(ada.device).make(options)}
    answer = shop.post("/my/passkey-confirm", bob, **body)
    assert (409, "passkey.exists") == answered(answer)


def test_of_twenty_with_one_answer_one_wins(shop):
    ada = owner(shop)
    signed = ada.device.sign(begin(shop))
    answers = at_once(20, lambda number: log_in(shop, signed))
    statuses = [answer.status_code for answer in answers]
    assert [200] + [401] * 19 == sorted(statuses), statuses


def test_of_two_with_one_count_at_once_one_wins(shop):
    """A copy of the key counts as the key does: it may not come in next to it."""
    ada = owner(shop, count=10)
    asked = [begin(shop) for _ in range(8)]
    signed = [ada.device.sign(asked[0])]
    signed += [ada.device.sign(one, step=0) for one in asked[1:]]

    answers = at_once(8, lambda number: log_in(shop, signed[number]))

    assert [200] + [401] * 7 == sorted(answer.status_code for answer in answers)


def test_a_challenge_ends_with_its_time(shop):
    ada = owner(shop)
    signed = ada.device.sign(begin(shop))
    shop.api.sql(
        "update atom.account_token set expires_at = now()"
        " where purpose = 'passkey-login'"
    )
    assert REFUSED == answered(log_in(shop, signed))


def test_it_is_the_second_step_of_a_login(shop):
    """Of its user alone; there the password is the other factor."""
    ada, bob = owner(shop), owner(shop)
    found = first_step(shop, ada)
    assert ["passkey", "recovery"] == found["method"]
    token = found["mfa_token"]
    asked = begin(shop, mfa_token=token)
    assert [encode(ada.device.id)] == [one["id"] for one in asked["allowCredentials"]]
    signed = bob.device.sign(asked)
    answer = second_step(shop, token, passkey=signed)
    assert REFUSED == answered(answer)
    # A challenge of the second step is not one of a login without a name.
    assert REFUSED == answered(log_in(shop, ada.device.sign(asked)))
    signed = ada.device.sign(begin(shop))
    assert REFUSED == answered(second_step(shop, token, passkey=signed))

    signed = ada.device.sign(begin(shop, mfa_token=token), flags=PRESENT)
    pair = second_step(shop, token, passkey=signed)
    assert 200 == pair.status_code, pair.text
    answer = second_step(shop, token, passkey=signed)
    assert "account_token.invalid" == code(answer, 401)
    late = shop.post("/auth/passkey-begin", mfa_token=token)
    assert "account_token.invalid" == code(late, 401)


def test_taken_away(shop):
    """With it go the recovery codes, unless an app is left."""
    ada = owner(shop)
    body = {"id": encode(ada.device.id), "password": ada.password}

    def delete(**changed):
        options = {"json": {**body, **changed}, "headers": far()}
        return shop.api.call("DELETE", "/my/passkey-delete", ada, **options)

    assert "passkey.missing" == code(delete(id="AAAA"), 404)
    assert "account.wrong_password" == code(delete(password="not it"), 401)
    assert "mfa.unproven" == code(delete(password=None), 400)
    assert 200 == delete().status_code
    assert REFUSED == answered(log_in(shop, ada.device.sign(begin(shop))))
    assert 0 == shop.api.message("GET", "/my/mfa-read", ada)["recovery_code"]
    assert isinstance(first_step(shop, ada), str)

    ada, codes = enrolled(shop)
    device, more = with_passkey(shop, ada)
    assert [] == more
    body = {"id": encode(device.id), "password": ada.password}
    found = first_step(shop, ada)
    assert ["totp", "passkey", "recovery"] == found["method"]
    assert 200 == delete().status_code
    assert len(codes) == shop.api.message("GET", "/my/mfa-read", ada)["recovery_code"]


def test_an_admin_makes_one_in_the_middle_of_a_login(shop):
    """Then it is the factor that is demanded, and is not taken away."""
    ada = shop.user(api_access="5")
    found = first_step(shop, ada)
    assert ["totp", "passkey"] == found["enrol"]
    token = found["mfa_token"]
    options = shop.done("/auth/passkey-create", mfa_token=token)["message"]
    device = Device()
    body = {"mfa_token": token, "credential": device.make(options)}
    pair = shop.done("/auth/passkey-confirm", **body)
    assert 10 == len(pair["recovery_code"])
    assert 200 == profile(shop, pair["message"]).status_code
    answer = shop.post("/auth/passkey-confirm", **body)
    assert "account_token.invalid" == code(answer, 401)
    assert 200 == log_in(shop, device.sign(begin(shop))).status_code
    ada.token = pair["message"]
    gone = {"id": encode(device.id), "password": ada.password}
    answer = shop.api.call("DELETE", "/my/passkey-delete", ada, json=gone)
    assert "mfa.required" == code(answer, 403)


def test_an_admin_takes_them_away(shop):
    admin, ada = enrolled(shop)[0], owner(shop)
    shop.api.sql("update users set api_access = '8' where id = $1", admin.id)
    path = f"/admin/user-mfa-delete?id={ada.id}"
    assert 200 == shop.api.call("DELETE", path, admin).status_code
    assert REFUSED == answered(log_in(shop, ada.device.sign(begin(shop))))


def test_who_may_not_log_in_does_not_by_a_passkey(shop):
    ada = owner(shop)
    shop.api.sql("update users set is_active = 0 where id = $1", ada.id)
    answer = log_in(shop, ada.device.sign(begin(shop)))
    assert "active.inactive" == code(answer, 403)
    shop.api.sql("delete from users where id = $1", ada.id)
    assert REFUSED == answered(log_in(shop, ada.device.sign(begin(shop))))
    assert [] == shop.api.sql("select from atom.passkey where user_id = $1", ada.id)


def test_nonsense_is_refused(shop):
    """Whatever it is: never an error of the server."""
    ada = owner(shop)
    right = ada.device.sign(begin(shop))
    spoilt = [{}, {"response": 1}, {"response": {"clientDataJSON": 1}}]
    for name in ("id", "rawId", "type"):
        spoilt += [{**right, name: value} for value in ("", "ü", 7, None, "A" * 3000)]
    values = ("", "!", "AA", 7, None, [], encode(b"{}"), encode(b"\xff" * 40))
    for name in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        for value in values:
            if name == "userHandle" and value is None:
                continue
            changed = json.loads(json.dumps(right))
            changed["response"][name] = value
            spoilt.append(changed)
    for credential in spoilt:
        assert REFUSED == answered(log_in(shop, credential)), credential
    options = shop.done("/my/passkey-create", ada, password=ada.password)["message"]
    made = Device().make(options)
    for value in ("", "AA", 7, encode(b"\xa0"), encode(b"\xbf" * 5000)):
        made["response"]["attestationObject"] = value
        answer = shop.post("/my/passkey-confirm", ada, credential=made)
        assert REFUSED == answered(answer), value
