"""Rights of users: one route writes them, and nobody grants what they do not hold."""

import json
import secrets
import time

import pytest

from tests.acceptance.people import PASSWORD, hashed, newcomer

RIGHTS = "/admin/user-rights-update"
CREATE = "/admin/object-create?table=users"
UPDATE = "/admin/object-update?table=users"
RIGHT_COLUMNS = ("is_active", "is_verified", "is_deleted", "is_protected", "api_access")
ALL = "1,2,3,4,5,6,8"


@pytest.fixture(scope="module")
def clerk(api):
    """An admin of rights who holds some ids."""
    return newcomer(api, api_access="2,5,8")


@pytest.fixture(scope="module")
def writer(api):
    """An admin with every id that writes rows."""
    return newcomer(api, api_access=ALL)


@pytest.fixture(scope="module")
def first(api):
    """User 1, logged in."""
    body = {"username": "root", "password": api.config["config_root_password"]}
    answer = api.call("POST", "/auth/login-password", json=body)
    assert 200 == answer.status_code, answer.text
    return type(
        "First",
        (),
        {
            "id": 1,
            "username": "root",
            "headers": {"Authorization": f"Bearer {answer.json()['message']}"},
        },
    )


def row(api, user_id):
    """Return a row of users, but for the note of the visit, which comes late."""
    (found,) = api.sql("select * from users where id = $1", user_id)
    del found["last_active_at"], found["updated_at"]
    return found


def put(api, who, user_id, **changes):
    return api.call("PUT", RIGHTS, who, json={"id": user_id, **changes})


def refused(answer, status, code):
    assert (status, code) == (answer.status_code, answer.json()["code"]), answer.text
    return answer.json()


class TestRoute:
    def test_rights_hold_at_once_and_so_does_taking_them_away(self, api, clerk):
        person = newcomer(api)
        path = "/admin/object-read?table=report_user"
        for access, status in (("5", 200), (None, 403), ([5, 2], 200), ("", 403)):
            answer = put(api, clerk, person.id, api_access=access)
            assert person.id == answer.json()["message"], answer.text
            assert status == api.call("GET", path, person).status_code
        assert row(api, person.id)["api_access"] is None

    def test_a_user_who_is_switched_off_is_refused_at_once(self, api, clerk):
        person = newcomer(api)
        for active, status in ((0, 403), (1, 200), (0, 403), (None, 200)):
            assert 200 == put(api, clerk, person.id, is_active=active).status_code
            assert status == api.call("GET", "/my/profile", person).status_code

    def test_only_its_id_opens_it(self, api, ada):
        admin = newcomer(api, api_access="1,2,3,4,5,6,7,9")
        for who in (ada, admin):
            refused(put(api, who, ada.id, api_access="5"), 403, "access.denied")
        refused(put(api, None, ada.id, api_access="5"), 401, "token.missing")

    def test_nobody_grants_what_they_do_not_hold(self, api, clerk):
        person = newcomer(api)
        found = refused(
            put(api, clerk, person.id, api_access="2,5,6"), 403, "rights.exceeded"
        )
        assert "6" in found["message"]
        assert row(api, person.id)["api_access"] is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"api_access": None},
            {"api_access": "1,2"},
            {"is_active": 0},
            {"type": 2},
            {"is_deleted": 1},
        ],
        ids=repr,
    )
    def test_nobody_stands_above_who_holds_more(self, api, clerk, changes):
        person = newcomer(api, api_access="1,2")
        before = row(api, person.id)
        refused(put(api, clerk, person.id, **changes), 403, "rights.exceeded")
        assert before == row(api, person.id)

    @pytest.mark.parametrize("column", [*RIGHT_COLUMNS, "type"])
    def test_nobody_changes_their_own_or_those_of_user_1(
        self, api, clerk, first, column
    ):
        given = "5" if column == "api_access" else 0
        for who in (clerk, first):
            for user_id in {who.id, 1}:
                before = row(api, user_id)
                refused(put(api, who, user_id, **{column: given}), 403, "rights.own")
                after = row(api, user_id)
                assert before[column] == after[column]

    def test_user_1_holds_everything(self, api, first):
        person = newcomer(api, api_access="77")
        assert 200 == put(api, first, person.id, api_access="88,99").status_code
        assert "88,99" == row(api, person.id)["api_access"]

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"password": "x" * 9},
            {"username": "x"},
            {"api_access": "1,x"},
            {"api_access": ["x"]},
            {"is_active": 2},
            {"is_active": True},
            {"nope": 1},
            {"role": "x"},
            {"status": 1},
            {"type": None},
            {"type": 2**40},
        ],
        ids=repr,
    )
    def test_what_it_does_not_take_is_refused(self, api, clerk, changes):
        person = newcomer(api)
        before = row(api, person.id)
        assert put(api, clerk, person.id, **changes).status_code in {400, 422}
        assert before == row(api, person.id)

    def test_a_user_who_is_not_there(self, api, clerk):
        refused(put(api, clerk, 2**40, is_active=0), 404, "row.missing")

    def test_it_is_in_the_audit_log(self, api, clerk):
        person = newcomer(api)
        put(api, clerk, person.id, api_access="5,2", is_active=1)
        put(api, clerk, person.id, is_active=1)
        (found,) = api.sql("select * from atom.audit where user_id = $1", person.id)
        assert clerk.id == found["created_by_id"]
        assert {"api_access": None, "is_active": None} == json.loads(found["before"])
        assert {"api_access": "2,5", "is_active": 1} == json.loads(found["after"])

    def test_two_admins_who_switch_each_other_off(self, api):
        from concurrent.futures import ThreadPoolExecutor

        one, two = (newcomer(api, api_access="8") for _ in range(2))
        with ThreadPoolExecutor(2) as pool:
            calls = [
                pool.submit(put, api, who, other.id, is_active=0)
                for who, other in ((one, two), (two, one))
            ]
            statuses = sorted(each.result().status_code for each in calls)
        assert statuses in ([200, 200], [200, 403])


