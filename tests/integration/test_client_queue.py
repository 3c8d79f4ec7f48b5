"""RabbitMQ and Celery as clients: what is wrong with a URL is named, with its key."""

import pytest
import redis.asyncio as redis

from atom.client import MISSING, SILENT, health, opened
from atom.client.celery import CELERY
from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.config.keys import KEYS
from tests.integration.near import free_port, valkey

DEFAULTS = {key.name: key.default for key in KEYS}
SETS = {
    "config_rabbitmq_url": (RABBITMQ, CHANNEL),
    "config_celery_broker_url": (CELERY,),
}


@pytest.fixture(params=SETS)
def key(request):
    """A key that holds the URL of RabbitMQ."""
    return request.param


async def problem(key, url):
    """Return the problem of the last client that the key switches on."""
    clients = SETS[key]
    async with opened(clients, DEFAULTS | {key: url}) as live:
        found = live.problems[clients[-1].name]
    assert url not in found.message + found.hint
    assert "hidden" not in found.message + found.hint
    return found


async def test_right_url_opens(key, rabbitmq_url):
    """And is well."""
    clients = SETS[key]
    async with opened(clients, DEFAULTS | {key: rabbitmq_url}) as live:
        assert {"ok"} == set((await health(clients, live)).values())


async def test_wrong_password_is_no_silence(key, rabbitmq_url):
    """The cure is another one than for a server that does not run."""
    found = await problem(key, rabbitmq_url.replace("guest:guest@", "guest:hidden@"))
    assert MISSING == found.code
    assert f"{key}: " in found.hint
    assert "refuses this user or password" in found.hint


async def test_missing_virtual_host(key, rabbitmq_url):
    """As a fault of the URL."""
    found = await problem(key, rabbitmq_url.rstrip("/") + "/nowhere")
    assert MISSING == found.code
    assert "virtual host" in found.hint


async def test_server_that_does_not_run(key):
    """Silent: it is tried again."""
    found = await problem(key, f"amqp://guest:hidden@127.0.0.1:{free_port()}/")
    assert SILENT == found.code
    assert key in found.hint


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "nonsense", "amqp://a@b:port/"])
async def test_url_that_is_none(url):
    """What it should look like."""
    found = await problem("config_rabbitmq_url", url)
    assert MISSING == found.code
    assert "expected amqp://user:password@host:5672/virtual_host" in found.hint


async def test_password_of_redis():
    """Celery's other broker."""
    with valkey(free_port()) as url:
        async with redis.from_url(url) as client:
            await client.config_set("requirepass", "right")
        wrong = url.replace("redis://", "redis://:hidden@")
        found = await problem("config_celery_broker_url", wrong)
    assert MISSING == found.code
    assert "refuses this user or password" in found.hint
