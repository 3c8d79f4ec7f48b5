"""The clinic, served once for the tests of this folder."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import contextmanager

import asyncpg
import pytest
from redis import Redis

from tests.acceptance.checkout import copied
from tests.acceptance.clinic import config, driver, oracle, world
from tests.acceptance.conftest import opened
from tests.acceptance.consumer.consuming import consuming
from tests.acceptance.people import newcomer
from tests.database import postgres
from tests.integration.near import valkey
from tests.served import free_port, serve

KEY = secrets.token_hex(32)  # one for all servers: a token is good at each of them


@contextmanager
def served(folder, url, keys, more=None):
    """Serve the clinic with these keys on a database."""
    code = copied(folder, config_clinic=config.text(keys))
    given = {"config_postgres_url": url, "config_is_postgres_init": "1"}
    given |= {"config_key_jwt": KEY, **(more or {})}
    with serve(given, code=code) as found:
        running = opened(found)
        running.broker = None
        yield running
        running.http.close()


@contextmanager
def served_with_queue(folder, url, keys):
    """Serve it with a broker, and with the consumer of its messages."""
    with valkey(free_port()) as broker, Redis.from_url(broker) as client:
        more = {"config_redis_pubsub_url": broker, "config_queue_retry_sec": "0.05"}
        with served(folder, url, keys, more) as running:
            running.broker = client
            with consuming("redis", folder, running.config) as process:
                yield running
                assert process.poll() is None


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL whose superuser makes the roles of the oracle."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def clinic_api(tmp_path_factory, cluster):
    """A server with the clinic as it is declared."""
    folder = tmp_path_factory.mktemp("clinic")
    with served_with_queue(folder, cluster, config.declared()) as running:
        yield running


@pytest.fixture(scope="session")
def people(clinic_api):
    """Everyone of the clinic, logged in."""
    rights = {"api_access": "1,2,3,4,5"}
    return {
        name: newcomer(clinic_api, **(rights if name in world.ADMINS else {}))
        for name in world.PEOPLE
    }


@pytest.fixture(scope="session")
def built(cluster, clinic_api, people):
    """The rows of the world and the oracle, made; returns the ids of people."""
    ids = {name: who.id for name, who in people.items()}
    assert clinic_api

    async def build():
        connection = await asyncpg.connect(cluster)
        try:
            await oracle.Oracle(connection, ids).build()
        finally:
            await connection.close()

    asyncio.run(build())
    return ids


@pytest.fixture
def with_clinic(cluster, people, built):
    """Run something with the clinic as a server has it, next to the oracle."""

    def run(api, work: Callable[[driver.Clinic], Awaitable[object]]) -> object:
        async def whole():
            connection = await asyncpg.connect(cluster)
            try:
                found = oracle.Oracle(connection, built)
                return await work(driver.Clinic(api, people, found, api.broker))
            finally:
                await connection.close()

        return asyncio.run(whole())

    return run
