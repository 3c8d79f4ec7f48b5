"""One transaction for everything inside it, over HTTP, through a stranger's router."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.served import serve

CONFIG = """\
config_api = {"/slow/{n}": {"timeout_sec": 0.3}, "/two/{name}": {"is_background": 1}}
config_postgres_schema = {"table": {
    "slot": ["name-text-1-0", "detail-jsonb-0-0", "place-integer-0-0"],
    "booking": ["slot_id-bigint-1-btree", "seat-integer-0-0"],
}, "query": {
    "booking_slot": "alter table booking add constraint booking_slot foreign key"
    " (slot_id) references slot (id)",
    "one_seat": "alter table booking"
    " add constraint one_seat unique (slot_id, seat)",
    "seat_positive": "alter table booking"
    " add constraint seat_positive check (seat > 0)",
    "sleep": "create function sleep_at_commit() returns trigger language plpgsql as"
    " 'begin perform pg_sleep(1); return null; end'",
    "slow_commit": "create constraint trigger slow_commit after update on slot"
    " deferrable initially deferred for each row"
    " when (new.name = 'slow to commit') execute function sleep_at_commit()",
}}
config_error = {"one_seat": {
    "code": "booking.taken", "message": "The seat is taken.", "hint": "Take another."}}
"""
ROUTER = '''\
import asyncio
from extend import *

router = APIRouter()


async def count(request, name):
    query = "select count(*) from slot where name = :name"
    return await request.app.state.client_postgres.fetch_val(query, {"name": name})


async def both(request, name):
    state = request.app.state
    await function_object_create_postgres(state.ports, "slot", {"name": name})
    await state.client_postgres.execute(
        "insert into slot (name) values (:name)", {"name": name})
    await state.client_postgres_asyncpg.execute(
        "insert into slot (name) values ($1)", name)
    rows = json.loads(await function_object_read_postgres(
        state.ports, "slot", [("name", f"=,{name}")]))
    return len(rows)


@router.post("/kept/{name}")
async def route_kept(request: Request, name: str):
    async with request.app.state.client_postgres.transaction():
        return await both(request, name)


@router.post("/undone/{name}")
async def route_undone(request: Request, name: str):
    async with function_transaction(request.app):
        assert 3 == await both(request, name)
        raise RuntimeError("after all")


@router.post("/savepoint/{name}")
async def route_savepoint(request: Request, name: str):
    async with function_transaction(request.app):
        await both(request, name)
        try:
            async with request.app.state.client_postgres.transaction():
                await both(request, name)
                raise KeyError
        except KeyError:
            return await count(request, name)


@router.post("/refused-then-kept/{name}")
async def route_refused(request: Request, name: str):
    """A row function that is refused leaves the transaction usable."""
    ports, codes = request.app.state.ports, []
    async with function_transaction(request):
        await function_object_create_postgres(ports, "slot", {"name": name})
        for row in ({"slot_id": -1}, [{"slot_id": -1}], {"slot_id": "x"}):
            try:
                await function_object_create_postgres(ports, "booking", row)
            except Exception as error:
                codes.append(f"{error.status} {error.code}")
    return codes


@router.post("/swallowed/{name}")
async def route_swallowed(request: Request, name: str):
    """Own SQL fails, the router goes on: nothing may look as if it were kept."""
    client = request.app.state.client_postgres
    async with client.transaction():
        await client.execute("insert into slot (name) values (:n)", {"n": name})
        try:
            await client.execute("insert into slot (name) values (null)")
        except Exception:
            pass
    return "kept"


@router.post("/interrupted/{name}")
async def route_interrupted(request: Request, name: str, by: str):
    """Own SQL takes too long, the router goes on: the same."""
    state = request.app.state
    client = getattr(state, by)
    async with function_transaction(request.app):
        await function_object_create_postgres(state.ports, "slot", {"name": name})
        try:
            async with asyncio.timeout(0.2):
                await client.execute("select pg_sleep(20)")
        except TimeoutError:
            pass
    return "kept"


@router.post("/inner-failure/{name}")
async def route_inner_failure(request: Request, name: str, inside: int = 0):
    """Own SQL fails in a savepoint; the router goes on outside, or already inside."""
    client = request.app.state.client_postgres
    async with client.transaction():
        await client.execute("insert into slot (name) values (:n)", {"n": name})
        try:
            async with client.transaction():
                await client.execute("insert into slot (name) values (:n)", {"n": name})
                try:
                    await client.execute("insert into slot (name) values (null)")
                except Exception:
                    if not inside:
                        raise
        except Exception:
            pass
        await client.execute("insert into slot (name) values (:n)", {"n": name})
    return await count(request, name)


@router.post("/wait-for/{name}")
async def route_wait_for(request: Request, name: str, seconds: float = 5):
    client = request.app.state.client_postgres
    async with function_transaction(request.app):
        await both(request, name)
        try:
            async with client.transaction():
                await asyncio.wait_for(slowly(request, name), seconds)
        except TimeoutError:
            pass
        return await count(request, name)


async def slowly(request, name):
    await both(request, name)
    await request.app.state.client_postgres.execute("select pg_sleep(0.2)")


@router.post("/cancelled-in-commit/{n}")
async def route_cancelled_in_commit(request: Request, n: int, id: int):
    """Begin a COMMIT that takes a second, and cancel its caller n times meanwhile."""
    async def work():
        async with function_transaction(request.app):
            await function_object_update_postgres(
                request.app.state.ports, "slot", {"id": id, "name": "slow to commit"})

    task = asyncio.create_task(work())
    for _ in range(n):
        await asyncio.sleep(0.3)
        task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


@router.post("/task/{name}")
async def route_task(request: Request, name: str):
    async with function_transaction(request.app):
        await both(request, name)
        seen = await asyncio.create_task(count(request, name))
        return [seen, await count(request, name)]


@router.post("/two/{name}")
async def route_two(request: Request, name: str):
    async with function_transaction(request.app):
        ports = request.app.state.ports
        one = await function_object_create_postgres(ports, "slot", {"name": name})
        await function_object_update_postgres(ports, "slot", {"id": one, "place": 1})
        return one


@router.post("/slow/{n}")
async def route_slow(request: Request, n: str):
    async with function_transaction(request.app):
        await both(request, n)
        await request.app.state.client_postgres.execute("select pg_sleep(20)")


@router.get("/count/{name}")
async def route_count(request: Request, name: str):
    return await count(request, name)


@router.post("/renamed/{fate}")
async def route_renamed(request: Request, fate: str, id: int, name: str):
    async with function_transaction(request.app):
        await function_object_update_postgres(
            request.app.state.ports, "slot", {"id": id, "name": name})
        await asyncio.sleep(0.2)
        if fate == "undone":
            raise RuntimeError


@router.post("/own")
async def route_own(request: Request):
    body = await request.json()
    client = request.app.state.client_postgres
    return await client.fetch_val(body["sql"], body.get("values"))


@router.post("/pool")
async def route_pool(request: Request):
    pool = request.app.state.client_postgres_asyncpg_pool
    return await pool.fetchval((await request.json())["sql"])


@router.post("/object")
async def route_object(request: Request):
    state, detail = request.app.state, {"a": [1, {"b": None}]}
    one = await state.client_postgres.fetch_one(
        "insert into slot (name, detail) values ('o', :d) returning detail",
        {"d": detail})
    two = await state.client_postgres_asyncpg.fetchval(
        "insert into slot (name, detail) values ('o', $1) returning detail", detail)
    return one["detail"] == two == detail


@router.get("/page")
async def route_page(request: Request):
    rows = await function_object_read_postgres(
        request.app.state.ports, "slot",
        [("is_count", "1"), ("limit", "1"), ("cursor", ""), ("column", "id")])
    return {"rows": json.loads(rows), "count": rows.count, "next": rows.next_cursor}
'''


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with the drop-in, and a pool of three connections."""
    code = copied(
        tmp_path_factory.mktemp("unit"),
        config__unit=CONFIG,
        router_unit="import json\n" + ROUTER,
    )
    with serve({"config_postgres_max_connection": "3"}, code=code) as served:
        running = opened(served)
        yield running
        running.http.close()


