"""A user's own row: what they write, at sign-up and later, is an allow list."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import Person, opened, serving
from tests.acceptance.people import newcomer
from tests.acceptance.test_drop_in import started
from tests.served import serve

CONFIG = """
config_postgres_schema = {"table": {"users": [
    "role-text-0-0", "tenant_id-bigint-0-0", "passport_no-text-0-0",
    "nickname-text-0-0", "points-integer-0-0",
]}}
config_token_key_list = "id,is_active,api_access,role,tenant_id"
config_signup = {"column": ["nickname", "points", "email"], "mandatory": ["country"]}
"""
OWN = "/my/object-update?table=users"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with columns of its own in users."""
    with serving(tmp_path_factory.mktemp("shop"), config_shop=CONFIG) as running:
        yield running


def name():
    return f"u{secrets.token_hex(6)}"


def sign_up(shop, **more):
    body = {"username": name(), "password": PASSWORD, "country": "IN", **more}
    return shop.call("POST", "/auth/signup", json=body)


@pytest.fixture
def eve(shop):
    answer = sign_up(shop)
    assert 200 == answer.status_code, answer.text

    made = Person(0, "", PASSWORD, answer.json()["message"], "")
    made.id = shop.message("GET", "/my/profile", made)["id"]
    return made


def row(shop, user_id):
    """Return a row of users, but for the note of the visit, which comes late."""
    (found,) = shop.sql("select * from users where id = $1", user_id)
    del found["last_active_at"], found["updated_at"]
    return found


class TestUpdate:
    @pytest.mark.parametrize("column", ["role", "tenant_id", "passport_no", "nickname"])
    def test_a_column_that_was_added_is_not_the_users_to_write(self, shop, eve, column):
        before = row(shop, eve.id)
        for spelling in (column, column.upper(), f" {column}"):
            for value in (1, "x"):
                body = {"id": eve.id, "name": "x", spelling: value}
                answer = shop.call("PUT", OWN, eve, json=body)
                assert 400 == answer.status_code, answer.text
        assert before == row(shop, eve.id)
        answer = shop.call("PUT", OWN, eve, json={"id": eve.id, column: "x"})
        assert "account.managed_column" == answer.json()["code"]
        assert "config_table" in answer.json()["hint"]

    def test_the_default_list_is_written(self, shop, eve):
        values = {"name": "Eve", "country": "NL", "metadata": {"a": [1]}}
        body = {"id": eve.id, **values, "location": "POINT(4.9 52.4)"}
        assert eve.id == shop.message("PUT", OWN, eve, json=body)
        profile = shop.message("GET", "/my/profile", eve)
        assert values == {key: profile[key] for key in values}
        assert [4.9, 52.4] == profile["location"]["coordinates"]

    def test_every_column_of_users_is_refused_but_the_list(self, shop, eve):
        """Asked of the database: also a column that is added later."""
        shop.sql("alter table users add column if not exists later text")
        shop.call("GET", "/root/reset-global", "root")
        columns = shop.sql(
            "select column_name as name from information_schema.columns"
            " where table_name = 'users' and table_schema = 'public'"
        )
        allowed = {"name", "country", "metadata", "location", "username", "email"}
        allowed |= {"username_bigint", "mobile", "password", "password_bigint", "id"}
        found = {each["name"] for each in columns}
        assert "later" in found
        for column in found - allowed:
            before = row(shop, eve.id)
            for value in (1, "1", None, {}, "2027-01-01"):
                body = {"id": eve.id, column: value}
                answer = shop.call("PUT", OWN, eve, json=body)
                assert 400 == answer.status_code, (column, answer.text)
            assert before == row(shop, eve.id)

    def test_the_profile_shows_all_but_secret_columns(self, shop, eve):
        shop.sql("update users set passport_no = 'P1' where id = $1", eve.id)
        profile = shop.message("GET", "/my/profile", eve)
        assert "P1" == profile["passport_no"]
        hidden = {"password", "password_bigint", "google_data"}
        assert hidden == row(shop, eve.id).keys() - profile.keys()
        assert {"last_active_at", "updated_at"} < profile.keys()


