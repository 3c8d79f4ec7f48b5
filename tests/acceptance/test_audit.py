"""Who changed which row: kept by triggers, in the transaction of the change."""

import secrets

import pytest
from argon2 import PasswordHasher

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import newcomer
from tests.served import serve

CONFIG = """
config_postgres_schema = {"table": {
    "shelf": ["created_by_id-bigint-0-0", "updated_by_id-bigint-0-0",
              "updated_at-timestamptz-0-0", "title-text-0-0", "place-text-0-0",
              "door_code-text-0-0", "day-date-0-0"],
    "plain": ["title-text-0-0"],
    "fenced": ["created_by_id-bigint-0-0", "title-text-0-0", "price-bigint-0-0"],
    "narrow": ["title-text-0-0", "price-bigint-0-0"],
}}
config_column_secret_list = ["password", "door_code"]
config_table = {
    "shelf": {"my": "owner", "admin": 1, "audit": 1},
    "fenced": {"admin": {"read": "created_by_id = :me"}, "audit": 1},
    "narrow": {"admin": {"read": {"column": ["id", "title"]}}, "audit": 1},
}
"""
DROP_IN = """
from extend import *

router = APIRouter()


@router.post("/shop/undone")
async def undone(request: Request):
    database = request.app.state.ports.database
    try:
        async with database.transaction() as connection:
            await connection.run("insert into shelf (title) values ('undone')")
            raise ValueError
    except ValueError:
        return "undone"
"""
READ = "/admin/audit-read?table="
CREATE, UPDATE = "/my/object-create?table=shelf", "/my/object-update?table=shelf"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(
        tmp_path_factory.mktemp("audit"), router_shop=DROP_IN, config_shop=CONFIG
    )
    with serve({"config_env": "development"}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


@pytest.fixture(scope="module")
def ada(shop):
    return newcomer(shop)


@pytest.fixture(scope="module")
def clerk(shop):
    """An admin who may read the audit."""
    return newcomer(shop, api_access="1,2,3,4,5,8")


def changes(shop, clerk, table, **asked):
    """Return the audit of a table, the earliest first."""
    query = "".join(f"&{name}={value}" for name, value in asked.items())
    return shop.message("GET", f"{READ}{table}{query}", clerk)[::-1]


def test_a_row_is_followed_from_its_creation_to_its_end(shop, ada, clerk):
    title = secrets.token_hex(6)
    made = shop.message("POST", CREATE, ada, json={"title": title, "place": "a"})
    answer = shop.call("PUT", UPDATE, ada, json={"id": made, "place": "b"})
    assert 200 == answer.status_code
    body = {"table": "shelf", "ids": [made]}
    shop.message("DELETE", "/admin/ids-delete", clerk, json=body)

    created, updated, deleted = changes(shop, clerk, "shelf", key=made)
    assert ("create", ada.id) == (created["action"], created["created_by_id"])
    assert created["before"] is None
    assert (title, "a") == (created["after"]["title"], created["after"]["place"])
    assert ("update", ada.id) == (updated["action"], updated["created_by_id"])
    assert "a" == updated["before"]["place"]
    assert "b" == updated["after"]["place"]
    assert "title" not in updated["after"]
    assert answer.headers["x-request-id"] == updated["request_id"]
    assert ("delete", clerk.id) == (deleted["action"], deleted["created_by_id"])
    assert (title, None) == (deleted["before"]["title"], deleted["after"])


def test_each_row_of_a_bulk_write_is_kept(shop, ada, clerk):
    rows = [{"title": f"bulk {number}"} for number in range(5)]
    ids = shop.message("POST", CREATE, ada, json=rows)
    body = [{"id": each, "place": f"at {each}"} for each in ids]
    shop.message("PUT", UPDATE, ada, json=body)

    found = changes(shop, clerk, "shelf", created_by_id=ada.id, limit=1000)
    for each in ids:
        actions = [one for one in found if one["row_key"] == str(each)]
        assert ["create", "update"] == [one["action"] for one in actions]
        assert f"at {each}" == actions[1]["after"]["place"]


def test_plain_sql_is_kept_by_the_login_and_a_rollback_is_not(shop, clerk):
    (row,) = shop.sql("insert into shelf (title) values ('by sql') returning id")
    shop.sql("update shelf set day = '2026-01-02' where id = $1", row["id"])
    assert "undone" == shop.call("POST", "/shop/undone").json()

    (login,) = shop.sql("select session_user::text as name")
    found = changes(shop, clerk, "shelf", key=row["id"])
    assert ["create", "update"] == [each["action"] for each in found]
    assert {None} == {each["created_by_id"] for each in found}
    assert {login["name"]} == {each["database_user"] for each in found}
    assert "2026-01-02" == found[1]["after"]["day"]
    assert "title" not in found[1]["after"]
    titles = [
        (each["after"] or {}).get("title")
        for each in changes(shop, clerk, "shelf", limit=1000)
    ]
    assert "undone" not in titles


def test_nobody_forges_who_asked_by_sql_of_their_own(shop, clerk):
    """User 1 writes by /admin/db-runner, and is known by its login."""
    (row,) = shop.sql("insert into shelf (title) values ('mine') returning id")
    body = {"username": "root", "password": shop.config["config_root_password"]}
    token = shop.message("POST", "/auth/login-password", json=body)
    forged = """'{"user_id": 77, "request_id": "forged"}'"""
    query = (
        f"update shelf set title = 'theirs' where id = {row['id']}"
        f" and set_config('atom.event', {forged}, true) is not null"
    )
    headers = {"Authorization": f"Bearer {token}"}
    shop.message("POST", "/admin/db-runner", headers=headers, json={"query": query})

    changed = changes(shop, clerk, "shelf", key=row["id"])[-1]
    assert "theirs" == changed["after"]["title"]
    assert (None, None) == (changed["created_by_id"], changed["request_id"])
    assert changed["database_user"].startswith("atom_writer_")


def test_a_sign_up_is_kept_with_its_request(shop, clerk):
    body = {"username": f"s{secrets.token_hex(6)}", "password": secrets.token_hex(8)}
    answer = shop.call("POST", "/auth/signup", json=body)
    assert 200 == answer.status_code, answer.text
    made = changes(shop, clerk, "users", request_id=answer.headers["x-request-id"])
    assert [("create", None)] == [
        (each["action"], each["created_by_id"]) for each in made
    ]
    assert body["username"] == made[0]["after"]["username"]


def test_a_login_that_replaces_a_hash_is_its_users(shop, clerk):
    weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1)
    person = newcomer(shop)
    password = secrets.token_hex(8)
    shop.sql(
        "update users set password = $1 where id = $2", weak.hash(password), person.id
    )
    body = {"type": 1, "username": person.username, "password": password}
    answer = shop.call("POST", "/auth/login-password", json=body)
    assert 200 == answer.status_code, answer.text
    changed = changes(shop, clerk, "users", key=person.id)[-1]
    assert (person.id, ["password"], answer.headers["x-request-id"]) == (
        changed["created_by_id"],
        changed["secret_changed"],
        changed["request_id"],
    )


