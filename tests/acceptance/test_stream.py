"""Rows that are followed: who is sent what, from every worker and from plain SQL."""

import asyncio
import json
import secrets
import socket
import time

import asyncpg
import httpx2
import openapi_spec_validator
import pytest
from websockets.sync.client import connect

from atom.postgres import touched
from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import newcomer
from tests.acceptance.stream_reader import Reader
from tests.served import serve

WORKERS = 2
CONFIG = """
config_postgres_schema = {"table": {
    "booking": [
        "created_by_id-bigint-0-btree", "clinic_id-bigint-0-btree", "state-text-0-0",
        "note-text-0-0", "secret_note-text-0-0", "is_deleted-smallint-0-0",
        "gone-text-0-0", "made-text-0-0", "my_password-text-0-0",
    ],
    "invited": ["code-text-0-0", "title-text-0-0"],
    "staff": ["clinic_id-bigint-0-btree", "user_id-bigint-0-btree"],
    "quiet": ["title-text-0-0"],
    "shut": ["title-text-0-0"],
    "keyless": ["title-text-0-0"],
}}
config_scope = {"my_clinic": "select clinic_id from staff where user_id = :me"}
config_column_secret_list = ["secret_note", "code", "password", "password_bigint",
    "google_data", "otp"]
config_table = {
    "booking": {
        "public": {"read": {"where": "state = 'open'",
                            "column": ["id", "clinic_id", "state"]}},
        "my": {"read": "created_by_id = :me or clinic_id in my_clinic",
               "create": 1, "update": 1, "delete": 1},
        "soft_delete": "is_deleted",
    },
    "staff": {"my": {"read": 1}},
    "quiet": {"public": {"read": 1}},
    "invited": {"public": {"read": {"where": "code is null", "column": ["id"]}}},
    "keyless": {"public": {"read": {"column": ["title"]}}},
}
config_stream_table_list = ["booking", "invited", "shut", "keyless", "test"]
config_table_allowed_public_create_list = ["test"]
"""
ROUTER = """
import os

from extend import *

router = APIRouter()


@router.get("/pid")
async def pid():
    return os.getpid()


@router.post("/say")
async def say(request: Request, text: str, fails: int = 0):
    async with function_transaction(request):
        await function_publish(request, "room", {"text": text})
        if fails:
            raise ValueError("undone")
    return "done"


@router.websocket("/listen")
async def listen(socket: WebSocket):
    await socket.accept()
    async with function_subscribe(socket, "room") as values:
        await socket.send_json(os.getpid())
        async for value in values:
            await socket.send_json(value)
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Serve by two workers."""
    code = copied(
        tmp_path_factory.mktemp("live"), router_live=ROUTER, config_live=CONFIG
    )
    with serve({"config_workers": str(WORKERS)}, code=code) as served:
        api = opened(served)
        eventually(
            lambda: (
                len({httpx2.get(f"{api.url}/pid").text for _ in range(20)}) == WORKERS
            )
        )
        yield api
        api.http.close()


@pytest.fixture
def clinic(live):
    """A number that no other test uses."""
    return secrets.randbelow(10**9) + 1


def sql(live, text):
    """Run SQL past the server. Return the first value."""

    async def run():
        connection = await asyncpg.connect(live.database)
        try:
            if ";" in text:
                return await connection.execute(text)
            return await connection.fetchval(text)
        finally:
            await connection.close()

    return asyncio.run(run())


def booked(live, clinic, state="open", owner="null", note="x"):
    """Add a booking by SQL. Return its id."""
    return sql(
        live,
        "insert into booking (clinic_id, state, created_by_id, note, secret_note)"
        f" values ({clinic}, '{state}', {owner}, '{note}', 'hush') returning id",
    )


def follow(live, path, who=None, after=""):
    """Follow rows."""
    return Reader(live.url, path, who.headers if who else None, after)


def public(clinic):
    return f"/public/rows/booking/stream?clinic_id=%3D,{clinic}"


def my(clinic):
    return f"/my/rows/booking/stream?clinic_id=%3D,{clinic}"


def ended(reader):
    """Return the keys of the rows that ended; changes at once may end one twice."""
    return {each["id"] for each in reader.data("delete")}