def count(api, name):
    return api.call("GET", f"/count/{name}").json()


class TestUnit:
    """Row functions and own SQL commit or roll back together."""

    def test_all_is_kept(self, api):
        """And seen inside before it is committed."""
        assert 3 == api.call("POST", "/kept/kept").json()
        assert 3 == count(api, "kept")

    def test_all_is_undone(self, api):
        """Whoever wrote it."""
        assert 500 == api.call("POST", "/undone/undone").status_code
        assert 0 == count(api, "undone")

    def test_inner_transaction_is_a_savepoint(self, api):
        """It is undone alone."""
        assert 3 == api.call("POST", "/savepoint/point").json()
        assert 3 == count(api, "point")

    def test_refused_row_leaves_the_rest(self, api):
        """The caller may catch the error and go on."""
        answer = api.call("POST", "/refused-then-kept/still").json()

        assert ["409 row.referenced"] * 2 == answer[:2]
        assert answer[2].startswith("4")
        assert 1 == count(api, "still")

    def test_swallowed_failure_is_not_taken_for_a_commit(self, api):
        """PostgreSQL rolls such a transaction back at COMMIT, without an error."""
        assert 500 == api.call("POST", "/swallowed/gone").status_code
        assert 0 == count(api, "gone")

    @pytest.mark.parametrize("by", ["client_postgres", "client_postgres_asyncpg"])
    def test_swallowed_timeout_is_not_taken_for_a_commit(self, api, by):
        """A cancelled statement aborts the transaction as a failed one does."""
        path = f"/interrupted/{by}?by={by}"

        assert 500 == api.call("POST", path).status_code
        assert 0 == count(api, by)

    @pytest.mark.parametrize("inside", [0, 1])
    def test_failed_savepoint_leaves_the_rest(self, api, inside):
        """It is undone alone, also where the failure was swallowed inside it."""
        answer = api.call("POST", f"/inner-failure/inner{inside}?inside={inside}")

        assert 2 == answer.json()
        assert 2 == count(api, f"inner{inside}")

    @pytest.mark.parametrize(("seconds", "rows"), [(5, 6), (0.1, 3)])
    def test_wait_for_is_inside(self, api, seconds, rows):
        """On Python 3.11 too, which runs it in a task; at its timeout it is undone."""
        path = f"/wait-for/wait{rows}?seconds={seconds}"

        assert rows == api.call("POST", path).json()
        assert rows == count(api, f"wait{rows}")

    def test_task_started_inside_is_outside(self, api):
        """It does not see what is uncommitted."""
        assert [0, 3] == api.call("POST", "/task/task").json()

    def test_cancelled_request_is_undone(self, api):
        """By timeout_sec; the connection is free again."""
        answers = [api.call("POST", "/slow/slow").status_code for _ in range(4)]

        assert [504] * 4 == answers
        assert 0 == count(api, "slow")

    def test_fifty_at_once_on_three_connections(self, api):
        """Nobody waits for a second connection, so nobody waits for ever."""
        with ThreadPoolExecutor(50) as pool:
            answers = list(
                pool.map(lambda n: api.call("POST", f"/two/many{n % 2}"), range(50))
            )

        assert {200} == {each.status_code for each in answers}
        assert 50 == count(api, "many0") + count(api, "many1")


