"""The clients that ship, each on the real service where one can be had."""

import asyncio
import logging
import subprocess
import sys
import time

import pytest

from atom.client import health, opened
from atom.client.all import CLIENTS
from atom.config import keys
from atom.errors import ConfigError, Unavailable, Unprocessable
from tests.integration.near import (
    connected,
    database_url,  # noqa: F401
    free_port,
    fresh_database,
    redis_url,  # noqa: F401
    valkey,
)

DEFAULTS = {key.name: key.default for key in keys.KEYS}
BROKER = """
import sys
import confluent_kafka as ck
p = ck.Producer({"bootstrap.servers": "x:1", "test.mock.num.brokers": 1})
brokers = p.list_topics(timeout=10).brokers.values()
print(",".join(f"{one.host}:{one.port}" for one in brokers), flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def url(database_url):  # noqa: F811
    """A database of this test's own."""
    async with fresh_database(database_url) as address:
        yield address


@pytest.fixture
async def live(url):
    """What is open when PostgreSQL alone is configured."""
    config = {**DEFAULTS, "config_postgres_url": url}
    async with opened(CLIENTS, config) as live:
        await live["client_postgres"].execute("create table t (id int, name text)")
        yield live


@pytest.fixture
def postgres(live):
    """`client_postgres`."""
    return live["client_postgres"]


