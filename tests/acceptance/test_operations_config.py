"""Where config comes from, and the servers one brings along: uvicorn's, a database."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import embedded
from embedded.postgres import address
from tests.acceptance.checkout import copied
from tests.acceptance.operations import (
    ALONE,
    connected,
    eventually,
    family,
    hands,
    run_sql,
    running,
    still,
)
from tests.served import environment, free_port, serve

TOLD = '''
from extend import *

router = APIRouter()
NAMES = """config_app_version config_limit_read_max config_batch_log_api
config_body_max_kb config_batch_object_create config_postgres_max_connection
config_column_secret_list config_signup_type_list config_table_allowed_public_read_list
config_own""".split()


@router.get("/told")
async def told():
    return {name: config.get(name) for name in NAMES}
'''
LAYERS = {
    "config_a": """
config_limit_read_max = 1
config_batch_log_api = 1
config_batch_object_create = 1
config_body_max_kb = 1
config_postgres_max_connection = 1
config_own = {"a": 1}
""",
    "config_b": """
config_batch_log_api = 2
config_column_secret_list = ["password", "password_bigint", "note"]
CONFIG_SIGNUP_TYPE_LIST = [1, 2]
""",
    "config__a": """
config_batch_object_create = 3
config_body_max_kb = 3
config_postgres_max_connection = 3
""",
}
DOTENV = """
config_body_max_kb=40
CONFIG_POSTGRES_MAX_CONNECTION=40
config_table_allowed_public_read_list=test, message
"""


class TestLayers:
    def test_later_layer_wins(self, tmp_path):
        """Defaults, config*.py, config/*.py, .env, environment; names in any case; PORT
        means config_port; lists as text or as lists."""
        code = copied(tmp_path, router_told=TOLD, **LAYERS)
        (code / ".env").write_text(DOTENV)
        port = free_port()
        values = {"CONFIG_POSTGRES_MAX_CONNECTION": "50", "PORT": str(port)}
        drop = ["env", "-u", "config_port", "-u", "config_postgres_max_connection"]
        with serve(
            values, code=code, port=port, command=(*drop, sys.executable, "main.py")
        ) as served:
            with connected(served.url) as http:
                told = http.get("/told").json()

        assert {
            "config_app_version": "0.1.0",
            "config_limit_read_max": 1,
            "config_batch_log_api": 2,
            "config_batch_object_create": 3,
            "config_body_max_kb": 40,
            "config_postgres_max_connection": 50,
            "config_column_secret_list": ["password", "password_bigint", "note"],
            "config_signup_type_list": [1, 2],
            "config_table_allowed_public_read_list": ["test", "message"],
            "config_own": {"a": 1},
        } == told


UVICORN = (sys.executable, "-m", "uvicorn", "main:app")


def held_by(api):
    """Return the process that runs the private database."""
    return json.loads(Path(api.config["config_atom_folder"], "run.json").read_text())[
        "pid"
    ]


class TestUvicorn:
    """`uvicorn main:app` in a fresh folder."""

    @pytest.mark.parametrize("workers", [1, 2])
    def test_serves_and_ends(self, tmp_path, workers):
        """It serves, one sees each row, and SIGTERM ends all of it."""
        port = free_port()
        how = ("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers))
        with running(
            tmp_path, config=ALONE, port=port, command=(*UVICORN, *how)
        ) as api:
            before = family(api.process.pid)
            who = api.person()
            with hands(api.url, workers) as each:
                for hand in each:
                    for _ in range(20):
                        assert 200 == hand.ask("/my/profile?x=each", who).status_code
                holder = held_by(api)
                path = "/ops/slow-row?title=late&seconds=1.5&is_background=1"
                late = [hand for hand in each if hand.pid != holder or workers == 1]
                assert 1 == len(late)
                assert 200 == late[0].ask(path, method="POST").status_code
            logins = api.log.read_text().count("  root user  ")
            folder = Path(api.config["config_atom_folder"])
            api.process.send_signal(signal.SIGTERM)
            code = api.process.wait(20)
            eventually(lambda: not still(before), 10)
            said = api.log.read_text()
            config = {"config_atom_folder": str(folder)}
            with embedded.provided(config, tmp_path, join=False, workers=1) as found:
                api.database = found["config_postgres_url"]
                text = "select count(*) n from log_api where query_param = 'x=each'"
                logged = api.sql(text)[0]["n"]
                rows = api.sql("select count(*) n from test where title = 'late'")

        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in said, said
        assert 20 * workers == logged
        assert 1 == rows[0]["n"]
        assert 1 == logins

    def test_fault_ends_its_workers_too(self, tmp_path):
        """A worker that cannot start is not started again and again."""
        code = copied(tmp_path, config__bad="config_limit_read_max = 'many'\n")
        port = free_port()
        done = subprocess.run(
            [*UVICORN, "--port", str(port), "--workers", "2"],
            cwd=code,
            env=environment({"config_atom_folder": str(code / "own")}),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        said = done.stdout + done.stderr

        assert "config_limit_read_max in config/bad.py" in said
        assert "Traceback" not in said, said
        assert said.count("config_limit_read_max") <= 4


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A PostgreSQL that is not the server's own: three databases, as URLs."""
    folder = tmp_path_factory.mktemp("outside")
    with embedded.provided({}, folder, join=False, workers=1) as found:
        own = folder / embedded.folder.NAME
        words = json.loads((own / "postgres.json").read_text())
        note = (own / "postgres/postmaster.pid").read_text().splitlines()
        boss = address(Path(note[4]), "postgres", words["superuser"], "postgres")
        for name in ("other", "third"):
            run_sql(boss, f"create database {name} owner atom")
        first = found["config_postgres_url"]
        yield first, *(first.replace("/atom?", f"/{n}?") for n in ("other", "third"))


class TestOutside:
    """A database somebody else runs; these tests build on one another."""

    def test_schema_is_the_operators_act(self, tmp_path, outside):
        """Without tables nothing is a fault; /root/postgres-init makes them."""
        with running(
            tmp_path, {"config_postgres_url": outside[0]}, config=ALONE
        ) as api:
            tables = "select count(*) n from pg_tables where schemaname = 'public'"
            assert 0 == api.sql(tables)[0]["n"]
            body = {"type": 1, "username": "before", "password": "long enough"}
            asked = [
                api.call("GET", "/"),
                api.call("GET", "/public/info"),
                api.call("GET", "/root/reset-global", "root"),
                api.call("GET", "/root/postgres-init?mode=plan", "root"),
                api.call("GET", "/public/object-read?table=test"),
                api.call(
                    "POST", "/public/object-create?table=test", json={"title": "x"}
                ),
                api.call("POST", "/auth/signup", json=body),
                api.call("POST", "/auth/login-password", json=body),
            ]
            codes = [answer.status_code for answer in asked]
            assert [200] * 4 == codes[:4]
            assert 500 not in codes, [answer.text for answer in asked]
            assert min(codes[4:]) >= 400

            assert "done" == api.message("GET", "/root/postgres-init", "root")
            who = api.person()
            row = api.message(
                "POST", "/my/object-create?table=test", who, json={"title": "first"}
            )
            path = f"/my/object-read?table=test&id==,{row}&column=id"
            assert [{"id": row}] == api.message("GET", path, who)
            eventually(lambda: api.sql("select count(*) n from log_api")[0]["n"] > 0)

    def test_root_login_is_told_once(self, tmp_path, outside):
        """Made by the operator's init: in the log, good for a login, not told again."""
        values = {"config_postgres_url": outside[2], "config_root_password": ""}
        with running(tmp_path, values, config=ALONE) as api:
            for _ in range(2):
                assert "done" == api.message("GET", "/root/postgres-init", "root")
            told = re.findall(
                r"password  (\S+)   \(shown only once\)", api.log.read_text()
            )
            assert 1 == len(told)
            body = {"type": 1, "username": "root", "password": told[0]}
            assert api.message("POST", "/auth/login-password", json=body)

    def test_schema_is_applied_when_asked_for(self, tmp_path, outside):
        """config_is_postgres_init=1, with two workers, on an empty database."""
        values = {
            "config_postgres_url": outside[1],
            "config_is_postgres_init": "1",
            "config_workers": "2",
        }
        with running(tmp_path, values) as api:
            assert 1 == api.log.read_text().count("atom serves ")
            api.message(
                "POST", "/public/object-create?table=test", json={"title": "other"}
            )
            api.person()

    def test_reads_go_to_the_replica(self, tmp_path, outside):
        """Rows are read there, accounts and writes never are; no line stays open."""
        values = {
            "config_postgres_url": outside[0],
            "config_postgres_url_read": outside[1],
            "config_postgres_read_own_writes_sec": "0",
        }
        with running(tmp_path, values, config=ALONE) as api:
            who = api.person()
            body = {"title": "primary"}
            api.message("POST", "/my/object-create?table=test", who, json=body)
            path = "/public/object-read?table=test&column=title"
            titles = [row["title"] for row in api.message("GET", path)]
            assert ["other"] == titles
            assert [] == api.message("GET", "/my/object-read?table=test", who)
            assert ["primary"] == [
                row["title"]
                for row in api.sql("select title from test where title = 'primary'")
            ]
            assert who.id == api.message("GET", "/my/profile", who)["id"]
            api.process.send_signal(signal.SIGTERM)
            assert 0 == api.process.wait(20)
            open_lines = (
                "select count(*) n from pg_stat_activity where usename = 'atom'"
                " and application_name <> 'tests'"
            )
            eventually(lambda: run_sql(outside[1], open_lines)[0]["n"] == 1)

    def test_redis_that_comes_late_is_taken_up(self, tmp_path, outside):
        """Unreachable at the start: served without; used as soon as it answers."""
        from tests.integration.near import valkey

        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        values = {
            "config_postgres_url": outside[0],
            "config_redis_url": url,
            "config_redis_url_ratelimiter": url,
        }
        with running(tmp_path, values) as api:
            answers = [api.call("GET", "/ops/csv") for _ in range(2)]
            assert {200} == {answer.status_code for answer in answers}
            assert 200 == api.call("GET", "/ops/limited").status_code
            with valkey(port):

                def hit():
                    return "hit" == api.call("GET", "/ops/csv").headers.get("x-cache")

                eventually(hit, 60)
                began = time.monotonic()
            answer = api.call("GET", "/ops/csv")
            assert 200 == answer.status_code
            assert time.monotonic() - began < 10