@pytest.fixture(scope="module")
def slot(api):
    """A slot to book."""
    return api.call("POST", "/two/errors").json()


class TestDriverErrors:
    """A user's own SQL answers as the row routes do."""

    @pytest.mark.parametrize(
        ("values", "status", "code"),
        [
            ("({slot}, 1), ({slot}, 1)", 409, "booking.taken"),
            ("(-1, 2)", 409, "row.referenced"),
            ("(null, 3)", 422, "value.refused"),
            ("({slot}, -3)", 422, "value.refused"),
            ("({slot}, 99999999999)", 422, "value.refused"),
            ("({slot}, 'x'::text::integer)", 400, "value.unreadable"),
        ],
    )
    @pytest.mark.parametrize("route", ["/own", "/pool"])
    def test_rule(self, api, slot, route, values, status, code):
        """Unique, foreign key, not null, check, range, value."""
        sql = f"insert into booking (slot_id, seat) values {values.format(slot=slot)}"
        answer = api.call("POST", route, json={"sql": sql})
        if route == "/pool" and code == "booking.taken":
            code = "row.exists"  # asyncpg's own pool knows nothing of config_error

        assert (status, code) == (answer.status_code, answer.json()["code"])
        assert "insert" not in answer.text.lower()

    def test_wording_is_the_operators(self, api, slot):
        """On the row routes, too."""
        sql = f"insert into booking (slot_id, seat) values ({slot}, 7)"
        assert 200 == api.call("POST", "/own", json={"sql": sql}).status_code
        path = "/admin/object-create?table=booking"
        admin = api.person(api_access="1")
        bodies = [{"slot_id": slot, "seat": 7}, [{"slot_id": slot, "seat": 7}]]
        answers = [api.call("POST", "/own", json={"sql": sql})]
        answers += [api.call("POST", path, admin, json=body) for body in bodies]

        for answer in answers:
            assert 409 == answer.status_code
            assert "booking.taken" == answer.json()["code"]
            assert "The seat is taken." in answer.json()["message"]
            assert "Take another." == answer.json()["hint"]

    def test_value_of_the_wrong_type(self, api):
        """Refused by the driver before it is sent."""
        body = {"sql": "select :n::int", "values": {"n": "x"}}

        assert 400 == api.call("POST", "/own", json=body).status_code

    def test_wrong_sql_is_a_fault_of_the_server(self, api):
        """500 and a trace in the log; development shows what PostgreSQL says."""
        for route in ("/own", "/pool"):
            answer = api.call("POST", route, json={"sql": "select * from nowhere"})

            assert 500 == answer.status_code
            assert "UndefinedTableError" in answer.json()["message"]
        assert "nowhere" in api.log.read_text()

    def test_row_that_is_locked(self, api, slot):
        """409, as on the row routes."""
        api.call("POST", "/own", json={"sql": "select 1"})
        body = {"sql": f"select place from slot where id = {slot} for update nowait"}
        with ThreadPoolExecutor(1) as pool:
            path = f"/renamed/kept?id={slot}&name=locked"
            held = pool.submit(api.call, "POST", path)
            statuses = set()
            while not held.done():
                statuses.add(api.call("POST", "/own", json=body).status_code)

        assert 409 in statuses

    def test_full_pool_is_named(self, api):
        """503 says that it was the pool, not the database."""
        slow = {"sql": "select pg_sleep(7)"}
        with ThreadPoolExecutor(3) as pool:
            busy = [pool.submit(api.call, "POST", "/own", json=slow) for _ in range(3)]
            answers = [api.call("POST", "/own", json={"sql": "select 1"})]
            while answers[-1].status_code == 200 and not all(b.done() for b in busy):
                answers.append(api.call("POST", "/own", json={"sql": "select 1"}))

        assert 503 == answers[-1].status_code
        assert "pool.exhausted" == answers[-1].json()["code"]
        assert "connections" in answers[-1].json()["message"]