def test_of_a_secret_column_the_name_is_kept_alone(shop, clerk):
    secret = secrets.token_hex(12)
    (row,) = shop.sql("insert into shelf (door_code) values ($1) returning id", secret)
    shop.sql("update shelf set door_code = $1 where id = $2", secret + "x", row["id"])
    shop.sql("delete from shelf where id = $1", row["id"])

    found = changes(shop, clerk, "shelf", key=row["id"])
    assert [None, ["door_code"], None] == [each["secret_changed"] for each in found]
    kept = shop.sql("select a::text as a from atom.row_audit a")
    assert kept
    assert not [each for each in kept if secret in each["a"]]


def test_an_update_of_stamps_alone_is_not_kept(shop, ada, clerk):
    made = shop.message("POST", CREATE, ada, json={"title": "same"})
    shop.message("PUT", UPDATE, ada, json={"id": made, "title": "same"})

    actions = [each["action"] for each in changes(shop, clerk, "shelf", key=made)]
    assert ["create"] == actions


def test_a_table_without_the_word_is_not_kept(shop, clerk):
    shop.sql("insert into plain (title) values ('x')")
    assert [] == changes(shop, clerk, "plain")


def test_users_are_audited_without_their_passwords(shop, clerk):
    person = newcomer(shop)
    shop.message(
        "PUT",
        "/my/object-update?table=users",
        person,
        json={"id": person.id, "name": "Ada"},
    )
    body = {"id": person.id, "is_verified": 1}
    shop.message("PUT", "/admin/user-rights-update", clerk, json=body)

    created, named, verified = changes(shop, clerk, "users", key=person.id)
    assert "password" not in created["after"]
    assert (person.id, "Ada") == (named["created_by_id"], named["after"]["name"])
    assert clerk.id == verified["created_by_id"]
    assert verified["request_id"]
    assert (None, 1) == (
        verified["before"]["is_verified"],
        verified["after"]["is_verified"],
    )


