"""The recipes of docs/rules.md, each served as the page shows it."""

import json
import re
import subprocess
import sys

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.served import ROOT, environment, serve

PAGE = (ROOT / "docs" / "rules.md").read_text()
RECIPES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A checkout with all recipes in it."""
    return copied(tmp_path_factory.mktemp("rules"), **RECIPES)


@pytest.fixture(scope="module")
def api(code):
    """A server with all recipes."""
    with serve(code=code) as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def ada(api):
    """A user."""
    return newcomer(api)


@pytest.fixture(scope="module")
def bob(api):
    """Another user."""
    return newcomer(api)


def made(api, table, who, **row):
    return api.message("POST", f"/my/object-create?table={table}", who, json=row)


def read(api, table, who, tier="my", more=""):
    return api.message("GET", f"/{tier}/object-read?table={table}{more}", who)


def changed(api, table, who, **row):
    answer = api.call("PUT", f"/my/object-update?table={table}", who, json=row)
    return answer.status_code


def deleted(api, table, who, id):
    body = {"table": table, "ids": [id]}
    return api.message("DELETE", "/my/ids-delete", who, json=body)


def test_own_rows(api, ada, bob):
    """A page of the diary is there for its writer alone."""
    page = made(api, "diary", ada, title="dear diary")

    assert [page] == [row["id"] for row in read(api, "diary", ada)]
    assert [] == read(api, "diary", bob)
    assert 404 == changed(api, "diary", bob, id=page, title="mine")
    assert 0 == deleted(api, "diary", bob, page)
    assert 1 == deleted(api, "diary", ada, page)


def test_teams(api, ada, bob):
    """Members share tasks, the lead deletes, who leaves is out at once."""
    eve = newcomer(api)
    members = "insert into member (team_id, user_id, is_lead) values"
    api.sql(f"{members} (1, {ada.id}, 1), (1, {bob.id}, null), (2, {eve.id}, 1)")
    task = made(api, "task", bob, team_id=1, title="paint")

    assert [task] == [row["id"] for row in read(api, "task", ada)]
    assert [] == read(api, "task", eve)
    assert 200 == changed(api, "task", ada, id=task, state="done")
    assert 404 == changed(api, "task", eve, id=task, state="open")
    refused = changed(api, "task", ada, id=task, team_id=2)
    assert 400 <= refused < 500
    path = "/my/object-create?table=task"
    other = api.call("POST", path, ada, json={"team_id": 2, "title": "theirs"})
    assert 400 <= other.status_code < 500
    joined = api.call(
        "POST", "/my/object-create?table=member", eve, json={"team_id": 1}
    )
    assert 400 <= joined.status_code < 500
    assert 0 == deleted(api, "task", bob, task)
    api.sql(f"delete from member where user_id = {bob.id}")
    assert [] == read(api, "task", bob)
    assert 1 == deleted(api, "task", ada, task)


def test_public_catalogue_with_private_columns(api, ada, bob):
    """Strangers see what is listed and never its cost; the owner sees all."""
    tea = made(api, "product", ada, name="tea", price=5, cost=1, is_listed=1)
    gin = made(api, "product", ada, name="gin", price=9, cost=2, is_listed=0)

    assert [{"id": tea, "name": "tea", "price": 5}] == read(
        api, "product", None, "public"
    )
    for more in ("&cost=>,0", "&order=cost", "&column=cost", "&aggregate=sum(cost)"):
        path = f"/public/object-read?table=product{more}"
        assert 400 == api.call("GET", path).status_code, more
    assert {tea, gin} == {row["id"] for row in read(api, "product", ada)}
    assert [] == read(api, "product", bob)


def test_tenants(api, ada, bob):
    """Each company sees its own contracts; a new one is stamped with the company."""
    api.sql(
        "insert into company (id, name) overriding system value"
        " values (1, 'one'), (2, 'two')"
    )
    hired = "insert into employee (company_id, user_id) values"
    api.sql(f"{hired} (1, {ada.id}), (2, {bob.id})")
    api.sql("insert into contract (company_id, title) values (2, 'theirs')")
    contract = made(api, "contract", ada, title="ours")

    assert [contract] == [row["id"] for row in read(api, "contract", ada)]
    assert [1] == [row["company_id"] for row in read(api, "contract", ada)]
    assert ["theirs"] == [row["title"] for row in read(api, "contract", bob)]
    assert ["two"] == [row["name"] for row in read(api, "company", bob)]
    path = "/my/object-create?table=contract"
    other = api.call("POST", path, ada, json={"title": "x", "company_id": 2})
    assert 400 <= other.status_code < 500
    api.sql(f"{hired} (2, {ada.id})")  # two companies: the body names one
    assert 400 <= api.call("POST", path, ada, json={"title": "x"}).status_code < 500
    assert (
        200
        == api.call("POST", path, ada, json={"title": "x", "company_id": 2}).status_code
    )


def test_roles(api, ada, bob):
    """A clerk decides what is new, ten at most; who was removed decides nothing."""
    refund = made(api, "refund", ada, amount=10)

    assert ["new"] == [row["state"] for row in read(api, "refund", ada)]
    assert [] == read(api, "refund", bob)
    path = "/my/object-create?table=refund"
    sent = api.call("POST", path, ada, json={"amount": 1, "state": "paid"})
    assert 400 <= sent.status_code < 500
    assert 400 <= changed(api, "refund", ada, id=refund, state="paid") < 500
    api.sql(f"insert into clerk (user_id) values ({bob.id})")
    assert 400 <= changed(api, "refund", bob, id=refund, state="lost") < 500
    assert 200 == changed(api, "refund", bob, id=refund, state="paid")
    assert [bob.id] == [row["decided_by_id"] for row in read(api, "refund", bob)]
    other = made(api, "refund", ada, amount=20)
    api.sql("delete from clerk")
    assert 400 <= changed(api, "refund", bob, id=other, state="paid") < 500


def command(code, *words):
    done = subprocess.run(
        [sys.executable, "main.py", *words],
        cwd=code,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_groups(api, ada, bob):
    """Members of the group see the bookings, from the next request on."""
    api.sql("insert into booking (title) values ('table for two')")
    (group,) = api.sql(
        "insert into atom.user_group (name) values ('staff') returning id"
    )
    assert [] == read(api, "booking", ada)
    insert = "insert into atom.group_member (group_id, user_id) values ($1, $2)"
    api.sql(insert, group["id"], ada.id)
    assert ["table for two"] == [row["title"] for row in read(api, "booking", ada)]
    assert [] == read(api, "booking", bob)


def test_policy_prints_every_rule(code):
    """Each table, tier and verb; the same as JSON."""
    words = command(code, "policy")
    told = json.loads(command(code, "policy", "--json"))

    assert "delete  where team_id in my_lead" in words
    assert "tenant: every table with company_id" in words
    assert {"public", "my", "admin"} == set(told["table"]["refund"])
    update = told["table"]["refund"]["my"]["update"]
    assert (["clerk"], 10, ["state"]) == (
        update["role"],
        update["most"],
        update["column"],
    )
    assert {"decided_by_id": ":me"} == update["preset"]
    assert told["table"]["refund"]["my"]["delete"] is None
    assert told["table"]["clerk"]["my"]["read"] is None
    assert "created_by_id" in told["table"]["diary"]["my"]["read"]["where"]


def test_explain_shows_what_each_condition_is_for_a_row(api, ada, bob):
    """And who is let in; nothing changes by asking."""
    eve = newcomer(api)
    api.sql(
        "insert into member (team_id, user_id, is_lead) values"
        f" (7, {ada.id}, 1), (7, {eve.id}, null)"
    )
    task = made(api, "task", ada, team_id=7, title="explain")
    path = f"/root/explain?table=task&id={task}&verb="

    read_it = api.message("GET", f"{path}read&user_id={eve.id}", "root")
    assert read_it["allowed"] is True
    assert sorted([ada.id, eve.id]) == read_it["users"]
    (where,) = read_it["conditions"]
    assert ("where", "team_id in my_team", True) == (
        where["condition"],
        where["declared"],
        where["row"],
    )
    assert "member" in where["sql"] and ":me" in where["sql"]
    delete = api.message("GET", f"{path}delete&user_id={eve.id}", "root")
    assert (False, "where") == (delete["allowed"], delete["refused_by"])
    assert [ada.id] == delete["users"]
    closed = api.message("GET", "/root/explain?table=clerk&verb=read", "root")
    assert (False, False) == (closed["open"], closed["allowed"])
    missing = api.call(
        "GET", f"/root/explain?table=task&verb=read&id=0&user_id={bob.id}", "root"
    )
    assert 404 == missing.status_code
    assert 401 == api.call("GET", f"{path}read", ada).status_code
