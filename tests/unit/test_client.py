"""Opening what is configured, going on without what fails, closing what was opened."""

import asyncio
import logging
import sys

import pytest

from atom.client import Client, Live, health, needed, opened
from atom.client.all import CLIENTS
from atom.errors import ConfigError, Unavailable

CONTRACT = [
    "client_celery_producer",
    "client_fast2sms",
    "client_google",
    "client_http",
    "client_kafka_producer",
    "client_mongodb",
    "client_oidc",
    "client_openai",
    "client_postgres",
    "client_postgres_asyncpg",
    "client_postgres_asyncpg_pool",
    "client_postgres_read",
    "client_posthog",
    "client_prometheus",
    "client_rabbitmq",
    "client_rabbitmq_channel",
    "client_redis",
    "client_redis_producer",
    "client_redis_ratelimiter",
    "client_resend",
    "client_s3",
    "client_s3_resource",
    "client_sentry",
    "client_ses",
    "client_smtp",
    "client_sns",
    "client_sqs",
]
URL = "service://me:pa%24s@host/db"


class Service:
    """A service that can be away; keeps a diary."""

    def __init__(self):
        self.diary = []
        self.away = {}

    def client(self, name, **options):
        async def open(config, live):
            if name in self.away:
                raise self.away[name]
            self.diary.append(f"open {name}")
            return name

        async def close(handle):
            self.diary.append(f"close {name}")
            if f"close {name}" in self.away:
                raise self.away[f"close {name}"]

        async def probe(handle):
            if f"probe {name}" in self.away:
                raise self.away[f"probe {name}"]

        needs = options.pop("needs", ("url",))
        return Client(name, needs, f"lib{name}", open, close, probe, **options)


@pytest.fixture
def service():
    return Service()


async def test_clients_close_in_reverse(service):
    """What was opened last may need what was opened first."""
    clients = (service.client("a"), service.client("b"))
    async with opened(clients, {"url": URL}) as live:
        assert {"a": "a", "b": "b"} == live

    assert ["open a", "open b", "close b", "close a"] == service.diary


async def test_one_that_closes_badly_leaves_no_other_open(service, caplog):
    """Every client is closed, and the log says which failed."""
    service.away["close b"] = OSError("gone")
    clients = (service.client("a"), service.client("b"))
    async with opened(clients, {"url": URL}):
        pass

    assert "close a" == service.diary[-1]
    assert ["b did not close cleanly: OSError"] == [r.message for r in caplog.records]


async def test_packages_are_imported_before_any_client_is_opened(tmp_path, monkeypatch):
    """An import keeps the loop busy: who waits for an answer would seem silent."""
    (tmp_path / "slow_driver.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    imported = []

    async def open(config, live):
        imported.append("slow_driver" in sys.modules)
        return config["url"]

    clients = (
        Client("a", ("url",), "", open),
        Client("b", ("url",), "slow-driver[fast]==1.2", open),
        Client("c", ("other",), "json.tool", open),
    )
    async with opened(clients, {"url": URL}) as live:
        assert {"a": URL, "b": URL, "c": None} == live
    del sys.modules["slow_driver"]

    assert [True, True] == imported


async def test_client_without_its_keys_is_none(service):
    """Nothing is needed: an empty .env starts."""
    clients = (service.client("a"),)
    async with opened(clients, {"url": ""}) as live:
        assert {"a": None} == live
        assert {} == live.problems
        assert {"a": "off"} == await health(clients, live)


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (ImportError("no libb"), "client.missing", "Run: pip install libb"),
        (ConfigError(["unset x"]), "client.missing", "unset x"),
        (OSError("refused"), "client.silent", "Check url and that the service runs."),
        (TimeoutError(), "client.silent", "Check url and that the service runs."),
    ],
    ids=["package", "config", "refused", "timeout"],
)
async def test_one_that_does_not_open_stops_nobody(service, caplog, error, code, hint):
    """The server starts, says once what is wrong, and routes can say it too."""
    service.away["b"] = error
    clients = (service.client("a"), service.client("b"), service.client("c"))
    async with opened(clients, {"url": URL}) as live:
        assert {"a": "a", "b": None, "c": "c"} == live
        assert (code, hint) == (live.problems["b"].code, live.problems["b"].hint)
        word = (await health(clients, live))["b"]
        assert word.endswith(hint) if code == "client.missing" else word == "silent"
        with pytest.raises(Unavailable) as caught:
            needed(live, "b")

    assert (code, hint) == (caught.value.code, caught.value.hint)
    assert 1 == len(caplog.records)
    assert hint in caplog.text