def test_a_role_is_granted_by_who_holds_it(shop):
    """And a token that was made before, with the old role in it, is over at once."""
    admin = newcomer(shop, api_access="8", role="editor,desk", tenant_id=1)
    person = newcomer(shop)
    path = "/admin/user-rights-update"
    for role in ("chef", "editor,chef"):
        body = {"id": person.id, "role": role}
        answer = shop.call("PUT", path, admin, json=body)
        assert (403, "rights.exceeded") == (answer.status_code, answer.json()["code"])
    assert 200 == shop.call("GET", "/my/profile", person).status_code
    shop.message("PUT", path, admin, json={"id": person.id, "role": "editor"})
    assert 401 == shop.call("GET", "/my/profile", person).status_code
    body = {"username": person.username, "password": person.password}
    renewed = shop.call("POST", "/auth/login-password", json=body)
    payload = renewed.json()["message"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert "editor" == claims["data"]["role"]
    chef = newcomer(shop, role="chef")
    body = {"id": chef.id, "is_active": 0}
    assert 403 == shop.call("PUT", path, admin, json=body).status_code


def test_who_has_another_role_is_not_reached_by_an_admin(shop):
    """A new e-mail would be a way into their account, and so to the role."""
    admin = newcomer(shop, api_access="1,2,3,4", role="editor")
    for role, status in (("chef", 404), ("editor,chef", 404), ("editor", 200)):
        other = newcomer(shop, role=role)
        body = {"id": other.id, "email": f"{other.username}@example.com"}
        answer = shop.call("PUT", "/admin/object-update?table=users", admin, json=body)
        assert status == answer.status_code, answer.text


def code_sent(shop, email):
    """Store a code as the routes that send it do."""
    key = shop.config["config_key_jwt"].split(",")[0]
    text = f"otp\0{email}\x00123456".encode()
    made = hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
    shop.sql(
        "insert into otp (created_at, otp, email) values (now(), $1, $2)", made, email
    )


class TestSignUp:
    def test_it_takes_what_is_listed(self, shop):
        answer = sign_up(shop, nickname="Evie", points=3)
        assert 200 == answer.status_code, answer.text
        (found,) = shop.sql("select * from users order by id desc limit 1")
        assert ("Evie", 3, "IN") == (
            found["nickname"],
            found["points"],
            found["country"],
        )

    @pytest.mark.parametrize(
        "more",
        [
            {"country": None},
            {"country": ""},
            {"points": "many"},
            {"points": 2**31},
            {"nickname": 5},
            {"role": "admin"},
            {"tenant_id": 1},
            {"passport_no": "P"},
            {"api_access": "1"},
            {"is_active": 1},
            {"name": "x"},
            {"nope": 1},
            {"mobile": "+919876543210"},
            {"password_bigint": 12345678},
        ],
        ids=repr,
    )
    def test_anything_else_is_refused_by_name(self, shop, more):
        before = shop.sql("select count(*) from users")
        answer = sign_up(shop, **more)
        assert answer.status_code in {400, 422}, answer.text
        assert next(iter(more)) in answer.json()["message"]
        assert before == shop.sql("select count(*) from users")

    def test_what_is_mandatory_is_named(self, shop):
        body = {"username": name(), "password": PASSWORD}
        answer = shop.call("POST", "/auth/signup", json=body)
        assert (422, True) == (
            answer.status_code,
            "country" in answer.json()["message"],
        )

    def test_by_number_as_well(self, shop):
        body = {"username_bigint": secrets.randbelow(10**12), "password_bigint": 10**9}
        assert 422 == shop.call("POST", "/auth/signup-bigint", json=body).status_code
        body |= {"country": "IN", "nickname": "N"}
        assert 200 == shop.call("POST", "/auth/signup-bigint", json=body).status_code
        assert 409 == shop.call("POST", "/auth/signup-bigint", json=body).status_code

    def test_an_address_is_proven(self, shop):
        email = f"{name()}@example.com"
        assert "otp.missing" == sign_up(shop, email=email).json()["code"]
        code_sent(shop, email)
        assert 401 == sign_up(shop, email=email, otp="654321").status_code
        assert 200 == sign_up(shop, email=email.upper(), otp="123456").status_code
        login = {"email": email, "password": PASSWORD}
        assert 200 == shop.call("POST", "/auth/login-email", json=login).status_code
        for words in ({}, {"otp": "654321"}):  # a stranger does not learn that it is
            told = [sign_up(shop, email=each, **words) for each in (email, f"x{email}")]
            assert 1 == len({(one.status_code, one.json()["code"]) for one in told})
        code_sent(shop, email)
        again = sign_up(shop, email=email, otp="123456")
        assert (409, "email already exists") == (
            again.status_code,
            again.json()["message"],
        )

    def test_it_is_in_the_document(self, shop):
        schemas = shop.call("GET", "/openapi.json").json()["components"]["schemas"]
        found = schemas["SignUp"]
        assert {"nickname", "points", "email", "otp", "country"} < set(
            found["properties"]
        )
        assert {"username", "password", "country"} == set(found["required"])
        assert found["additionalProperties"] is False


LISTED = """
config_postgres_schema = {"table": {"users": ["nickname-text-0-0", "role-text-0-0"]}}
config_table = {"users": {
    "my": {"update": {"column": ["name", "nickname"]}},
    "public": {"read": {"column": ["id", "nickname"]}},
}}
"""


def test_config_table_lists_what_users_write_and_what_others_see(tmp_path):
    """The list is the whole list; names, addresses and passwords keep their rules."""
    with serve(code=copied(tmp_path, config_listed=LISTED)) as served:
        club = opened(served)
        eve, bob = club.person(), club.person()
        body = {"id": eve.id, "name": "Eve", "nickname": "E", "username": f"x{eve.id}"}
        assert eve.id == club.message("PUT", OWN, eve, json=body)
        for column in ("role", "country", "metadata", "api_access"):
            answer = club.call("PUT", OWN, eve, json={"id": eve.id, column: "x"})
            assert "account.managed_column" == answer.json()["code"]
        club.sql("update users set role = 'chef' where id = $1", eve.id)
        assert "chef" == club.message("GET", "/my/profile", eve)["role"]
        club.message("POST", "/my/object-create?table=test", eve, json={"title": "e"})
        path = "/public/object-read?table=test&title==,e&creator_key="
        (found,) = club.message("GET", path + "nickname")
        assert "E" == found["creator_nickname"]
        for column in ("role", "name", "username", "email", "country"):
            assert 400 == club.call("GET", path + column, bob).status_code, column
        club.http.close()


WRONG_LIST = "config_table = {'users': {'my': {'update': {'column': ['%s']}}}}"
FAULTS = [
    (WRONG_LIST % "nam", ("config_table", "nam")),
    (WRONG_LIST % "api_access", ("config_table", "api_access")),
    (WRONG_LIST % "is_active", ("config_table", "is_active")),
    (WRONG_LIST % "google_id", ("config_table", "google_id")),
    (WRONG_LIST % "id", ("config_table", "'id'")),
    (
        "config_table = {'users': {'my': {'update': {'where': 'id = :me'}}}}",
        ("config_table['users']['my']['update']", "'where'"),
    ),
    (
        "config_token_key_list = 'id,country'\n" + WRONG_LIST % "country",
        ("config_token_key_list", "config_table"),
    ),
    ("config_token_key_list = 'id,name'", ("config_token_key_list", "config_table")),
    ("config_token_key_list = 'id,username'", ("config_token_key_list", "username")),
    ("config_token_key_list = 'id,email'", ("config_token_key_list", "email")),
    (WRONG_LIST % "is_x' + '", ("config_table", "is_x")),
    ("config_signup = {'column': ['nam']}", ("config_signup", "'nam'", "'name'")),
    ("config_signup = {'column': ['api_access']}", ("config_signup", "api_access")),
    ("config_signup = {'column': ['is_active']}", ("config_signup", "is_active")),
    ("config_signup = {'mandatory': ['google_id']}", ("config_signup", "google_id")),
    ("config_signup = {'column': ['password']}", ("config_signup", "password")),
    ("config_signup = {'column': ['created_at']}", ("config_signup", "created_at")),
    ("config_signup = {'mandatory': ['email', 'mobile']}", ("config_signup", "one")),
]
# Found before the database is asked, so before any of those.
UNREADABLE = [
    ("config_signup = {'colum': ['name']}", ("config_signup", "colum")),
    ("config_signup = ['name']", ("config_signup", "dict")),
]


def apart(faults):
    """Return the faults in groups; in a group no key is set twice.

    What a token holds and what a user may write are compared: they count as one.
    """
    groups = []
    for fault in faults:
        keys = set(re.findall(r"^config_(signup|t)", fault[0], re.MULTILINE))
        for taken, group in groups:
            if not taken & keys:
                taken |= keys
                group.append(fault)
                break
        else:
            groups.append((keys, [fault]))
    return [group for _, group in groups]


@pytest.mark.parametrize("faults", [*apart(FAULTS), *apart(UNREADABLE)])
def test_a_list_that_cannot_hold_stops_the_start(tmp_path, faults):
    """Each is named on a line of its own."""
    texts = {f"config_wrong_{n}": text for n, (text, _) in enumerate(faults)}
    code, told = started(copied(tmp_path, **texts))
    assert 0 != code
    lines = told.splitlines()
    for text, words in faults:
        assert [line for line in lines if all(word in line for word in words)], text


class TestSwitchedOff:
    """`is_active = 0` is refused wherever a token is demanded."""

    ROUTER = """
from extend import *

@router.get("/clinic/mine")
async def mine(request: Request):
    return {"id": request.state.user["id"]}

@router.get("/clinic/open")
async def open_(request: Request):
    return {"id": request.state.user.get("id")}

@router.get("/clinic/any")
async def any_(request: Request):
    return {"id": request.state.user["id"]}
"""
    API = """
config_api = {
    "/clinic/mine": {"is_token": 1},
    "/clinic/any": {"is_token": 1, "is_active_check": 0},
}
"""

    def test_a_route_with_is_token_refuses_them(self, tmp_path):
        code = copied(tmp_path, router_clinic=self.ROUTER, config_clinic=self.API)
        with serve(code=code) as served:
            clinic = opened(served)
            eve = clinic.person()
            for path in ("/clinic/mine", "/clinic/any", "/clinic/open"):
                assert {"id": eve.id} == clinic.call("GET", path, eve).json()
            clinic.sql("update users set is_active = 0 where id = $1", eve.id)
            deadline = time.monotonic() + 5
            while (answer := clinic.call("GET", "/clinic/mine", eve)).is_success:
                assert time.monotonic() < deadline
            assert (403, "user not active") == (
                answer.status_code,
                answer.json()["message"],
            )
            assert 200 == clinic.call("GET", "/clinic/any", eve).status_code
            assert 200 == clinic.call("GET", "/clinic/open", eve).status_code
            clinic.http.close()