def by_create(api, who, column, value):
    name = f"x{secrets.token_hex(6)}"
    body = {"type": 1, "username": name, column: value}
    return api.call("POST", CREATE, who, json=body), name


def by_list(api, who, column, value):
    name = f"x{secrets.token_hex(6)}"
    body = [{"type": 1, "username": name, column: value}]
    return api.call("POST", CREATE, who, json=body), name


def by_typed(api, who, column, value):
    name = f"x{secrets.token_hex(6)}"
    body = {"type": 1, "username": name, column: value}
    return api.call("POST", "/admin/rows/users", who, json=body), name


def by_upsert(mode):
    def way(api, who, column, value):
        name = newcomer(api).username if mode == "merge" else f"x{secrets.token_hex(6)}"
        body = {"type": 1, "username": name, column: value}
        path = f"{CREATE}&on_conflict=type,username&mode={mode}"
        return api.call("POST", path, who, json=body), name

    return way


def by_update(path):
    def way(api, who, column, value):
        person = newcomer(api)
        body = {"id": person.id, column: value}
        return api.call("PUT", path, who, json=body), person.username

    return way


def by_update_list(api, who, column, value):
    person = newcomer(api)
    body = [{"id": person.id, "name": "x", column: value}]
    return api.call("PUT", UPDATE, who, json=body), person.username


def by_ids(api, who, column, value):
    person = newcomer(api)
    body = {"table": "users", "ids": [person.id], "column": column, "value": value}
    return api.call("PUT", "/admin/ids-update", who, json=body), person.username


CREATES = {
    "create": by_create,
    "list": by_list,
    "typed": by_typed,
    "ignore": by_upsert("ignore"),
}
UPDATES = {
    "merge": by_upsert("merge"),
    "update": by_update(UPDATE),
    "typed": by_update("/admin/rows/users"),
    "list": by_update_list,
    "ids": by_ids,
}
VALUES = {"api_access": "2", "is_active": 0, "password": "correct horse 2"}


@pytest.mark.parametrize("spell", [str, str.upper, "{} ".format])
@pytest.mark.parametrize("column", RIGHT_COLUMNS)
@pytest.mark.parametrize("way", CREATES)
def test_no_row_route_creates_rights(api, writer, way, column, spell):
    answer, name = CREATES[way](api, writer, spell(column), VALUES.get(column, 1))
    refused(answer, 400, "row.managed_column")
    assert [] == api.sql("select from users where username = $1", name)


@pytest.mark.parametrize("spell", [str, str.upper, " {}".format])
@pytest.mark.parametrize(
    "column", [*RIGHT_COLUMNS, "type", "password", "password_bigint", "google_id"]
)
@pytest.mark.parametrize("way", UPDATES)
def test_no_row_route_changes_rights_or_passwords(api, writer, way, column, spell):
    if (way, column) == ("merge", "type"):
        column = "is_active"  # type is part of the key there
    answer, name = UPDATES[way](api, writer, spell(column), VALUES.get(column, 1))
    refused(answer, 400, "row.managed_column")
    (found,) = api.sql("select * from users where username = $1", name)
    assert (None, 1, hashed()) == (
        found["api_access"],
        found["type"],
        found["password"],
    )
    assert found["is_active"] is None


def test_a_new_user_has_a_type_and_a_password(api, writer):
    name = f"x{secrets.token_hex(6)}"
    body = {"type": 1, "username": name, "password": PASSWORD}
    api.message("POST", CREATE, writer, json=body)
    login = {"username": name, "password": PASSWORD}
    assert 200 == api.call("POST", "/auth/login-password", json=login).status_code