async def test_half_a_set_of_keys_is_told(service, caplog):
    """A user who set the URL but forgot the password is told which key is missing."""
    clients = (service.client("a", needs=("url", "password")),)
    async with opened(clients, {"url": URL}) as live:
        assert live["a"] is None
        assert "client.missing" == live.problems["a"].code

    assert "Set password." in caplog.text
    assert [] == service.diary


async def test_shared_keys_alone_switch_nothing_on(service, caplog):
    """AWS keys without a region: S3 is off, not half configured."""
    clients = (service.client("a", needs=("key", "region"), switch=("region",)),)
    async with opened(clients, {"key": "x"}) as live:
        assert {} == live.problems

    assert [] == caplog.records


async def test_required_one_stops_the_start_without_its_password(service):
    """The primary database: key and cure, and no secret in the text."""
    service.away["b"] = OSError(f"cannot reach {URL} as pa$s or pa%24s")
    clients = tuple(service.client(name, required=True) for name in "abc")
    with pytest.raises(ConfigError) as caught:
        async with opened(clients, {"url": URL}):
            pass

    text = str(caught.value)
    assert "url: b cannot be opened: OSError: cannot reach *** as *** or ***" in text
    assert "pa$s" not in text
    assert ["open a", "close a"] == service.diary


async def test_late_service_is_taken_up(service, caplog):
    """It is tried again until it comes; then the hook hears of it and it is closed."""
    caplog.set_level(logging.INFO)
    service.away["b"] = OSError("refused")
    child = service.client("c", after="b")
    clients = (service.client("a"), service.client("b"), child)
    came, arrived = [], asyncio.Event()

    def on_open(name, handle):
        came.append((name, handle))
        if name == "c":
            arrived.set()

    async with opened(
        clients, {"url": URL}, on_open=on_open, again=(0.01, 0.01)
    ) as live:
        await asyncio.sleep(0.05)
        assert [] == came
        assert "client.silent" == live.problems["c"].code
        del service.away["b"]
        async with asyncio.timeout(30):
            await arrived.wait()
        assert {"a": "a", "b": "b", "c": "c"} == live
        assert {} == live.problems

    assert [("b", "b"), ("c", "c")] == came
    assert ["close c", "close b", "close a"] == service.diary[-3:]
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert 1 == len(warnings)


async def test_health_asks_all_at_once_and_says_no_more_than_a_word(service):
    """What a driver says stays in the log."""
    service.away["probe b"] = OSError("password=secret")
    clients = (service.client("a"), service.client("b"), service.client("c"))
    live = Live()
    live.update(a="a", b="b", c=None)

    assert {"a": "ok", "b": "silent", "c": "off"} == await health(clients, live)


async def test_unconfigured_client_is_named_with_its_keys():
    """A route that needs it answers 503 with the key to set."""
    with pytest.raises(Unavailable) as caught:
        needed({"client_s3": None}, "client_s3", "config_s3_region_name")

    assert "client.missing" == caught.value.code
    assert "Set config_s3_region_name." == caught.value.hint


def test_every_client_of_the_contract_is_declared_once():
    """Names on app.state are what the contract says."""
    assert CONTRACT == sorted(client.name for client in CLIENTS)


def test_clients_come_after_what_they_are_made_from():
    """The order of CLIENTS is the order of opening."""
    names = [client.name for client in CLIENTS]
    for client in CLIENTS:
        assert not client.after or client.after in names[: names.index(client.name)]