def test_a_new_password_is_kept_by_its_name_and_who_set_it(shop, clerk):
    person, new = newcomer(shop), secrets.token_hex(12)
    body = {"id": person.id, "password": new, "password_old": person.password}
    shop.message("PUT", "/my/object-update?table=users", person, json=body)

    changed = changes(shop, clerk, "users", key=person.id)[-1]
    assert (person.id, ["password"]) == (
        changed["created_by_id"],
        changed["secret_changed"],
    )
    assert "password" not in changed["after"]


def test_a_cursor_reads_on(shop, ada, clerk):
    for number in range(3):
        shop.message("POST", CREATE, ada, json={"title": f"page {number}"})
    every = shop.message("GET", f"{READ}shelf&limit=3", clerk)
    first = shop.message("GET", f"{READ}shelf&limit=1", clerk)
    rest = shop.message("GET", f"{READ}shelf&limit=2&cursor={first[0]['id']}", clerk)
    assert every == first + rest


@pytest.mark.parametrize("ids", ["1,2,3,4,5,6", "8"])
def test_the_audit_needs_the_ids_of_rights_and_of_reading(shop, ids):
    answer = shop.call("GET", f"{READ}users", newcomer(shop, api_access=ids))
    assert (403, "access.denied") == (answer.status_code, answer.json()["code"])


def test_the_audit_shows_no_more_than_the_rows(shop, clerk):
    shop.sql("insert into narrow (title, price) values ('x', 5)")
    (found,) = changes(shop, clerk, "narrow")
    assert {"id", "title"} == set(found["after"])
    answer = shop.call("GET", f"{READ}fenced", clerk)
    body = answer.json()
    assert (403, "row.table_not_allowed") == (answer.status_code, body["code"])


def test_what_is_older_than_the_days_of_config_is_deleted(shop, ada, clerk):
    made = shop.message("POST", CREATE, ada, json={"title": "old"})
    shop.sql(
        "update atom.row_audit set created_at = now() - interval '400 days'"
        " where table_name = 'shelf' and row_key = $1",
        str(made),
    )
    notified = "select from atom.notification where user_id = $1"
    shop.sql(
        "insert into atom.notification (user_id, kind, subject, message, created_at)"
        " values ($1, 'x', 'x', 'x', now() - interval '100 days')",
        ada.id,
    )
    assert shop.sql(notified, ada.id)
    with serve({"config_postgres_url": shop.database}):  # deletes when it starts
        eventually(lambda: [] == changes(shop, clerk, "shelf", key=made))
        eventually(lambda: [] == shop.sql(notified, ada.id))
