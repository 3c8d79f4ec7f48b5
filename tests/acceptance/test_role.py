"""`config_role` and `require_role`: who has a role is asked of the database."""

import subprocess
import sys

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.served import environment

CONFIG = """
config_postgres_schema = {"table": {"staff": [
    "created_by_id-bigint-0-0", "user_id-bigint-1-btree", "role-text-1-0"]}}
config_role = {
    "reception": "select 1 from staff where user_id = :me and role = 'reception'",
    "doctor": "select 1 from staff where user_id = :me and role = 'doctor'",
}
config_api = {"/desk/kept": {"role": ["doctor", "reception"],
                             "cache_sec": ["inmemory", 60, "shared"]}}
config_table = {"staff": {"my": 0}}
"""
ROUTER = """
from extend import *

router = APIRouter()


@router.get("/desk", dependencies=[require_role("reception")])
async def desk():
    return "open"


@router.get("/desk/kept")
async def kept():
    return "kept"


@router.get("/desk/me")
async def who(caller: Annotated[dict, require_role("reception")]):
    return caller["id"]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A server with a role, and two routes that take it."""
    with serving(
        tmp_path_factory.mktemp("desk"),
        config_desk=CONFIG,
        router_desk="from typing import Annotated\n" + ROUTER,
    ) as running:
        yield running


def asked(api, path, who=None):
    answer = api.call("GET", path, who)
    return answer.status_code, answer.json().get("code", "")


def test_a_role_lets_in_who_has_it_now(desk):
    """A stranger 401, a user 403; with the row 200, without it 403 again, at once."""
    eve = desk.person()

    assert (401, "token.missing") == asked(desk, "/desk")
    assert (403, "role.denied") == asked(desk, "/desk", eve)
    desk.sql(f"insert into staff (user_id, role) values ({eve.id}, 'doctor')")
    assert (403, "role.denied") == asked(desk, "/desk", eve)
    desk.sql(f"update staff set role = 'reception' where user_id = {eve.id}")
    assert 200 == desk.call("GET", "/desk", eve).status_code
    assert eve.id == desk.call("GET", "/desk/me", eve).json()
    assert (403, "role.denied") == asked(desk, "/desk", desk.person())
    desk.sql(f"delete from staff where user_id = {eve.id}")
    assert (403, "role.denied") == asked(desk, "/desk", eve)


def test_role_of_config_api_is_asked_for_before_a_kept_answer_is_sent(desk):
    """One of the roles is enough; without a token 401; lost, it is lost at once."""
    eve = desk.person()

    assert (401, "token.missing") == asked(desk, "/desk/kept")
    assert (403, "role.denied") == asked(desk, "/desk/kept", eve)
    desk.sql(f"insert into staff (user_id, role) values ({eve.id}, 'doctor')")
    for hit in (None, "hit"):
        answer = desk.call("GET", "/desk/kept", eve)
        assert (200, hit) == (answer.status_code, answer.headers.get("x-cache"))
    desk.sql(f"delete from staff where user_id = {eve.id}")
    assert (403, "role.denied") == asked(desk, "/desk/kept", eve)


def test_explain_asks_for_the_roles_of_a_user(desk):
    """It names the role as what refuses, and lets in who has it."""
    eve = desk.person()
    path = f"/root/explain?path=/desk/kept&user_id={eve.id}"

    refused = desk.message("GET", path, "root")
    assert ("role", "role denied") == (refused["refused_by"], refused["reason"])
    desk.sql(f"insert into staff (user_id, role) values ({eve.id}, 'reception')")
    assert desk.message("GET", path, "root")["allowed"]


def test_docs_draw_a_lock(desk):
    """As on every route that needs a token."""
    paths = desk.call("GET", "/openapi.json").json()["paths"]

    for path in ("/desk", "/desk/kept"):
        assert [{"user": []}] == paths[path]["get"]["security"]


def test_a_role_that_cannot_be_asked_for_any_more_is_closed(desk):
    """A table changed by hand opens nothing; and nothing of SQL is shown."""
    eve = desk.person()
    desk.sql(f"insert into staff (user_id, role) values ({eve.id}, 'reception')")
    desk.sql("alter table staff rename column role to kind")
    try:
        answer = desk.call("GET", "/desk", eve)
        assert (503, "role.broken") == (answer.status_code, answer.json()["code"])
        assert "column" not in answer.text
    finally:
        desk.sql("alter table staff rename column kind to role")
    assert 200 == desk.call("GET", "/desk", eve).status_code


@pytest.mark.parametrize(
    ("config", "router", "words"),
    [
        ({"desk": "select 1 from nowhere where user_id = :me"}, "", "nowhere"),
        ({"desk": "delete from users"}, "", "expected a select"),
        ({"desk": "select 1 where :you = 1"}, "", ":you"),
        ({"Desk of": "select 1"}, "", "expected a name"),
        ({"Desk": "select 1"}, "", "expected a name"),
        ({"recption": "select 1"}, ROUTER, "config_role has no 'reception'"),
        (
            {"reception": "select 1"},
            "config_api = {'/': {'role': ['recepton']}}\n",
            "role: config_role has no 'recepton'. Did you mean 'reception'?",
        ),
        (
            {"reception": "select 1"},
            ROUTER + "config_api = {}\n",
            "cache_sec skips require_role",
        ),
    ],
)
def test_a_fault_stops_the_start(tmp_path, database, config, router, words):
    """It names a query that PostgreSQL or Atom cannot read, a role that is not
    declared, a cache before a role."""
    text = f"config_role = {config!r}\n"
    if router.startswith("config_api"):
        text, router = text + router, ""
    if "cache" in words:
        text += 'config_api = {"/desk": {"cache_sec": ["inmemory", 60]}}\n'
        router = router.replace("config_api = {}\n", "")
    dropped = {"config_desk": text}
    if router:
        dropped["router_desk"] = "from typing import Annotated\n" + router
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=copied(tmp_path, **dropped),
        env=environment({"config_postgres_url": database, "config_port": "0"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 != done.returncode
    told = done.stdout + done.stderr
    assert "config_role" in told or "/desk" in told
    assert words in told, told
    assert "Traceback" not in told


@pytest.fixture(scope="module")
def database(desk):
    """The database of the server above."""
    return desk.database