class TestWhoIsSentWhat:
    """Rules of `config_table`, filters, and what becomes of a row."""

    def test_a_row_comes_as_it_is_read(self, live, clinic):
        """With the columns of the tier; made by SQL, changed by SQL, deleted."""
        with follow(live, public(clinic)) as reader:
            key = booked(live, clinic)
            reader.until(lambda: reader.events)
            row = {"id": key, "clinic_id": clinic, "state": "open"}
            assert [("row", row)] == [each[:2] for each in reader.events]

            sql(live, f"update booking set state = 'done' where id = {key}")
            reader.until(lambda: len(reader.events) == 2)
            assert ("delete", {"id": key}) == reader.events[1][:2]

            sql(live, f"delete from booking where id = {key}")
            other = booked(live, clinic)
            reader.until(lambda: len(reader.events) == 3)
            assert other == reader.data()[-1]["id"]

    def test_what_one_may_not_read_never_comes(self, live, clinic):
        """No row, no key, no end of it: as if it were not there."""
        stranger, owner = newcomer(live), newcomer(live)
        with (
            follow(live, my(clinic), stranger) as outside,
            follow(live, my(clinic), owner) as inside,
            follow(live, public(clinic)) as anybody,
        ):
            key = booked(live, clinic, "secret", owner.id)
            sql(live, f"update booking set note = 'y' where id = {key}")
            sql(live, f"delete from booking where id = {key}")
            sql(live, f"update booking set note = 'z' where clinic_id = {clinic}")
            last = booked(live, clinic, "open", stranger.id)
            outside.until(lambda: last in [row["id"] for row in outside.data()])
            anybody.until(lambda: anybody.events)
            inside.until(lambda: inside.data("delete"))

        assert {last} == {row["id"] for row in outside.data()}
        assert {last} == {row["id"] for row in anybody.data()}
        assert not outside.data("delete")
        assert {key} == ended(inside)
        assert all("secret_note" not in row for row in inside.data())

    def test_a_scope_counts_as_it_is_now(self, live, clinic):
        """Who joins the clinic is sent the next change; who leaves is not."""
        nurse = newcomer(live)
        with (
            follow(live, my(clinic), nurse) as reader,
            follow(live, public(clinic)) as anybody,
        ):
            first = booked(live, clinic)
            anybody.until(lambda: anybody.data())
            time.sleep(0.2)
            sql(live, f"insert into staff (clinic_id, user_id) values"
                      f" ({clinic}, {nurse.id})")  # fmt: skip
            second = booked(live, clinic)
            reader.until(lambda: reader.data())
            sql(live, f"delete from staff where user_id = {nurse.id}")
            sql(live, f"delete from booking where id = {second}")
            mine = booked(live, clinic, "open", nurse.id)
            reader.until(lambda: mine in [row["id"] for row in reader.data()])

        ids = {row["id"] for row in reader.data()}
        assert first not in ids
        assert ids <= {second, mine}
        assert not reader.data("delete")

    def test_what_is_kept_of_a_row_holds_no_secret(self, live, clinic):
        """By the list of config, or by its name; other columns are there."""
        key = booked(live, clinic)
        sql(live, f"update booking set secret_note = 'S1', my_password = 'S2',"
                  f" gone = 'G' where id = {key}")  # fmt: skip
        sql(live, f"delete from booking where id = {key}")
        kept = sql(
            live,
            "select array_agg(old::text order by id) from atom.change"
            f" where '{key}' = any(keys) and old is not null",
        )
        assert len(kept) == 2
        assert '"gone": "G"' in kept[-1], kept
        assert not any("S1" in old or "S2" in old for old in kept)

    def test_a_rule_about_a_secret_column_holds_for_rows_as_they_were(self, live):
        """Who could not read a row hears nothing of its end."""
        with follow(live, "/public/rows/invited/stream") as reader:
            secret, open_ = (
                sql(live, f"insert into invited (code) values ({code}) returning id")
                for code in ("'x'", "null")
            )
            reader.until(lambda: reader.data())
            sql(live, f"delete from invited where id = {secret}")
            sql(live, f"update invited set code = 'y' where id = {open_}")
            reader.until(lambda: reader.data("delete"))
        assert [{"id": open_}] == reader.data()
        assert [{"id": open_}] == reader.data("delete")

    def test_columns_may_be_called_as_the_rows_of_a_trigger(self, live, clinic):
        """`gone`, `made`: a deleted row is sent as deleted all the same."""
        owner = newcomer(live)
        with follow(live, my(clinic), owner) as reader:
            key = booked(live, clinic, "open", owner.id)
            sql(live, f"update booking set gone = 'x', made = 'y' where id = {key}")
            sql(live, f"delete from booking where id = {key}")
            reader.until(lambda: reader.data("delete"))
        assert {key} == ended(reader)

    def test_a_change_touches_no_other_table(self, live):
        """Or each would drop the cached answers of all of them."""

        async def changed():
            connection = await asyncpg.connect(live.database)
            try:
                return await touched.read(connection, ["public"])
            finally:
                await connection.close()

        assert "quiet" not in asyncio.run(changed()).get("booking", ())

    def test_soft_deleted_is_deleted(self, live, clinic):
        """As reads leave it out."""
        with follow(live, public(clinic)) as reader:
            key = booked(live, clinic)
            reader.until(lambda: reader.data())
            sql(live, f"update booking set is_deleted = 1 where id = {key}")
            reader.until(lambda: reader.data("delete"))

        assert [{"id": key}] == reader.data("delete")

    def test_nothing_is_sent_before_the_commit_or_after_a_rollback(self, live, clinic):
        """A transaction is sent whole, or not."""
        values = f"({clinic}, 'open')"
        add = f"insert into booking (clinic_id, state) values {values};"
        with follow(live, public(clinic)) as reader:
            sql(live, f"begin; {add} rollback")
            sql(live, f"begin; {add} {add} commit")
            reader.until(lambda: len(reader.data()) == 2)
            time.sleep(0.3)

        assert 2 == len(reader.events)

    def test_filters_of_every_datatype(self, live, clinic):
        """Each caller's own values, in one statement."""
        paths = [
            f"{public(clinic)}&state=in,open|x",
            f"{public(clinic)}&or=(id=%3E,0%3Bstate==,no)",
            f"{public(clinic)}&state=ilike,OP%25&column=id",
            f"{public(clinic)}&clinic_id=between,{clinic}|{clinic + 1}",
        ]
        readers = [follow(live, path) for path in paths]
        for reader in readers:
            reader.__enter__()
        key = booked(live, clinic)
        for reader in readers:
            reader.until(lambda reader=reader: reader.data())
            assert key == reader.data()[0]["id"]
            reader.__exit__()
        assert {"id": key} == readers[2].data()[0]

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/public/rows/shut/stream", 403, "row.table_not_allowed"),
            ("/public/rows/quiet/stream", 400, "stream.closed_table"),
            ("/public/rows/keyless/stream", 400, "stream.closed_table"),
            ("/public/rows/nothing/stream", 403, "row.table_not_allowed"),
            ("/public/rows/booking/stream?note=%3D,x", 400, "sql.unknown_column"),
            ("/public/rows/booking/stream?column=secret_note", 400, None),
            ("/public/rows/booking/stream?id=%3D,x", 400, None),
            ("/public/rows/booking/stream?order=id", 400, None),
            ("/my/rows/booking/stream", 401, "token.missing"),
            ("/admin/rows/booking/stream", 401, "token.missing"),
        ],
    )
    def test_what_cannot_be_followed(self, live, path, status, code):
        """Before the stream begins, with the code that reading has."""
        answer = live.http.get(live.url + path)

        assert status == answer.status_code, answer.text
        assert code in (None, answer.json()["code"])

    def test_head_and_compression(self, live, clinic):
        """HEAD ends at once and follows nothing; events are not compressed."""
        head = live.http.head(live.url + public(clinic), timeout=10)
        assert (200, b"") == (head.status_code, head.content)
        assert "text/event-stream; charset=utf-8" == head.headers["content-type"]
        options = {"headers": {"accept-encoding": "gzip"}, "timeout": 10}
        with live.http.stream("GET", live.url + public(clinic), **options) as answer:
            assert "content-encoding" not in answer.headers
            assert "no-store" == answer.headers["cache-control"]

    def test_streams_are_in_the_document(self, live):
        """Of the tables that are followed, on the tiers that read them."""
        document = live.call("GET", "/openapi.json").json()
        openapi_spec_validator.validate(document)
        found = {path for path in document["paths"] if path.endswith("/stream")}
        tables = {"public": ["booking"], "my": ["booking", "test"]}
        tables["admin"] = ["booking", "keyless", "shut", "test"]
        for tier, names in tables.items():
            has = {path for path in found if path.startswith(f"/{tier}/")}
            assert {f"/{tier}/rows/{name}/stream" for name in names} <= has, has
        assert "/public/rows/shut/stream" not in found
        assert "/public/rows/keyless/stream" not in found
        assert not any("quiet" in path for path in found)

        operation = document["paths"]["/my/rows/booking/stream"]["get"]
        names = {each["$ref"].split("/")[-1] for each in operation["parameters"]}
        assert {"stream-column", "stream-Last-Event-ID", "stream-Prefer"} <= names
        assert "state.text" in names
        assert not any("secret" in name or "order" in name for name in names)
        assert ["text/event-stream"] == list(operation["responses"]["200"]["content"])
        assert {"400", "401", "403", "429", "503"} <= set(operation["responses"])
        assert [{"user": []}] == operation["security"]


