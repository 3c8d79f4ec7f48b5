"""Columns of datatype file: who reads or writes a row has its file, no one else."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from atom.aws.call import Aws, AwsConfig
from atom.config.keys import KEYS
from atom.config.view import view
from atom.file import FileConfig, Files
from atom.postgres.database import Database
from tests import machine
from tests.acceptance.conftest import serving
from tests.served import ROOT

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
UPLOAD = "/private/file-upload"
CONFIG = """
config_postgres_schema = {
    "table": {
        "paper": [
            "created_by_id-bigint-0-btree",
            "title-text-0-0",
            "is_open-smallint-0-0",
            {"name": "scan", "datatype": "file", "max_kb": 8, "media": ["image/*"]},
            "note-file-0-0",
        ],
        "loose": ["title-text-0-0", "scan-file-0-0"],
    }
}
config_table = {
    "paper": {
        "public": {
            "read": {"where": "is_open = 1", "column": ["id", "title", "scan"]},
            "create": {"column": ["title", "scan"]},
        },
        "my": "owner",
    },
    "loose": {"my": 1},
}
"""
ROUTER = """
from extend import *

router = APIRouter()


@router.post("/my/paper-plain")
async def route_my_paper_plain(request: Request, scan: str):
    sql = "insert into loose (scan) values (cast(:scan as uuid)) returning id"
    database = request.app.state.client_postgres
    return {"status": 1, "message": await database.fetch_val(sql, {"scan": scan})}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    config = {"config_file_folder": str(tmp_path_factory.mktemp("kept"))}
    folder = tmp_path_factory.mktemp("column")
    files = {"config_paper": CONFIG, "router_paper": ROUTER}
    with serving(folder, config=config, **files) as running:
        yield running


@pytest.fixture(scope="module")
def ada(api):
    return api.person()


@pytest.fixture(scope="module")
def bob(api):
    return api.person()


def uploaded(api, who, name="a.png", content=PNG):
    """Return the id of a new file."""
    (made,) = api.message("POST", UPLOAD, who, files={"file": (name, content)})
    assert [name, len(content)] == [made["name"], made["size"]]
    return made["id"]


def written(api, who, **row):
    return api.message("POST", "/my/rows/paper", who, json=row)


def link(api, who, row_id, column="scan", tier="my", table="paper"):
    return api.call("GET", f"/{tier}/rows/{table}/{row_id}/file/{column}", who)


def content(api, who, row_id, **place):
    answer = link(api, who, row_id, **place)
    assert 200 == answer.status_code, answer.text
    return api.http.get(answer.json()["message"]["url"]).content


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def record(api, file_id):
    (found,) = api.sql("select * from atom.file where id = $1", file_id)
    return found


NOT_YOURS = (422, "file.not_yours")