class TestPostgres:
    """`client_postgres`: the calls users know."""

    async def test_rows_are_mappings(self, postgres):
        """By name, by place, as an attribute, as a dict."""
        await postgres.execute(
            "insert into t values (:id, :name)", {"id": 1, "name": "a"}
        )
        row = await postgres.fetch_one("select * from t where id = :id", {"id": 1})

        assert {"id": 1, "name": "a"} == dict(row) == row
        assert (1, "a", "a") == (row["id"], row[1], row.name)
        assert ["id", "name"] == list(row)
        with pytest.raises(AttributeError, match="no column 'x'"):
            _ = row.x

    async def test_every_call(self, postgres):
        """fetch_all, fetch_one, fetch_val, execute, execute_many, iterate."""
        insert = "insert into t values (:id, :name) returning id"
        assert 1 == await postgres.execute(insert, {"id": 1, "name": "a"})
        assert await postgres.execute("update t set name = 'b'") is None
        more = [{"id": number, "name": "x"} for number in range(2, 202)]
        await postgres.execute_many("insert into t values (:id, :name)", more)

        query = "select id, name from t where id > :least::int order by id"
        assert 191 == len(await postgres.fetch_all(query, {"least": 10}))
        assert "x" == await postgres.fetch_val(query, {"least": 10}, column=1)
        assert "x" == await postgres.fetch_val(query, {"least": 10}, column="name")
        assert await postgres.fetch_one(query, {"least": 999}) is None
        assert await postgres.fetch_val(query, {"least": 999}) is None
        ids = [row["id"] async for row in postgres.iterate(query, {"least": 10})]
        assert list(range(11, 202)) == ids

    async def test_transaction_is_undone_by_an_exception(self, postgres):
        """Calls inside take part in it, without being told."""
        with pytest.raises(KeyError):
            async with postgres.transaction():
                await postgres.execute("insert into t values (1)")
                assert 1 == await postgres.fetch_val("select count(*) from t")
                raise KeyError

        assert 0 == await postgres.fetch_val("select count(*) from t")

    async def test_transaction_inside_another_is_a_savepoint(self, postgres):
        """The inner one may fail alone."""
        async with postgres.transaction():
            await postgres.execute("insert into t values (1)")
            with pytest.raises(Unprocessable, match="divides by zero"):
                async with postgres.transaction():
                    await postgres.execute("insert into t values (2)")
                    await postgres.execute("select 1 / 0")
            await postgres.execute("insert into t values (3)")

        rows = await postgres.fetch_all("select id from t order by id")
        assert [1, 3] == [row["id"] for row in rows]

    async def test_transaction_by_hand(self, postgres):
        """start, commit and rollback, as `databases` has them."""
        transaction = await postgres.transaction()
        await postgres.execute("insert into t values (1)")
        await transaction.rollback()
        transaction = await postgres.transaction()
        await postgres.execute("insert into t values (2)")
        await transaction.commit()

        assert 2 == await postgres.fetch_val("select sum(id) from t")
        with pytest.raises(RuntimeError, match="has ended"):
            await transaction.commit()

    async def test_tasks_started_in_a_transaction_are_not_in_it(self, postgres):
        """Each takes a connection of its own, and does not see what is uncommitted."""
        async with postgres.transaction():
            await postgres.execute("insert into t values (1)")
            count = "select count(*) from t"
            seen = await asyncio.gather(*(postgres.fetch_val(count) for _ in range(3)))
            own = await postgres.fetch_val(count)

        assert ([0, 0, 0], 1) == (seen, own)

    async def test_task_that_outlives_a_transaction_leaves_it(self, postgres):
        """It gets a connection of the pool, never one that somebody else has now."""
        go = asyncio.Event()

        async def later():
            await go.wait()
            await postgres.execute("insert into t values (1)")

        async with postgres.transaction():
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        async with postgres.transaction():
            go.set()
            await task
            assert 0 < await postgres.fetch_val("select count(*) from t")

        assert 1 == await postgres.fetch_val("select count(*) from t")

    async def test_other_requests_are_not_in_it(self, postgres):
        """A transaction belongs to the context that began it."""
        begun, done = asyncio.Event(), asyncio.Event()

        async def one():
            async with postgres.transaction():
                await postgres.execute("insert into t values (1)")
                begun.set()
                await done.wait()

        task = asyncio.create_task(one())
        await begun.wait()
        assert 0 == await postgres.fetch_val("select count(*) from t")
        done.set()
        await task

    async def test_iterate_in_a_transaction_sees_it(self, postgres):
        """Also while other statements run between the rows."""
        async with postgres.transaction():
            await postgres.execute("insert into t select generate_series(1, 120)")
            total = 0
            async for row in postgres.iterate("select id from t"):
                total += await postgres.fetch_val("select :id::int", {"id": row.id})

        assert 7260 == total

    async def test_cancelled_transaction_leaves_nothing(self, postgres, live):
        """A caller who goes away in the middle undoes all and frees the connection."""
        begun = asyncio.Event()

        async def one():
            async with postgres.transaction():
                await postgres.execute("insert into t values (1)")
                begun.set()
                await postgres.execute("select pg_sleep(30)")

        task = asyncio.create_task(one())
        await begun.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        pool = live["client_postgres_asyncpg_pool"]
        assert 0 == await postgres.fetch_val("select count(*) from t")
        assert pool.get_size() == pool.get_idle_size()

    async def test_full_pool_is_told_in_time(self, url):
        """A caller waits for a connection as long as config says, not for ever."""
        config = {
            **DEFAULTS,
            "config_postgres_url": url,
            "config_postgres_max_connection": 1,
            "config_postgres_acquire_timeout_sec": 0.2,
        }
        async with opened(CLIENTS, config) as live:
            async with live["client_postgres_asyncpg_pool"].acquire():
                with pytest.raises(Unavailable) as caught:
                    await live["client_postgres"].fetch_val("select 1")

        assert "pool.exhausted" == caught.value.code