class TestOverTheWorkers:
    """Two processes, readers on both, writes through both."""

    def test_each_reader_is_sent_each_change_once(self, live, clinic):
        """Whoever wrote it."""
        writer = newcomer(live)
        readers = [follow(live, public(clinic)) for _ in range(6)]
        for reader in readers:
            reader.__enter__()
        made = set()
        for number in range(20):
            body = {"clinic_id": clinic, "state": "open", "note": str(number)}
            url = "/my/object-create?table=booking"
            made.add(live.message("POST", url, writer, json=body))
        for reader in readers:
            reader.until(lambda reader=reader: len(reader.data()) == 20)
            assert made == {row["id"] for row in reader.data()}
            reader.__exit__()

    def test_a_reader_comes_back(self, live, clinic):
        """Nothing that happened meanwhile is missing, on either worker."""
        with follow(live, public(clinic)) as reader:
            first = booked(live, clinic)
            reader.until(lambda: reader.data())
            after = reader.position
        second = booked(live, clinic)
        sql(live, f"delete from booking where id = {first}")
        for _ in range(4):
            with follow(live, public(clinic), after=after) as again:
                third = booked(live, clinic)
                again.until(
                    lambda key=third: key in [row["id"] for row in again.data()]
                )
            assert second in [row["id"] for row in again.data()]
            assert {"id": first} in again.data("delete")
            assert "reset" not in again.names

    @pytest.mark.parametrize("after", ["1", "x", "-1", "9" * 18, "9" * 40, "٣"])
    def test_a_position_that_is_not_kept_is_a_reset(self, live, clinic, after):
        """The reader is asked to read again."""
        sql(live, "insert into atom.change_horizon (xid) values ('5'::xid8)"
                  " on conflict do nothing")  # fmt: skip
        with follow(live, public(clinic), after=after.encode()) as reader:
            reader.until(lambda: reader.events)

        assert "reset" == reader.names[0]

    def test_more_than_can_be_sent_is_a_reset(self, live, clinic):
        """A statement on thousands of rows, and a truncate."""
        with follow(live, public(clinic)) as reader:
            sql(live, f"insert into booking (clinic_id, state) select {clinic}, 'open'"
                      " from generate_series(1, 1500)")  # fmt: skip
            reader.until(lambda: "reset" in reader.names)
            sql(live, "truncate booking")
            reader.until(lambda: reader.names.count("reset") == 2)
            key = booked(live, clinic)
            reader.until(lambda: reader.data())

        assert [key] == [row["id"] for row in reader.data()]

    def test_a_table_that_changes_is_followed_on(self, live, clinic):
        """A new column comes with the next change."""
        with follow(live, public(clinic)) as reader:
            sql(live, f"alter table booking add column c{clinic} text")
            live.call("GET", "/root/reset-global", "root")
            key = booked(live, clinic)
            reader.until(lambda: reader.data())
            sql(live, f"delete from booking where id = {key}")
            reader.until(lambda: reader.data("delete"))

        assert [{"id": key}] == reader.data("delete")


