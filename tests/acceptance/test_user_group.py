"""Groups of users: what rules make of them, and who may change them."""

import secrets

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import newcomer
from tests.acceptance.stream_reader import Reader
from tests.acceptance.test_rights import refused
from tests.served import serve

CONFIG = """
config_postgres_schema = {"table": {
    "booking": ["title-text-0-0", "group_id-bigint-0-btree"],
}}
config_scope = {
    "my_group": "select g.name from atom.user_group g"
    " join atom.group_member m on m.group_id = g.id where m.user_id = :me",
    "my_group_id": "select group_id from atom.group_member where user_id = :me",
}
config_table = {"booking": {"my": {
    "read": "'staff' in my_group or group_id in my_group_id"}}}
config_stream_table_list = ["booking"]
config_api = {"/my/object-read": {"cache_sec": ["inmemory", 100]}}
"""
CREATE, UPDATE = "/admin/group-create", "/admin/group-update"
ADD = "/admin/group-member-create"
BOOKING = "/my/object-read?table=booking"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(tmp_path_factory.mktemp("group"), config_shop=CONFIG)
    with serve({"config_workers": "2"}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


@pytest.fixture(scope="module")
def first(shop):
    """User 1, logged in."""
    body = {"username": "root", "password": shop.config["config_root_password"]}
    answer = shop.call("POST", "/auth/login-password", json=body)
    assert 200 == answer.status_code, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['message']}"}
    return type("First", (), {"id": 1, "headers": headers})


@pytest.fixture(scope="module")
def clerk(shop):
    """An admin of rights."""
    return newcomer(shop, api_access="5,8")


def make(shop, who, name=None):
    """Make a group; return its id."""
    name = name or f"g{secrets.token_hex(6)}"
    return shop.message("POST", CREATE, who, json={"name": name})


def add(shop, who, group, person):
    body = {"group_id": group, "user_id": person.id}
    return shop.call("POST", ADD, who, json=body)


def remove(shop, who, group, person):
    path = f"/admin/group-member-delete?group_id={group}&user_id={person.id}"
    return shop.call("DELETE", path, who)


def held(shop, first, clerk):
    """Make a group that an admin is in; return its id."""
    group = make(shop, first)
    assert 200 == add(shop, first, group, clerk).status_code
    return group


def members(shop, group):
    found = shop.sql("select user_id from atom.group_member where group_id = $1", group)
    return {row["user_id"] for row in found}


def titles(shop, who):
    """Read bookings, of whichever worker answers."""
    headers = {"connection": "close"}
    rows = shop.message("GET", BOOKING, who, headers=headers)
    return {row["title"] for row in rows}


def test_members_of_staff_see_the_bookings_and_lose_them_at_once(shop, first, clerk):
    staff = make(shop, first, "staff")
    ada, bob = newcomer(shop), newcomer(shop)
    shop.sql("insert into booking (title) values ('table for two')")
    assert 200 == add(shop, first, staff, clerk).status_code
    assert set() == titles(shop, ada)

    assert ada.id == add(shop, clerk, staff, ada).json()["message"]
    for _ in range(10):  # kept answers of both workers were dropped
        eventually(lambda: {"table for two"} == titles(shop, ada))
    assert set() == titles(shop, bob)

    assert ada.id == remove(shop, clerk, staff, ada).json()["message"]
    for _ in range(10):
        eventually(lambda: set() == titles(shop, ada))


def test_a_row_that_names_a_group_is_its_members(shop, first):
    group, other = make(shop, first), make(shop, first)
    ada, title = newcomer(shop), secrets.token_hex(6)
    assert 200 == add(shop, first, group, ada).status_code
    insert = "insert into booking (title, group_id) values ($1, $2)"
    shop.sql(insert, title, group)
    shop.sql(insert, "another", other)
    assert {title} == titles(shop, ada)

    shop.message("DELETE", f"/admin/group-delete?id={group}", first)
    eventually(lambda: set() == titles(shop, ada))


def test_a_stream_goes_by_the_members_of_now(shop, first):
    group, other, ada = make(shop, first), make(shop, first), newcomer(shop)
    insert = "insert into booking (title, group_id) values ($1, $2)"
    path = "/my/rows/booking/stream"
    assert 200 == add(shop, first, other, ada).status_code

    def sent(reader, title):
        return title in [row["title"] for row in reader.data()]

    with (
        Reader(shop.url, path, ada.headers) as reader,
    ):
        assert 200 == add(shop, first, group, ada).status_code
        shop.sql(insert, "while in", group)
        reader.until(lambda: sent(reader, "while in"))
        assert 200 == remove(shop, first, group, ada).status_code
        shop.sql(insert, "after", group)
        shop.sql(insert, "what she still sees", other)
        reader.until(lambda: sent(reader, "what she still sees"))
        assert 200 == add(shop, first, group, ada).status_code
        shop.sql(insert, "again", group)
        reader.until(lambda: sent(reader, "again"))
        assert not sent(reader, "after")


def test_nobody_changes_a_group_that_they_are_not_in(shop, first, clerk):
    group, ada = make(shop, clerk), newcomer(shop)
    refused(add(shop, clerk, group, ada), 403, "rights.exceeded")
    assert 200 == add(shop, first, group, ada).status_code
    refused(remove(shop, clerk, group, ada), 403, "rights.exceeded")
    assert {ada.id} == members(shop, group)