def test_work_in_the_background_waits_for_a_connection(api):
    """It was acknowledged, and nobody waits for it: no 503 in log_api."""
    slow = {"sql": "select pg_sleep(8)"}
    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(api.call, "POST", "/own", json=slow) for _ in range(3)]
        time.sleep(0.5)
        answer = api.call("POST", "/two/behind?is_background=1")
        assert "added in background" == answer.json()["message"]
        assert [200] * 3 == [each.result().status_code for each in busy]
    deadline = time.monotonic() + 30
    while not count(api, "behind"):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert 1 == count(api, "behind")


def test_jsonb_is_an_object(api):
    """In and out, by both clients."""
    assert api.call("POST", "/object").json() is True


def test_read_keeps_count_and_cursor(api):
    """Next to the rows, which are JSON bytes as before."""
    page = api.call("GET", "/page").json()

    assert 1 == len(page["rows"])
    assert page["count"] > 1
    assert page["next"]


@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_commit_drops_caches(api, times):
    """However often its caller is cancelled meanwhile: what is committed is seen."""
    admin = api.person(api_access="5")
    slot = api.call("POST", f"/two/commit{times}").json()
    path = f"/admin/object-read?table=slot&id==,{slot}"

    def name():
        return api.call("GET", path, admin).json()["message"][0]["name"]

    assert f"commit{times}" == name()
    assert api.call("POST", f"/cancelled-in-commit/{times}?id={slot}").json() is True
    assert "slow to commit" == name()


def test_caches_are_dropped_after_commit_alone(tmp_path):
    """In every worker; a rollback drops nothing, and shows nothing."""
    code = copied(tmp_path, config__unit=CONFIG, router_unit="import json\n" + ROUTER)
    values = {"config_workers": "2", "config_redis_url": ""}
    with serve(values, code=code) as served:
        api = opened(served)
        admin = api.person(api_access="5")
        slot = api.call("POST", "/two/first").json()
        path = f"/admin/object-read?table=slot&id==,{slot}"

        def names():
            answers = [api.call("GET", path, admin) for _ in range(40)]
            return {json.loads(each.text)["message"][0]["name"] for each in answers}

        def all_hit():
            hits = [api.call("GET", path, admin) for _ in range(20)]
            return all(each.headers.get("x-cache") == "hit" for each in hits)

        eventually(all_hit)  # the other worker has heard that the slot was made
        api.call("POST", f"/renamed/undone?id={slot}&name=wrong")
        assert all_hit()
        assert {"first"} == names()
        with ThreadPoolExecutor(1) as pool:
            change = f"/renamed/kept?id={slot}&name=second"
            done = pool.submit(api.call, "POST", change)
            while not done.done():
                assert names() <= {"first", "second"}
            assert 200 == done.result().status_code
        eventually(lambda: {"second"} == names())  # also where the other worker answers
        api.http.close()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('{"a": {"mesage": "x"}}', "message"),
        ('{"a": {"message": "x", "staus": 409}}', "'status'"),
        ('{"a": {"message": "x", "status": 200}}', "400 to 499"),
        ('{"a": {"message": "x", "code": "taken"}}', "two words"),
    ],
)
def test_wrong_wording_stops_the_start(tmp_path, entry, fault):
    """config_error is checked before the first request."""
    code = copied(tmp_path, config__words=f"config_error = {entry}\n")

    with pytest.raises(RuntimeError, match="config_error") as caught:
        with serve(code=code):
            pass
    assert fault in str(caught.value)