class TestItsEnd:
    """A stream ends with what let its caller in, and with the server."""

    def test_a_logout_ends_it(self, live, clinic):
        """Within a second, with the reason."""
        person = newcomer(live)
        with follow(live, my(clinic), person) as reader:
            began = time.monotonic()
            live.message("POST", "/auth/logout", person)
            reader.until(lambda: reader.ended)
            took = time.monotonic() - began

        assert [{"code": "token.revoked"}] == reader.data("end")
        assert took < 1.0

    def test_a_reader_that_does_not_keep_up_is_dropped(self, live, clinic):
        """The others are not held up."""
        host, port = live.url.removeprefix("http://").split(":")
        person = newcomer(live)
        with socket.socket() as slow, follow(live, my(clinic), person) as quick:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((host, int(port)))
            head = f"GET {my(clinic)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            slow.sendall(f"{head}Authorization: Bearer {person.token}\r\n\r\n".encode())
            assert b"200 OK" in slow.recv(4096)
            for number in range(1, 41):  # more than the kernel holds
                sql(live, "insert into booking (clinic_id, created_by_id, note) select"
                          f" {clinic}, {person.id}, repeat('x', 50000)"
                          " from generate_series(1, 10)")  # fmt: skip
                quick.until(lambda most=10 * number: len(quick.data()) >= most)
            slow.settimeout(20)
            got = b""
            while part := slow.recv(1_000_000):
                got += part

        assert b'event: end\ndata: {"code":"stream.slow"}' in got
        assert len(got) < 15_000_000

    def bounded(self, api):
        """Check that one address has no more streams than config gives it."""
        path, over = "/public/rows/booking/stream", None
        with Reader(api.url, path), Reader(api.url, path):
            over = api.http.get(api.url + path)
        assert (429, "rate.exceeded") == (over.status_code, over.json()["code"])
        assert int(over.headers["retry-after"]) > 0
        eventually(lambda: 200 == api.http.head(api.url + path).status_code)

    def test_changes_are_removed_without_readers_and_a_stop_ends_streams(
        self, tmp_path
    ):
        """What is kept does not grow for ever; a stop comes with its reason."""
        code = copied(tmp_path, config_live=CONFIG, router_live=ROUTER)
        keys = {"config_stream_keep_sec": "1", "config_stream_caller_max": "2"}
        with serve(keys, code=code) as served:
            api = opened(served)
            self.bounded(api)
            sql(api, "insert into test (title) values ('x')")
            number = "pg_get_serial_sequence('atom.change', 'id')"
            assert sql(api, f"select nextval({number})") == 2
            eventually(lambda: sql(api, "select count(*) from atom.change") == 0)
            api.http.close()

            socket_url = served.url.replace("http", "ws") + "/listen"
            reader = Reader(served.url, "/public/rows/booking/stream")
            with reader, connect(socket_url, legacy=True) as topic:
                topic.recv(5)
                began = time.monotonic()
                served.process.terminate()
                reader.until(lambda: reader.ended)
                assert 0 == served.process.wait(20)
                took = time.monotonic() - began

        assert [{"code": "server.stopping"}] == reader.data("end")
        assert took < 10


