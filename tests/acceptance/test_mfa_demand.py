"""A second factor that is demanded, and one that an admin takes away."""

import pytest

from tests.acceptance.authenticator import (
    App,
    code,
    enrolled,
    first_step,
    profile,
    second_step,
)
from tests.acceptance.mailing import far, mailing
from tests.acceptance.operations import at_once

TAKE = "/admin/user-mfa-delete"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demand")
    with mailing(folder, config_mfa="required_for_admin") as made:
        yield made


def taken(shop, admin, user_id):
    path = {"params": {"id": user_id}, "headers": far()}
    return shop.api.call("DELETE", TAKE, admin, **path)


def test_an_admin_sets_one_up_in_the_middle_of_a_login(shop):
    """No one else is asked; the token opens what it is for, and nothing else."""
    assert isinstance(first_step(shop, shop.user()), str)
    ada = shop.user(api_access="5")
    found = first_step(shop, ada)
    assert [] == found["method"]
    assert ["totp"] == found["enrol"]
    token = found["mfa_token"]
    answer = second_step(shop, token, code="123456")
    assert "account_token.invalid" == code(answer, 401)
    assert "token.invalid" == code(profile(shop, token), 401)
    early = shop.post("/auth/totp-confirm", mfa_token=token, code="123456")
    assert "mfa.missing" == code(early, 404)

    given = shop.done("/auth/totp-create", mfa_token=token)["message"]
    app = App(given["secret"])
    wrong = shop.post("/auth/totp-confirm", mfa_token=token, code="000000")
    assert "mfa.invalid" == code(wrong, 401)
    pair = shop.done("/auth/totp-confirm", mfa_token=token, code=app.code())

    assert 10 == len(pair["recovery_code"])
    assert 200 == profile(shop, pair["message"]).status_code
    shop.done("/auth/token-refresh", refresh_token=pair["refresh_token"])
    assert "token.revoked" == code(profile(shop, ada.token), 401)  # it had none
    assert ["totp", "recovery"] == first_step(shop, ada)["method"]
    (mail,) = shop.office.wait(ada.email, 1)
    assert "authenticator app was added" in mail["subject"]


def test_a_session_without_it_does_not_go_on(shop):
    """As after a change of the key, or of rights: its next tokens are refused."""
    ada = shop.user()
    shop.api.sql("update users set api_access = '5' where id = $1", ada.id)
    answer = shop.post("/auth/token-refresh", refresh_token=ada.refresh)
    assert "mfa.required" == code(answer, 401)
    answer = shop.api.call("GET", "/my/token-refresh", ada)
    assert "mfa.required" == code(answer, 401)
    shop.api.sql("update users set api_access = null where id = $1", ada.id)
    shop.done("/auth/token-refresh", refresh_token=ada.refresh)


def test_of_twenty_who_set_one_up_at_once_one_wins(shop):
    """Each has passed the first step; who comes later has a second step."""
    ada = shop.user(api_access="5")
    tokens = [first_step(shop, ada)["mfa_token"] for _ in range(20)]
    given = shop.done("/auth/totp-create", mfa_token=tokens[0])["message"]
    body = {"code": App(given["secret"]).code()}

    def confirm(number):
        return shop.post("/auth/totp-confirm", mfa_token=tokens[number], **body)

    statuses = [answer.status_code for answer in at_once(20, confirm)]
    assert [200] + [401] * 19 == sorted(statuses)
    for token in tokens:
        late = shop.post("/auth/totp-create", mfa_token=token)
        assert "account_token.invalid" == code(late, 401)


def test_the_last_one_is_kept_where_it_is_demanded(shop):
    ada, codes = enrolled(shop)
    shop.api.sql("update users set api_access = '5' where id = $1", ada.id)
    path, body = "/my/totp-delete", {"json": {"password": ada.password}}
    answer = shop.api.call("DELETE", path, ada, headers=far(), **body)
    assert "mfa.required" == code(answer, 403)
    state = shop.api.message("GET", "/my/mfa-read", ada)
    assert ("required_for_admin", 10) == (state["mode"], state["recovery_code"])
    shop.api.sql("update users set api_access = null where id = $1", ada.id)
    answer = shop.api.call("DELETE", path, ada, headers=far(), **body)
    assert 200 == answer.status_code
    assert 10 == len(codes)


def test_an_admin_takes_it_away(shop):
    """A lost phone: sessions end, a mail and the audit have it."""
    admin, _ = enrolled(shop)
    shop.api.sql("update users set api_access = '5,8' where id = $1", admin.id)
    ada, codes = enrolled(shop)
    token = first_step(shop, ada)["mfa_token"]

    assert ada.id == taken(shop, admin, ada.id).json()["message"]

    assert "token.revoked" == code(profile(shop, ada.token), 401)
    late = second_step(shop, token, recovery_code=codes[0])
    assert "account_token.invalid" == code(late, 401)
    assert isinstance(first_step(shop, ada), str)
    subjects = [mail["subject"] for mail in shop.office.wait(ada.email, 2)]
    assert any("were taken away" in subject for subject in subjects)
    rows = shop.api.sql(
        "select created_by_id, before::text from atom.audit"
        " where user_id = $1 and action = 'user-mfa-delete'",
        ada.id,
    )
    assert [admin.id] == [row["created_by_id"] for row in rows]
    assert '"totp": 1' in rows[0]["before"]
    assert "mfa.missing" == code(taken(shop, admin, ada.id), 404)


def test_no_one_takes_it_from_who_holds_more(shop):
    """Nor from themselves, user 1, or no one."""
    admin, _ = enrolled(shop)
    shop.api.sql("update users set api_access = '8' where id = $1", admin.id)
    other, _ = enrolled(shop)
    shop.api.sql("update users set api_access = '5' where id = $1", other.id)
    assert "rights.exceeded" == code(taken(shop, admin, other.id), 403)
    for user_id in (admin.id, 1):
        assert "rights.own" == code(taken(shop, admin, user_id), 403)
    assert "row.missing" == code(taken(shop, admin, 2**62), 404)
    assert "access.denied" == code(taken(shop, other, admin.id), 403)
    for person in (admin, other):
        assert first_step(shop, person)["mfa_token"]