def test_nobody_changes_their_own_groups_or_those_of_user_1(shop, first, clerk):
    group = make(shop, clerk)
    refused(add(shop, clerk, group, clerk), 403, "rights.own")
    assert 200 == add(shop, first, group, clerk).status_code
    assert 200 == add(shop, first, group, first).status_code
    refused(remove(shop, clerk, group, clerk), 403, "rights.own")
    refused(remove(shop, clerk, group, first), 403, "rights.own")
    assert {1, clerk.id} == members(shop, group)


def test_nobody_puts_in_or_takes_out_who_holds_more(shop, first, clerk):
    group, strong = held(shop, first, clerk), newcomer(shop, api_access="5,6,8")
    refused(add(shop, clerk, group, strong), 403, "rights.exceeded")
    assert 200 == add(shop, first, group, strong).status_code
    refused(remove(shop, clerk, group, strong), 403, "rights.exceeded")


def test_a_name_is_changed_and_members_are_dropped_by_user_1_alone(shop, first, clerk):
    """Else who is in a group of friends could call it as a rule does."""
    group, name = held(shop, first, clerk), f"g{secrets.token_hex(6)}"
    body = {"id": group, "name": name}
    refused(shop.call("PUT", UPDATE, clerk, json=body), 403, "rights.exceeded")
    gone = f"/admin/group-delete?id={group}"
    refused(shop.call("DELETE", gone, clerk), 403, "rights.exceeded")
    described = {"id": group, "description": "friends"}
    assert group == shop.message("PUT", UPDATE, clerk, json=described)

    assert group == shop.message("PUT", UPDATE, first, json=body)
    (row,) = shop.message("GET", f"/admin/group-read?name={name}", clerk)
    assert ("friends", 1) == (row["description"], row["members"])
    assert group == shop.message("DELETE", gone, first)
    assert set() == members(shop, group)


def test_names_are_unique_and_plain(shop, first, clerk):
    name = f"g{secrets.token_hex(6)}"
    group, other = make(shop, clerk, name), make(shop, first)
    again = shop.call("POST", CREATE, clerk, json={"name": name})
    refused(again, 409, "group.exists")
    renamed = shop.call("PUT", UPDATE, first, json={"id": other, "name": name})
    refused(renamed, 409, "group.exists")
    for wrong in ("", "Staff", "stаff", "a b", "x" * 64, "-a", "a\n"):
        answer = shop.call("POST", CREATE, clerk, json={"name": wrong})
        assert 422 == answer.status_code, wrong
    assert group == shop.message("DELETE", f"/admin/group-delete?id={group}", clerk)


def test_what_is_not_there_is_404(shop, first, clerk):
    group, ada, missing = held(shop, first, clerk), newcomer(shop), 2**62
    gone = type("Gone", (), {"id": missing})
    for answer in (
        add(shop, first, missing, ada),
        add(shop, first, group, gone),
        remove(shop, first, group, ada),
        shop.call("PUT", UPDATE, first, json={"id": missing, "description": "x"}),
        shop.call("DELETE", f"/admin/group-delete?id={missing}", first),
    ):
        refused(answer, 404, "row.missing")


def test_no_row_route_and_no_sql_of_a_caller_reaches_groups(shop, first):
    admin = newcomer(shop, api_access="1,2,3,4,5,6")
    group = make(shop, first)
    for name in ("group_member", "atom.group_member"):
        path = f"/admin/object-create?table={name}"
        row = {"group_id": group, "user_id": admin.id}
        assert 404 == shop.call("POST", path, admin, json=row).status_code
    insert = f"insert into atom.group_member (group_id, user_id) values ({group}, 1)"
    for who in (admin, first):
        body = {"query": insert}
        answer = shop.call("POST", "/admin/db-runner", who, json=body)
        assert answer.status_code in (400, 403), answer.text
    refused(shop.call("POST", CREATE, admin, json={"name": "x"}), 403, "access.denied")
    assert set() == members(shop, group)


def test_who_is_deleted_is_in_no_group(shop, first):
    group, ada = make(shop, first), newcomer(shop)
    assert 200 == add(shop, first, group, ada).status_code
    found = shop.message("GET", f"/admin/group-member-read?user_id={ada.id}", first)
    assert [(group, ada.username)] == [
        (row["group_id"], row["username"]) for row in found
    ]
    shop.message("DELETE", "/my/account-delete?mode=hard", ada)
    assert set() == members(shop, group)


def test_every_change_is_in_the_audit(shop, first, clerk):
    group, ada = held(shop, first, clerk), newcomer(shop)
    assert 200 == add(shop, clerk, group, ada).status_code
    assert 200 == remove(shop, clerk, group, ada).status_code
    path = "/admin/audit-read?table=atom.group_member"
    gone, added = shop.message("GET", f"{path}&limit=2", clerk)
    assert ["create", "delete"] == [added["action"], gone["action"]]
    for row, values in ((added, added["after"]), (gone, gone["before"])):
        assert clerk.id == row["created_by_id"]
        assert row["request_id"]
        assert (group, ada.id) == (values["group_id"], values["user_id"])
    made = shop.message(
        "GET", f"/admin/audit-read?table=atom.user_group&key={group}", clerk
    )
    assert ["create"] == [row["action"] for row in made]
    assert 1 == made[0]["created_by_id"]