class TestHeld:
    """A file and its row."""

    def test_who_may_read_the_row_and_the_column_gets_a_link(self, api, ada, bob):
        """Her own; anyone's where the row is open; an admin's."""
        row_id = written(api, ada, scan=uploaded(api, ada), title="x")
        answer = link(api, ada, row_id)
        found = answer.json()["message"]

        assert PNG == api.http.get(found["url"]).content
        about = {name: found[name] for name in ("name", "media_type", "size")}
        assert {"name": "a.png", "media_type": "image/png", "size": len(PNG)} == about
        assert "private, no-store" == answer.headers["cache-control"]
        assert (404, "row.missing") == refusal(link(api, bob, row_id))
        assert (404, "row.missing") == refusal(link(api, None, row_id, tier="public"))
        assert 401 == link(api, None, row_id).status_code
        assert 403 == link(api, bob, row_id, tier="admin").status_code
        admin = api.person(api_access="5")
        for _ in range(2):  # reads of rows are kept for a time; links are not
            assert PNG == content(api, admin, row_id, tier="admin")
        api.sql("update paper set is_open = 1 where id = $1", row_id)
        assert PNG == content(api, None, row_id, tier="public")

    def test_column_that_is_not_shown_has_no_link(self, api, ada):
        """A tier sees what its rule lists; another column holds no file."""
        row_id = written(api, ada, note=uploaded(api, ada, "n.txt", b"text"), title="x")
        api.sql("update paper set is_open = 1 where id = $1", row_id)

        assert b"text" == content(api, ada, row_id, column="note")
        answer = link(api, None, row_id, column="note", tier="public")
        assert 400 == answer.status_code
        assert 400 == link(api, ada, row_id, column="title").status_code
        assert 400 == link(api, ada, row_id, column="nothing").status_code
        assert (404, "file.missing") == refusal(link(api, ada, row_id))
        assert 400 == link(api, ada, "x", column="note").status_code

    def test_files_of_one_name_are_two(self, api, ada):
        """A phone calls each picture the same."""
        files = [("file", ("a.png", PNG)), ("file", ("a.png", PNG + b"2"))]
        made = api.message("POST", UPLOAD, ada, files=files)

        second = written(api, ada, scan=made[1]["id"])
        assert PNG + b"2" == content(api, ada, second)
        assert PNG == content(api, ada, written(api, ada, scan=made[0]["id"]))

    def test_file_is_held_by_one_column_of_one_row_once(self, api, ada):
        """Another row, another column, and never again after it was let go."""
        file_id = uploaded(api, ada)
        row_id = written(api, ada, scan=file_id)
        place = f"/my/rows/paper/{row_id}"
        create = {"json": {"scan": file_id}}

        assert NOT_YOURS == refusal(api.call("POST", "/my/rows/paper", ada, **create))
        assert NOT_YOURS == refusal(
            api.call("PATCH", place, ada, json={"note": file_id})
        )
        same = api.call("PATCH", place, ada, json={"scan": file_id, "title": "y"})
        assert 200 == same.status_code
        other = uploaded(api, ada, content=PNG + b"2")
        api.message("PATCH", place, ada, json={"scan": other})
        assert PNG + b"2" == content(api, ada, row_id)
        assert NOT_YOURS == refusal(
            api.call("PATCH", place, ada, json={"scan": file_id})
        )
        assert record(api, file_id)["orphaned_at"] is not None

    def test_twelve_rows_that_want_one_file_at_once(self, api, ada):
        """Exactly one has it."""
        file_id, answers = uploaded(api, ada), []

        def run():
            body = {"scan": file_id}
            answers.append(api.call("POST", "/my/rows/paper", ada, json=body))

        threads = [threading.Thread(target=run) for _ in range(12)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

        codes = sorted(each.status_code for each in answers)
        assert [200] + [422] * 11 == codes
        (found,) = api.sql("select count(*) from paper where scan = $1", file_id)
        assert 1 == found["count"]

    def test_upload_of_another_is_refused_by_every_way_to_a_row(self, api, ada, bob):
        """Rows, lists, upserts, many tables, ids, batches."""
        stolen, row_id = uploaded(api, ada), written(api, bob, title="b")
        body = {"scan": stolen}
        merge = {"id": row_id, **body}
        answers = [
            api.call("POST", "/my/rows/paper", bob, json=body),
            api.call("POST", "/my/rows/paper", bob, json=[{"title": "t"}, body]),
            api.call("POST", "/my/rows/paper?queue=batch", bob, json=body),
            api.call("PUT", "/my/rows/paper", bob, json=merge),
            api.call("PATCH", f"/my/rows/paper/{row_id}", bob, json=body),
            api.call(
                "PUT",
                "/my/ids-update",
                bob,
                json={
                    "table": "paper",
                    "ids": str(row_id),
                    "column": "scan",
                    "value": stolen,
                },
            ),
            api.call(
                "POST",
                "/my/object-create-many",
                bob,
                json=[{"table": "paper", "object": body}],
            ),
        ]

        assert {422} == {each.status_code for each in answers[:6]}
        assert {"file.not_yours"} == {each.json()["code"] for each in answers[:6]}
        assert 200 != answers[6].status_code
        (found,) = api.sql("select count(*) from paper where scan = $1", stolen)
        assert 0 == found["count"]
        assert record(api, stolen)["table_name"] is None

    def test_plain_sql_does_not_open_what_a_row_has(self, api, ada, bob):
        """A drop-in that pastes an id; and even a row written past the triggers."""
        file_id = uploaded(api, ada)
        row_id = written(api, ada, scan=file_id)
        params = {"scan": file_id}
        pasted = api.call("POST", "/my/paper-plain", bob, params=params)
        assert NOT_YOURS == refusal(pasted)

        past = "insert into loose (scan) values ($1) returning id"
        api.sql("alter table loose disable trigger user")
        try:
            (copied,) = api.sql(past, file_id)
        finally:
            api.sql("alter table loose enable trigger user")
        answer = link(api, bob, copied["id"], table="loose")
        assert (404, "file.missing") == refusal(answer)
        api.sql("delete from loose where id = $1", copied["id"])
        assert PNG == content(api, ada, row_id)

    def test_row_that_is_restored_has_its_file_again(self, api, ada):
        """As from a dump: the record of the file is there, the row comes after."""
        file_id = uploaded(api, ada)
        row_id = written(api, ada, scan=file_id)
        api.sql("alter table paper disable trigger user")
        try:
            api.sql("delete from paper where id = $1", row_id)
        finally:
            api.sql("alter table paper enable trigger user")
        insert = "insert into paper (id, created_by_id, scan) values ($1, $2, $3)"
        with pytest.raises(asyncpg.PostgresError, match="file of yours"):
            api.sql(insert, row_id + 1000, ada.id, file_id)
        api.sql(insert, row_id, ada.id, file_id)

        assert PNG == content(api, ada, row_id)
        api.sql("update paper set id = id + 2000 where id = $1", row_id)
        assert PNG == content(api, ada, row_id + 2000)

    def test_plan_of_the_command_is_empty_too(self, api):
        """The server has applied all of it, the triggers included."""
        plan = api.message("GET", "/root/postgres-init?mode=plan", "root")
        assert [] == plan

        done = subprocess.run(
            [sys.executable, "main.py", "schema", "plan", "--check"],
            cwd=machine.process(api.process.pid).cwd(),
            env=machine.process(api.process.pid).environ(),
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr

    def test_document_shows_what_a_column_takes_and_its_links(self, api):
        """For each tier that reads the column."""
        document = api.call("GET", "/openapi.json").json()
        paths, schemas = document["paths"], document["components"]["schemas"]
        scan = schemas["paper_create"]["properties"]["scan"]

        assert "image/*; at most 8 KiB" in scan["description"]
        assert "uuid" == scan["format"]
        path = "/{}/rows/paper/{{id}}/file/{}"
        assert path.format("my", "note") in paths
        assert path.format("public", "scan") in paths
        assert path.format("public", "note") not in paths

    def test_owner_of_a_row_counts_where_no_one_asks(self, api, ada, bob):
        """Plain SQL: her row takes her file, his does not."""
        file_id = uploaded(api, ada)
        insert = "insert into paper (created_by_id, scan) values ($1, $2) returning id"
        with pytest.raises(asyncpg.PostgresError, match="file of yours"):
            api.sql(insert, bob.id, file_id)
        (made,) = api.sql(insert, ada.id, file_id)

        assert PNG == content(api, ada, made["id"])

    def test_file_that_does_not_fit_the_column_is_refused(self, api, ada):
        """Size and type of the declaration; what is not an id; what is not there."""
        large = uploaded(api, ada, content=PNG + b"x" * 9000)
        text = uploaded(api, ada, "a.txt", b"text")
        wrong = [
            (large, 413, "file.too_large"),
            (text, 422, "file.type_not_allowed"),
            ("6f1c1d3e-0000-4000-8000-000000000001", 422, "file.not_yours"),
            ("x", 400, "value.unreadable"),
            ("", 400, "value.unreadable"),
        ]
        for value, *expected in wrong:
            answer = api.call("POST", "/my/rows/paper", ada, json={"scan": value})
            assert tuple(expected) == refusal(answer), value
        assert b"text" == content(api, ada, written(api, ada, note=text), column="note")

    def test_row_that_was_not_written_does_not_have_the_file(self, api, ada):
        """All or none; the file is there for another try."""
        file_id = uploaded(api, ada)
        rows = [{"scan": file_id}, {"is_open": 7}]
        assert 422 == api.call("POST", "/my/rows/paper", ada, json=rows).status_code

        assert PNG == content(api, ada, written(api, ada, scan=file_id))

    def test_import_takes_files_that_no_row_has(self, api, ada):
        """The same rule as for a row."""
        file_id = uploaded(api, ada)
        table = f"created_by_id,scan\n{ada.id},{file_id}\n"

        def load():
            form = {"mode": "create", "table": "paper"}
            files = {"file": ("rows.csv", table.encode(), "text/csv")}
            path = "/root/postgres-import"
            return api.call("POST", path, "root", data=form, files=files)

        first, again = load(), load()
        assert 200 == first.status_code, first.text
        assert NOT_YOURS == refusal(again)
        (found,) = api.sql("select id from paper where scan = $1", file_id)
        assert PNG == content(api, ada, found["id"])


@asynccontextmanager
async def world(api):
    """The files of the server, in this process."""
    pool = await asyncpg.create_pool(api.database, min_size=1, max_size=4)
    database = Database(pool)
    whole = {key.name: key.default for key in KEYS} | api.config
    try:
        services = Aws({}, view(AwsConfig, whole))
        yield Files(view(FileConfig, whole), Path("/"), services, database)
    finally:
        await pool.close()


def old(api, *ids):
    """Let two days pass for files."""
    api.sql(
        "update atom.file set orphaned_at = orphaned_at - interval '2 days',"
        " created_at = created_at - interval '2 days',"
        " deleting_at = deleting_at - interval '2 days' where id = any($1)",
        list(ids),
    )


def on_disk(api):
    folder = Path(api.config["config_file_folder"])
    return sum(each.is_file() for each in folder.rglob("*"))


def test_the_page_does_what_it_promises(tmp_path_factory):
    """docs/files.md: its config, an upload, a row, a link."""
    machine.need("curl")
    text = (ROOT / "docs" / "files.md").read_text()
    config = re.search(r"```python\n# config_claim.py\n(.*?)```", text, re.DOTALL)[1]
    commands = re.search(r"```sh\n# row\n(.*?)```", text, re.DOTALL)[1]
    upload, row, link = filter(None, re.split(r"(?m)^(?=curl)", commands))
    here = tmp_path_factory.mktemp("page")
    (here / "photo.png").write_bytes(PNG)
    with serving(tmp_path_factory.mktemp("claim"), config_claim=config) as api:
        env = {"URL": api.url, "TOKEN": api.person().token}

        def run(command, **also):
            script = command.replace("curl ", "curl -sS --fail-with-body ")
            done = subprocess.run(
                ["sh", "-ec", script],
                cwd=here,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env, **also},
                capture_output=True,
                text=True,
            )
            assert 0 == done.returncode, done.stdout + done.stderr
            return json.loads(done.stdout)["message"]

        (made,) = run(upload)
        row_id = run(row, ID=made["id"])
        found = run(link, ROW=str(row_id))
        assert PNG == api.http.get(found["url"]).content


class TestSweep:
    """What no row holds goes, and nothing else."""

    def test_only_what_no_row_has_held_for_long_is_deleted(self, api, ada):
        """Replaced, deleted with its row, emptied with its table, never used."""

        def held(**place):
            file_id = uploaded(api, ada)
            body = {place.get("column", "scan"): file_id}
            table = place.get("table", "paper")
            row_id = api.message("POST", f"/my/rows/{table}", ada, json=body)
            return file_id, row_id

        (kept, kept_row), (replaced, row_id), (gone, gone_row) = (
            held() for _ in range(3)
        )
        emptied, _ = held(table="loose")
        unused, fresh = uploaded(api, ada), uploaded(api, ada)
        body = {"scan": None}
        api.message("PATCH", f"/my/rows/paper/{row_id}", ada, json=body)
        api.message("DELETE", f"/my/rows/paper/{gone_row}", ada)
        api.sql("truncate loose")
        going = (replaced, gone, emptied, unused)
        old(api, kept, *going)
        before = on_disk(api)

        async def sweep():
            async with world(api) as one, world(api) as two:
                await asyncio.gather(one.sweep(), two.sweep())

        asyncio.run(sweep())
        left = {str(each["id"]) for each in api.sql("select id from atom.file")}
        assert {kept, fresh} <= left
        assert not left & set(going)
        assert before - 4 == on_disk(api)
        assert PNG == content(api, ada, kept_row)
        assert PNG == content(api, ada, written(api, ada, scan=fresh))

    def test_sweep_that_died_is_ended_by_the_next(self, api, ada):
        """Marked, and the file half gone; no row can have it meanwhile."""
        file_id = uploaded(api, ada)
        old(api, file_id)
        api.sql("update atom.file set deleting_at = now() where id = $1", file_id)
        body = {"scan": file_id}
        assert NOT_YOURS == refusal(api.call("POST", "/my/rows/paper", ada, json=body))

        async def sweep():
            async with world(api) as one:
                await one.sweep()

        asyncio.run(sweep())  # five minutes are not over
        assert record(api, file_id)["deleting_at"] is not None
        old(api, file_id)
        asyncio.run(sweep())
        assert [] == api.sql("select 1 from atom.file where id = $1", file_id)

    def test_row_and_sweep_at_once(self, api, ada):
        """A row that has begun to hold a file keeps it, whoever commits first."""
        file_id = uploaded(api, ada)
        old(api, file_id)

        async def race():
            holding = await asyncpg.connect(api.database)
            transaction = holding.transaction()
            await transaction.start()
            insert = "insert into paper (created_by_id, scan) values ($1, $2)"
            await holding.execute(insert, ada.id, file_id)
            async with world(api) as one:
                await one.sweep()  # the file is locked: it is passed over
                await transaction.commit()
                await one.sweep()
            await holding.close()

        asyncio.run(race())
        (found,) = api.sql("select id from paper where scan = $1", file_id)
        assert PNG == content(api, ada, found["id"])

    def test_user_who_is_deleted_takes_the_files_along(self, api):
        """Those of their folder; a row keeps its own."""
        eve = api.person()
        form = {"file": ("a.png", PNG)}
        body = {"bucket": "local"}
        path = "/private/file-upload-s3-direct"
        answer = api.call("POST", path, eve, data=body, files=form)
        assert 200 == answer.status_code
        held = uploaded(api, eve)
        written(api, eve, scan=held)
        api.message("DELETE", "/my/account-delete?mode=hard", eve)
        asked = "select orphaned_at from atom.file where user_id = $1 and id <> $2"
        (kept,) = api.sql(asked, eve.id, held)

        assert kept["orphaned_at"] is not None