class TestPool:
    """How connections are set up."""

    async def test_pooled_connection_takes_asyncpgs_calls(self, live):
        """`client_postgres_asyncpg`: a connection's calls, on the pool."""
        client = live["client_postgres_asyncpg"]
        await client.execute("insert into t values ($1, $2)", 1, "a")
        async with client.transaction():
            await client.executemany("insert into t values ($1)", [(2,), (3,)])
            assert 3 == await client.fetchval("select count(*) from t")
            assert 3 == len(await client.fetch("table t"))
        assert "a" == (await client.fetchrow("select * from t where id = $1", 1))[1]
        with pytest.raises(AttributeError, match="asyncpg_pool"):
            client.add_listener("x", print)

    async def test_settings_of_a_connection(self, live):
        """UTC, no JIT, bounded statements and idle transactions; all with a name."""
        names = [
            *("application_name", "timezone", "jit", "statement_timeout"),
            "idle_in_transaction_session_timeout",
        ]
        pool = live["client_postgres_asyncpg_pool"]
        found = [await pool.fetchval("select current_setting($1)", n) for n in names]

        assert ["atom", "UTC", "off", "30s", "1min"] == found

    async def test_pooler_is_asked_for_nothing_it_refuses(self, url):
        """Without statement cache only settings PgBouncer passes on are sent."""
        config = {**DEFAULTS, "config_postgres_url": url}
        config["config_postgres_statement_cache_size"] = 0
        async with opened(CLIENTS, config) as live:
            pool = live["client_postgres_asyncpg_pool"]
            assert "UTC" == await pool.fetchval("show timezone")
            assert "0" == await pool.fetchval("show statement_timeout")

    async def test_role_called_atom_still_means_public(self, url):
        """`"$user"` would otherwise find Atom's own schema before public."""
        admin = await connected(url)
        await admin.execute("create role atom login superuser; create schema atom")
        far = url.replace("//near@", "//atom@")
        try:
            async with opened(
                CLIENTS, {**DEFAULTS, "config_postgres_url": far}
            ) as live:
                await live["client_postgres"].execute("create table here (id int)")
                found = await admin.fetchval("select to_regclass('public.here')::text")
        finally:
            await admin.execute("drop owned by atom cascade; drop role atom")
            await admin.close()

        assert "here" == found

    async def test_primary_that_is_away_stops_the_start(self):
        """Key and cure, and not the password."""
        url = f"postgresql://me:s3cret@127.0.0.1:{free_port()}/x"
        with pytest.raises(ConfigError) as caught:
            async with opened(CLIENTS, {**DEFAULTS, "config_postgres_url": url}):
                pass

        assert "config_postgres_url" in str(caught.value)
        assert "s3cret" not in str(caught.value)

    async def test_primary_that_cannot_be_read_stops_the_start(self):
        """A URL with a slip in it is told without being printed."""
        config = {**DEFAULTS, "config_postgres_url": "postgres//me:s3cret@h/x"}
        with pytest.raises(ConfigError) as caught:
            async with opened(CLIENTS, config):
                pass

        assert "config_postgres_url" in str(caught.value)
        assert "s3cret" not in str(caught.value)

    async def test_replica_has_its_own_pool(self, url):
        """Reads may go elsewhere; it is named like the primary's client."""
        config = {
            **DEFAULTS,
            "config_postgres_url": url,
            "config_postgres_url_read": url,
        }
        async with opened(CLIENTS, config) as live:
            read = live["client_postgres_read"]
            assert 1 == await read.fetch_val("select 1")
            assert read.pool is not live["client_postgres_asyncpg_pool"]


async def test_nothing_configured_opens_nothing(caplog):
    """An empty config starts without a word."""
    async with opened(CLIENTS, DEFAULTS) as live:
        assert {None} == set(live.values())
        assert {"off"} == set((await health(CLIENTS, live)).values())

    assert [] == caplog.records


async def test_redis_that_comes_late_is_taken_up(caplog):
    """Started before its Redis, the server has it as soon as it is there."""
    port = free_port()
    config = {**DEFAULTS, "config_redis_url": f"redis://127.0.0.1:{port}/0"}
    came = asyncio.Event()
    async with opened(
        CLIENTS, config, on_open=lambda *_: came.set(), again=(0.05, 0.05)
    ) as live:
        assert live["client_redis"] is None
        assert "client.silent" == live.problems["client_redis"].code
        with valkey(port):
            async with asyncio.timeout(5):
                await came.wait()
            assert await live["client_redis"].ping()
            assert "ok" == (await health(CLIENTS, live))["client_redis"]
        assert "silent" == (await health(CLIENTS, live))["client_redis"]
    assert "config_redis_url" in caplog.text


async def test_redis_waits_for_a_connection_instead_of_failing(redis_url):  # noqa: F811
    """More callers at once than connections: they queue."""
    config = {**DEFAULTS, "config_redis_url": redis_url}
    async with opened(CLIENTS, config) as live:
        answers = await asyncio.gather(
            *(live["client_redis"].incr("n") for _ in range(200))
        )

    assert set(range(1, 201)) == set(answers)


