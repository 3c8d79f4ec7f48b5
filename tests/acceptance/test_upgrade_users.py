"""Users of an older version: names get the normal form, or are named as clashing."""

import json
import subprocess
import sys

import pytest

from tests.acceptance.conftest import opened
from tests.acceptance.people import PASSWORD, hashed
from tests.served import environment, serve

OLD = [  # id, type, username, email, mobile; as an older version took them
    (101, 1, "Grace", "Grace@Example.com", "00911234567"),
    (102, 1, "ＷＩＤＥ", None, "+91 98765-43210"),
    (103, 1, "Ada", None, None),
    (104, 1, "ADA", None, None),
    (105, 1, "bob", None, None),
    (106, 1, "Bob", None, None),
    (107, 2, "BOB", None, None),
    (108, 1, "smile\U0001f600", None, None),
    (109, 1, "eve", "x@bücher.example", None),
    (110, 1, "eve2", "X@bücher.example", None),
    (111, 1, "Two  Words", None, None),
]
NORMAL = {
    101: ("grace", "grace@example.com", "+911234567"),
    102: ("wide", None, "+919876543210"),
    103: ("Ada", None, None),
    104: ("ADA", None, None),
    105: ("bob", None, None),
    106: ("Bob", None, None),
    107: ("bob", None, None),
    108: ("smile\U0001f600", None, None),
    109: ("eve", "x@bücher.example", None),
    110: ("eve2", "X@bücher.example", None),
    111: ("Two  Words", None, None),
}


def stored(running):
    rows = running.sql(
        "select id, username, email, mobile from users where id > 100 order by id"
    )
    return {row["id"]: (row["username"], row["email"], row["mobile"]) for row in rows}


def login(running, username, type=1):
    body = {"type": type, "username": username, "password": PASSWORD}
    return running.call("POST", "/auth/login-password", json=body).status_code


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A database in which users are spelt as an older version took them."""
    folder = tmp_path_factory.mktemp("old") / ".atom"
    with serve(folder=folder) as served:
        running = opened(served)
        for row in OLD:
            running.sql(
                "insert into users (id, type, username, email, mobile, password)"
                " values ($1, $2, $3, $4, $5, $6)",
                *row,
                hashed(),
            )
        running.sql("update users set api_access = '1,2,3,4,5,6' where id = 1")
        marks = ["normal_names", "rights_update"]
        running.sql("delete from atom.marker where name = any($1)", marks)
        running.http.close()
    return folder


def clash(folder, *words):
    done = subprocess.run(
        [sys.executable, "main.py", "user", "clash", *words],
        env=environment({"config_atom_folder": str(folder)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def held_for_nobody_else(running, headers):
    """Check every way in: nobody takes the name that several users would have."""
    create = "/admin/object-create?table=users"
    update = "/admin/object-update?table=users"
    password = {"password": PASSWORD}
    upload = {"mode": "create", "table": "users"}
    for method, path, options in (
        ("POST", "/auth/signup", {"json": {"username": "ADa", **password}}),
        ("POST", create, {"json": {"type": 1, "username": "ada", **password}}),
        ("POST", create, {"json": {"type": 1, "email": "x@bücher.example"}}),
        ("PUT", update, {"json": {"id": 102, "username": "ada"}}),
        ("PUT", update, {"json": {"id": 103, "username": "ada"}}),  # 104 has it, too
        (
            "POST",
            "/root/postgres-import",
            {"data": upload, "files": {"file": ("u.csv", "type,username\n1,ada\n")}},
        ),
    ):
        who = running.root if path.startswith("/root") else headers
        answer = running.call(method, path, headers=who, **options)
        assert 409 == answer.status_code, (path, options, answer.text)
    body = {"username": "ADa", **password}
    answer = running.call("POST", "/auth/signup", json=body)
    assert "account.exists" == answer.json()["code"]
    for body in ({"id": 105, "name": "Bob"}, {"id": 105, "username": "bob"}):
        running.message("PUT", update, headers=headers, json=body)
    other = {"type": 2, "username": "ada", **password}
    made = running.message("POST", create, headers=headers, json=other)
    running.sql("delete from users where id = $1", made)


def test_old_rows_get_the_normal_form_and_clashes_are_named(old):
    """Nothing is guessed; who clashes logs in as they are spelt; a rename ends it."""
    with serve(folder=old) as served:
        running = opened(served)
        assert NORMAL == stored(running)
        log = served.log.read_text()
        for words in (
            "username 'ada' of type 1: user 103 'Ada', user 104 'ADA'",
            "username 'bob' of type 1: user 105 'bob', user 106 'Bob'",
            "email 'x@xn--bcher-kva.example' of type 1: user 109",
            "3 names of users clash",
        ):
            assert words in log, log
        for username in ("Ada", "ADA", "bob", "Bob", "GRACE", "smile\U0001f600"):
            assert 200 == login(running, username), username
        assert 401 == login(running, "ada")  # which of the two is not guessed
        assert 200 == login(running, "BOB", type=2)
        (first,) = running.sql("select api_access from users where id = 1")
        assert "1,2,3,4,5,6,8" == first["api_access"]
        found = clash(old)
        assert 3 == len(found)
        assert "username 'ada' of type 1: user 103 'Ada', user 104 'ADA'" in found
        assert {
            "kind": "username",
            "type": 1,
            "normal": "bob",
            "users": [[105, "bob"], [106, "Bob"]],
        } in [json.loads(line) for line in clash(old, "--json")]

        running.sql("update users set api_access = '1,2' where id = 101")
        body = {"username": "grace", "password": PASSWORD}
        token = running.message("POST", "/auth/login-password", json=body)
        held_for_nobody_else(running, {"Authorization": f"Bearer {token}"})
        for user_id, changes in (
            (104, {"username": "Ada Two"}),
            (106, {"username": "bob2"}),
            (110, {"email": None}),
        ):
            running.message(
                "PUT",
                "/admin/object-update?table=users",
                headers={"Authorization": f"Bearer {token}"},
                json={"id": user_id, **changes},
            )
        assert clash(old) == []
        running.http.close()
    with serve(folder=old) as served:
        running = opened(served)
        found = stored(running)
        assert ("ada", "ada two", "bob", "bob2") == tuple(
            found[user_id][0] for user_id in (103, 104, 105, 106)
        )
        assert "x@xn--bcher-kva.example" == found[109][1]
        assert "clash" not in served.log.read_text()
        assert 200 == login(running, "ADA")
        (mark,) = running.sql(
            "select count(*) from atom.marker where name = 'normal_names'"
        )
        assert 1 == mark["count"]
        running.http.close()
