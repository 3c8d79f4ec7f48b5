"""An admin invites an address; the token of the mail makes the user."""

import asyncio

import httpx2
import pytest

from tests.acceptance.mailing import address, far, mailing
from tests.acceptance.people import newcomer

PASSWORD = "correct horse battery"
OWN = """
config_postgres_schema = {"table": {"users": ["role-text-0-0"]}}
config_signup = {"column": ["country"]}
"""
CREATE, READ, DELETE = (
    f"/admin/invitation-{verb}" for verb in ("create", "read", "delete")
)
ACCEPT = "/auth/invitation-accept"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server without sign-up: who is invited comes in."""
    closed = {"config_is_signup": "0", "config_user_approval_flow": "admin_approval"}
    with mailing(tmp_path_factory.mktemp("invitation"), OWN, **closed) as made:
        yield made


@pytest.fixture(scope="module")
def admin(shop):
    return newcomer(shop.api, api_access="5,8", role="editor,clerk", name="Grace")


def code(answer, status):
    assert status == answer.status_code, answer.text
    return answer.json()["code"]


def invited(shop, admin, **more):
    """Invite a new address; return it, the id and the token."""
    email = address()
    made = shop.done(CREATE, admin, email=email, **more)["message"]
    return email, made, shop.link(email, "invitation-accept")


def test_the_token_makes_the_user_with_the_rights(shop, admin):
    """Logged in at once, though sign-up is closed and an admin approves others."""
    email, _, token = invited(shop, admin, api_access="5", role="editor", type=3)
    (mail,) = shop.office.read(email)
    assert "Grace" in mail.get_body(("plain",)).get_content()

    body = {"token": token, "password": PASSWORD, "username": "Lin", "country": "NO"}
    made = shop.done(ACCEPT, **body)

    bearer = {"Authorization": f"Bearer {made['message']}"}
    table = {"table": "test"}
    shop.api.message("GET", "/admin/object-read", headers=bearer, params=table)
    (row,) = shop.api.sql("select * from users where email = $1", email)
    wanted = {"username": "lin", "country": "NO", "api_access": "5", "role": "editor"}
    assert wanted | {"type": 3, "is_verified": 1} == {
        name: row[name] for name in (*wanted, "type", "is_verified")
    }
    login = {"email": email, "password": PASSWORD, "type": 3}
    assert 200 == shop.login(**login).status_code
    again = shop.post(ACCEPT, token=token, password=PASSWORD)
    assert "account_token.invalid" == code(again, 401)
    (audit,) = shop.api.sql(
        "select created_by_id, action from atom.audit where user_id = $1", row["id"]
    )
    assert {"created_by_id": admin.id, "action": "invitation-accept"} == audit


@pytest.mark.parametrize(
    "granted",
    [{"api_access": "1"}, {"api_access": [5, 6]}, {"role": "owner"}],
    ids=["an id", "ids", "a role"],
)
def test_no_one_grants_what_they_do_not_hold(shop, admin, granted):
    """And no mail is sent."""
    email = address()
    answer = shop.post(CREATE, admin, email=email, **granted)

    assert "rights.exceeded" == code(answer, 403)
    assert [] == shop.api.sql(
        "select 1 from atom.account_token where email = $1", email
    )


@pytest.mark.parametrize(
    "change",
    [
        "update users set api_access = '8' where id = $1",
        "update users set is_active = 0 where id = $1",
        "update users set is_deleted = 1 where id = $1",
        "delete from users where id = $1",
    ],
    ids=["right taken away", "inactive", "deleted", "gone"],
)
def test_an_admin_who_lost_the_right_has_granted_nothing(shop, change):
    """It is checked again when the invitation is accepted."""
    other = newcomer(shop.api, api_access="5,8")
    email, _, token = invited(shop, other, api_access="5")
    shop.api.sql(change, other.id)

    answer = shop.post(ACCEPT, token=token, password=PASSWORD)

    assert "account_token.invalid" == code(answer, 401)
    assert [] == shop.api.sql("select 1 from users where email = $1", email)


def test_it_is_listed_and_withdrawn(shop, admin):
    """Without its token; whoever has it comes too late."""
    email, made, token = invited(shop, admin, api_access=[8, 5])
    listed = shop.api.message("GET", READ, admin)
    (row,) = [each for each in listed if each["id"] == made]
    assert (email, "5,8", admin.id) == tuple(
        row[name] for name in ("email", "api_access", "created_by_id")
    )
    assert not {"token", "token_hash"} & set(row)

    assert made == shop.api.message("DELETE", DELETE, admin, params={"id": made})

    answer = shop.post(ACCEPT, token=token, password=PASSWORD)
    assert "account_token.invalid" == code(answer, 401)
    assert made not in [each["id"] for each in shop.api.message("GET", READ, admin)]
    gone = shop.api.call("DELETE", DELETE, admin, params={"id": made})
    assert "row.missing" == code(gone, 404)


def test_a_new_one_replaces_an_earlier_one(shop, admin):
    email, _, first = invited(shop, admin, api_access="5")
    shop.done(CREATE, admin, email=email)
    second = shop.link(email, "invitation-accept", 2)

    old = shop.post(ACCEPT, token=first, password=PASSWORD)
    assert "account_token.invalid" == code(old, 401)
    shop.done(ACCEPT, token=second, password=PASSWORD)
    (row,) = shop.api.sql("select api_access from users where email = $1", email)
    assert row["api_access"] is None


def test_a_token_expires_and_is_for_this_alone(shop, admin):
    for change in ("expires_at = now()", "purpose = 'password-reset'"):
        _, made, token = invited(shop, admin)
        shop.api.sql(f"update atom.account_token set {change} where id = $1", made)
        answer = shop.post(ACCEPT, token=token, password=PASSWORD)
        assert "account_token.invalid" == code(answer, 401)


def test_what_is_refused_leaves_the_token_good(shop, admin):
    """A short password, a column that is unknown, a name that is taken."""
    email, _, token = invited(shop, admin)
    body = {"token": token, "password": PASSWORD}
    short = shop.post(ACCEPT, **body | {"password": "x"})
    assert "password.too_short" == code(short, 400)
    assert 422 == shop.post(ACCEPT, **body, api_access="5").status_code
    taken = shop.post(ACCEPT, **body, username=admin.username)
    assert "account.exists" == code(taken, 409)

    shop.done(ACCEPT, **body)
    again = shop.post(CREATE, admin, email=email)
    assert "account.exists" == code(again, 409)


def test_of_twenty_uses_at_once_one_wins(shop, admin):
    """One user, one session."""
    email, _, token = invited(shop, admin)
    body = {"token": token, "password": PASSWORD}

    async def run():
        async with httpx2.AsyncClient(timeout=60) as client:
            url = shop.api.url + ACCEPT
            return await asyncio.gather(
                *(client.post(url, json=body, headers=far()) for _ in range(20))
            )

    answers = asyncio.run(run())

    assert [200] + [401] * 19 == sorted(a.status_code for a in answers)
    count = "select count(*) as n from users where email = $1"
    assert [{"n": 1}] == shop.api.sql(count, email)


def test_only_who_changes_rights_invites(shop, admin):
    """The id of /admin/user-rights-update is asked for."""
    other = newcomer(shop.api, api_access="1,2,5")
    for method, path, more in (
        ("POST", CREATE, {"json": {"email": address()}}),
        ("GET", READ, {}),
        ("DELETE", DELETE, {"params": {"id": 1}}),
    ):
        assert "access.denied" == code(shop.api.call(method, path, other, **more), 403)
        assert 401 == shop.api.call(method, path, **more).status_code