async def test_what_needs_no_server_to_open(caplog):
    """AWS, OpenAI and PostHog are there when their keys are."""
    host = f"http://127.0.0.1:{free_port()}"
    config = {
        **DEFAULTS,
        "config_aws_access_key_id": "id",
        "config_aws_secret_access_key": "secret",
        "config_s3_region_name": "eu-west-1",
        "config_sns_region_name": "eu-west-1",
        "config_ses_region_name": "eu-west-1",
        "config_aws_endpoint_url": host,
        "config_openai_key": "sk-x",
        "config_openai_base_url": host,
        "config_posthog_project_key": "phc_x",
        "config_posthog_project_host": host,
    }
    names = ["s3", "s3_resource", "sns", "ses", "openai", "posthog"]
    async with opened(CLIENTS, config) as live:
        assert all(live[f"client_{name}"] for name in names)
        post = live["client_s3"].generate_presigned_post("bucket", "user_7/a.png")
        assert f"{host}/bucket" == post["url"]
        assert "b" == live["client_s3_resource"].Bucket("b").name

    assert [] == [one for one in caplog.records if one.name.startswith("atom")]


async def test_celery_sends_to_a_real_broker(redis_url):  # noqa: F811
    """A task is in the queue when `send_task` returns."""
    config = {
        **DEFAULTS,
        "config_celery_broker_url": redis_url,
        "config_redis_url": redis_url,
    }
    async with opened(CLIENTS, config) as live:
        await live["client_redis"].flushall()
        assert "ok" == (await health(CLIENTS, live))["client_celery_producer"]
        send = live["client_celery_producer"].send_task
        await asyncio.to_thread(send, "work", kwargs={"a": 1})

        assert 1 == await live["client_redis"].llen("celery")


async def test_kafka_confirms_a_message():
    """Sent means: written; the mock cluster of librdkafka answers the real driver."""
    broker = subprocess.Popen(
        [sys.executable, "-c", BROKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = broker.stdout.readline().strip()
        config = {**DEFAULTS, "config_kafka_url": address}
        async with opened(CLIENTS, config) as live:
            assert "ok" == (await health(CLIENTS, live))["client_kafka_producer"]
            producer = live["client_kafka_producer"]
            sent = await producer.send_and_wait("channel_1", b"x")
            assert 0 == sent.offset
    finally:
        broker.stdin.close()
        broker.wait(10)
        broker.stdout.close()


async def test_services_that_are_away_hold_nothing_up(caplog):
    """Each is named with its key; the server is up within seconds."""
    caplog.set_level(logging.WARNING)
    port = free_port()
    config = {
        **DEFAULTS,
        "config_postgres_url_read": f"postgresql://me:s3cret@127.0.0.1:{port}/x",
        "config_redis_url": f"redis://:s3cret@127.0.0.1:{port}",
        "config_mongodb_url": f"mongodb://me:s3cret@127.0.0.1:{port}",
        "config_celery_broker_url": f"redis://:s3cret@127.0.0.1:{port}",
        "config_kafka_url": f"127.0.0.1:{port}",
        "config_rabbitmq_url": f"amqp://me:s3cret@127.0.0.1:{port}",
    }
    began = time.monotonic()
    async with opened(CLIENTS, config) as live:
        took = time.monotonic() - began
        silent = {name for name, one in live.problems.items()}
        report = await health(CLIENTS, live)

    names = {
        *("client_postgres_read", "client_redis", "client_mongodb"),
        *("client_celery_producer", "client_kafka_producer"),
        *("client_rabbitmq", "client_rabbitmq_channel"),
    }
    assert names == silent == {name for name, word in report.items() if word != "off"}
    assert took < 20  # together, not one after the other
    ours = [one for one in caplog.records if one.name.startswith("atom")]
    assert 6 == len(ours)
    assert "s3cret" not in "".join(one.getMessage() for one in ours)


async def test_kafka_user_without_a_password_is_told():
    """Half a sign-on is no sign-on."""
    config = {**DEFAULTS, "config_kafka_url": "127.0.0.1:1"}
    config["config_kafka_username"] = "me"
    async with opened(CLIENTS, config) as live:
        problem = live.problems["client_kafka_producer"]

    assert "client.missing" == problem.code
    assert "config_kafka_password" in problem.hint
