"""One normal form for usernames, e-mail and mobile numbers, on every way in."""

import json
import secrets

import pytest

from tests.acceptance.people import PASSWORD, hashed, newcomer

USERS = "/admin/object-create?table=users"


def wide(text):
    """Return ASCII letters and digits in the wide forms of East Asian scripts."""
    return "".join(
        chr(ord(each) + 0xFEE0) if each.isascii() and each.isalnum() else each
        for each in text
    )


def fresh():
    """Return a new username in capitals."""
    return "N" + secrets.token_hex(6).upper()


@pytest.fixture(scope="module")
def admin(api):
    """A user who may create, change and read."""
    return newcomer(api, api_access="1,2,3,5")


def stored(api, column, user_id):
    (row,) = api.sql(f"select {column} from users where id = $1", user_id)
    return row[column]


def login(api, column, value):
    path = {"username": "password"}.get(column, f"password-{column}")
    body = {column: value, "password": PASSWORD}
    return api.call("POST", f"/auth/login-{path}", json=body)


class TestSignUp:
    def test_case_and_width_do_not_make_another_account(self, api):
        name = fresh()
        body = {"username": name, "password": PASSWORD}
        assert 200 == api.call("POST", "/auth/signup", json=body).status_code
        for other in (name.lower(), wide(name), wide(name.lower()), f" {name} "):
            body = {"username": other, "password": PASSWORD}
            assert 409 == api.call("POST", "/auth/signup", json=body).status_code, other
            assert 200 == login(api, "username", other).status_code, other

    @pytest.mark.parametrize(
        "name", ["a\u200bb", "a™", "a  b", "\u2177", "a\u00adb", "a\u05d0", "a\tb"]
    )
    def test_what_the_profile_refuses_is_named(self, api, name):
        body = {"username": name, "password": PASSWORD}
        answer = api.call("POST", "/auth/signup", json=body)
        assert 400 == answer.status_code
        assert "identity.unreadable" == answer.json()["code"]

    def test_words_have_a_blank_between_them(self, api):
        first, second = fresh(), fresh()
        body = {"username": f"{first} {second}", "password": PASSWORD}
        assert 200 == api.call("POST", "/auth/signup", json=body).status_code
        assert 200 == login(api, "username", f"{first} {second}".lower()).status_code


KINDS = {
    "username": (fresh, str.lower),
    "email": (lambda: f"{fresh()}@Bücher.Example", None),
    "mobile": (lambda: f"00{secrets.randbelow(10**9) + 10**10}", None),
}


def normal(column, text):
    if column == "username":
        return text.lower()
    if column == "email":
        return text.lower().replace("bücher", "xn--bcher-kva")
    return "+" + text[2:]


def spellings(column, text):
    """Return other spellings of one value."""
    yield text
    yield f" {text} "
    yield wide(text)
    if column == "mobile":
        yield f"+{text[2:5]} ({text[5:8]}) {text[8:10]}-{text[10:]}"
    else:
        yield text.upper()
        yield text.lower()


def by_create(api, admin, column, text):
    body = {"type": 1, "username": fresh(), "password": PASSWORD, column: text}
    return api.call("POST", USERS, admin, json=body)


def by_list(api, admin, column, text):
    body = {"type": 1, "username": fresh(), "password": PASSWORD, column: text}
    return api.call("POST", USERS, admin, json=[body])


def by_typed(api, admin, column, text):
    body = {"type": 1, "username": fresh(), "password": PASSWORD, column: text}
    return api.call("POST", "/admin/rows/users", admin, json=body)


def by_update(api, admin, column, text):
    body = {"id": newcomer(api).id, column: text}
    return api.call("PUT", "/admin/object-update?table=users", admin, json=body)


def by_update_list(api, admin, column, text):
    body = [{"id": newcomer(api).id, column: text}]
    return api.call("PUT", "/admin/object-update?table=users", admin, json=body)


def by_ids(api, admin, column, text):
    ids = [newcomer(api).id]
    body = {"table": "users", "ids": ids, "column": column, "value": text}
    answer = api.call("PUT", "/admin/ids-update", admin, json=body)
    return answer if answer.status_code != 200 else ids[0]


def by_upsert(api, admin, column, text):
    body = {"type": 1, column: text, "name": "first"}
    path = f"{USERS}&on_conflict=type,{column}&mode=merge"
    return api.call("POST", path, admin, json=body)


def by_file(kind):
    def way(api, admin, column, text):
        row = {"type": "1", column: text, "password": hashed()}
        if column != "username":
            row["username"] = fresh()
        if kind == "csv":
            quoted = (f'"{each}"' for each in row.values())
            file = f"{','.join(row)}\n{','.join(quoted)}\n"
        else:
            file = json.dumps(row | {"type": 1}) + "\n"
        answer = api.call(
            "POST",
            "/root/postgres-import",
            "root",
            data={"mode": "create", "table": "users", "format": kind},
            files={"file": (f"users.{kind}", file.encode())},
        )
        if answer.status_code != 200:
            return answer
        (row,) = api.sql("select max(id) as id from users")
        return row["id"]

    return way


WAYS = {
    "create": by_create,
    "list": by_list,
    "typed": by_typed,
    "update": by_update,
    "update of a list": by_update_list,
    "ids-update": by_ids,
    "upsert": by_upsert,
    "csv": by_file("csv"),
    "jsonl": by_file("jsonl"),
}


@pytest.mark.parametrize("column", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_stores_the_normal_form(api, admin, way, column):
    """It logs in by any spelling, and no other spelling is a second account."""
    text = KINDS[column][0]()
    made = WAYS[way](api, admin, column, text)
    if not isinstance(made, int):
        assert 200 == made.status_code, made.text
        made = made.json()["message"]
        made = made[0] if isinstance(made, list) else made
    assert normal(column, text) == stored(api, column, made)
    if way != "upsert":
        for spelling in spellings(column, text):
            assert 200 == login(api, column, spelling).status_code, spelling
    for other in WAYS:
        again = WAYS[other](api, admin, column, text.lower())
        if other == "upsert":
            assert made == again.json()["message"], again.text
        else:
            assert not isinstance(again, int), other
            assert 409 == again.status_code, (other, again.text)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_import_names_the_rule_a_name_breaks(api, admin, kind):
    answer = by_file(kind)(api, admin, "username", "a™")
    assert 400 == answer.status_code
    message = answer.json()["message"]
    assert message.startswith(f"line {1 + (kind == 'csv')}, column username: must have")


def test_a_row_older_than_the_normal_form_logs_in_as_it_is(api):
    name = fresh()
    insert = "insert into users (type, username, password) values (1, $1, $2)"
    api.sql(insert, name, hashed())
    assert 200 == login(api, "username", name).status_code