class TestSocket:
    """Over `/ws`, which echoes anything else."""

    def test_a_message_subscribes(self, live, clinic):
        """And another one ends it; faults are answered."""
        person = newcomer(live)
        url = live.url.replace("http", "ws") + "/ws"
        with connect(url, additional_headers=person.headers) as ws:
            ws.send("hello")
            assert "hello" == ws.recv(5)
            query = f"clinic_id=%3D,{clinic}&column=id,note"
            ws.send(json.dumps({"subscribe": "booking", "query": query}))
            ready = json.loads(ws.recv(5))
            assert ("ready", "booking") == (ready["event"], ready["table"])
            booked(live, clinic)  # of nobody
            key = booked(live, clinic, "x", person.id, "mine")
            event = json.loads(ws.recv(5))
            assert ("row", {"id": key, "note": "mine"}) == (
                event["event"],
                event["data"],
            )
            ws.send(json.dumps({"subscribe": "quiet"}))
            fault = json.loads(ws.recv(5))
            assert ("error", "row.table_not_allowed") == (fault["event"], fault["code"])
            for wrong in ({"query": 5}, {"query": ["a"]}, {"after": 5}):
                ws.send(json.dumps({"subscribe": "booking", **wrong}))
                fault = json.loads(ws.recv(5))
                assert ("error", "request.invalid") == (fault["event"], fault["code"])
            ws.send(json.dumps({"subscribe": "booking", "query": None, "after": None}))
            assert "ready" == json.loads(ws.recv(5))["event"]
            ws.send(json.dumps({"unsubscribe": "booking"}))
            ws.send("over")
            assert "over" == ws.recv(5)
            booked(live, clinic, "x", person.id)
            with pytest.raises(TimeoutError):
                ws.recv(0.5)


class TestTopics:
    """Values of drop-ins between the workers."""

    def test_each_subscription_is_sent_each_value(self, live):
        """In order, from either worker; nothing of a transaction that failed."""
        url = live.url.replace("http", "ws") + "/listen"
        sockets = [connect(url, legacy=True) for _ in range(6)]
        pids = {ws.recv(5) for ws in sockets}
        live.http.post(f"{live.url}/say?text=lost&fails=1")
        for text in ("a", "a", "b"):
            assert 200 == live.http.post(f"{live.url}/say?text={text}").status_code
        for ws in sockets:
            texts = [json.loads(ws.recv(5))["text"] for _ in range(3)]
            assert ["a", "a", "b"] == sorted(texts)
            ws.close()

        assert len(pids) >= 1