@pytest.mark.parametrize("table", ["log_api", "log_password", "otp"])
def test_traces_are_not_written_by_an_admin(api, writer, table):
    """Nor are keys to accounts: a row of otp would be one."""
    deadline = time.monotonic() + 30
    newcomer(api)
    while not api.sql("select from log_api limit 1"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answers = [
        api.call("POST", f"/admin/object-create?table={table}", writer, json={"x": 1}),
        api.call("PUT", f"/admin/object-update?table={table}", writer, json={"id": 1}),
        api.call(
            "PUT",
            "/admin/ids-update",
            writer,
            json={"table": table, "ids": [1], "column": "created_at", "value": None},
        ),
        api.call(
            "DELETE", "/admin/ids-delete", writer, json={"table": table, "ids": [1]}
        ),
        api.call("POST", f"/admin/rows/{table}", writer, json={"x": 1}),
    ]
    for answer in answers:
        refused(answer, 403, "row.table_not_allowed")


@pytest.mark.parametrize(
    "query",
    [
        "update users set is_active = 0 where id = 1",
        "update users set api_access = '1' where id = {0}",
        "update users set (name, type) = ('x', 2) where id = {0}",
        "update users set google_id = 'x' where id = {0}",
        "update users set is_deleted = 1 where id = {0}",
        "insert into users (type, username, api_access) values (1, 'sql', '1')",
        "insert into users (type, username, is_verified) values (1, 'sql', 1)",
        "delete from log_api",
        "update log_api set api = 'x'",
        "insert into log_api (created_at) values (now())",
        "delete from log_password",
        "insert into otp (created_at, email) values (now(), 'a@example.com')",
    ],
)
def test_user_1_writes_neither_rights_nor_traces_as_sql(api, first, query):
    person = newcomer(api)
    before = row(api, person.id), row(api, 1)["is_active"]
    body = {"query": query.format(person.id)}
    answer = api.call("POST", "/admin/db-runner", first, json=body)
    assert 403 == answer.status_code, answer.text
    assert before == (row(api, person.id), row(api, 1)["is_active"])
    body = {"query": f"update users set name = 'by sql' where id = {person.id}"}
    api.message("POST", "/admin/db-runner", first, json=body)
    assert "by sql" == row(api, person.id)["name"]


REACH = {
    "update": lambda api, who, one: api.call(
        "PUT", UPDATE, who, json={"id": one.id, "email": f"{one.username}@x.com"}
    ),
    "list": lambda api, who, one: api.call(
        "PUT", UPDATE, who, json=[{"id": one.id, "username": f"x{one.username}"}]
    ),
    "ids": lambda api, who, one: api.call(
        "PUT",
        "/admin/ids-update",
        who,
        json={"table": "users", "ids": [one.id], "column": "mobile", "value": "+12345"},
    ),
    "one": lambda api, who, one: api.call(
        "PATCH", f"/admin/rows/users/{one.id}", who, json={"username": "x"}
    ),
    "merge": lambda api, who, one: api.call(
        "POST",
        f"{CREATE}&on_conflict=type,username&mode=merge",
        who,
        json={"type": 1, "username": one.username, "email": "x@example.com"},
    ),
    "delete": lambda api, who, one: api.call(
        "DELETE", "/admin/ids-delete", who, json={"table": "users", "ids": [one.id]}
    ),
    "delete one": lambda api, who, one: api.call(
        "DELETE", f"/admin/rows/users/{one.id}", who
    ),
}


@pytest.mark.parametrize("way", REACH)
def test_who_holds_more_is_not_reached(api, way):
    """A new e-mail or name would be a way into their account; deleting them as well."""
    clerk = newcomer(api, api_access="1,2,3,4")
    other = newcomer(api, api_access="1,2, 5")
    before = row(api, other.id)
    answer = REACH[way](api, clerk, other)
    assert answer.status_code in {404, 409} or 0 == answer.json()["message"]
    assert before == row(api, other.id)


@pytest.mark.parametrize("way", REACH)
def test_user_1_is_reached_by_no_one_else(api, first, way):
    """They may do more than any api id opens: write by their own SQL."""
    (one,) = api.sql("select api_access from users where id = 1")
    clerk = newcomer(api, api_access=one["api_access"])
    before = row(api, 1)
    answer = REACH[way](api, clerk, first)
    assert answer.status_code in {404, 409} or 0 == answer.json()["message"]
    assert before == row(api, 1)


@pytest.mark.parametrize("way", REACH)
def test_who_holds_as_much_or_less_is_reached(api, first, way):
    clerk = newcomer(api, api_access="1,2,3,4")
    for access, who in ((None, clerk), ("4,2", clerk), ("5,6", first)):
        other = newcomer(api, api_access=access)
        answer = REACH[way](api, who, other)
        assert 200 == answer.status_code, answer.text
        found = api.sql("select * from users where id = $1", other.id)
        assert "delete" in way or found[0]["updated_by_id"] == who.id
        assert ("delete" in way) is (not found)
        api.sql(
            "update users set mobile = null, email = null, username = id::text"
            " where id = $1",
            other.id,
        )


@pytest.mark.parametrize("way", ["delete", "delete one"])
def test_no_admin_deletes_themself(api, first, way):
    clerk = newcomer(api, api_access="1,2,3,4")
    for who in (clerk, first):
        answer = REACH[way](api, who, who)
        assert answer.status_code in {403, 404, 409} or 0 == answer.json()["message"]
        assert api.sql("select from users where id = $1", who.id)
