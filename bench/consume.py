"""Consumers: messages a second, against a loop written by hand on the same client."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg

from atom.client import opened as opened_clients
from atom.client.all import CLIENTS
from atom.config.keys import KEYS
from bench.load import BenchError, Counted
from bench.measure import Row
from bench.scene import copy, database, keep_on, own_cores
from tests.served import ROOT, environment, serve
from tests.service.aws import keys
from tests.service.server import AbsentError
from tests.service.shared import begin, end, opened

MESSAGES = 3000
FEW = 300  # of a slow server
AT_ONCE = 10  # sent at once
CONFIG = """
config_postgres_schema = {"table": {"bench_note": ["text-text-0-0",
                                                   "at-timestamptz-0-0"]}}
"""
HANDLER = """
from extend import *

async def function_bench_note(connection, text: str):
    await connection.execute("insert into bench_note (text) values (:text)",
                             {"text": text})
"""
STAMP = "alter table bench_note alter column at set default clock_timestamp()"
SPAN = "select count(*), extract(epoch from max(at) - min(at)) from bench_note"
BROKERS: dict[str, tuple[str, Callable[[str], dict[str, str]]]] = {  # server, config
    "redis": ("redis", lambda url: {"config_redis_pubsub_url": url}),
    "rabbitmq": ("rabbitmq", lambda url: {"config_rabbitmq_url": url}),
    "kafka": ("kafka", lambda url: {"config_kafka_url": url}),
    "sqs": ("aws", keys),
    "celery": ("rabbitmq", lambda url: {"config_celery_broker_url": url}),
}
CELERY = ["-m", "celery", "-A"]
WORKER = ["worker", "-c", "1", "--loglevel=WARNING"]
SECONDS = 300


@dataclass(frozen=True)
class Stage:
    """A broker with a channel, a database with a table, a folder with Atom in it."""

    name: str
    url: str
    database: str
    code: Path
    config: dict[str, str]
    own: dict[str, str]  # of the broker

    @property
    def messages(self) -> int:
        """How many are sent."""
        return FEW if self.name == "sqs" else MESSAGES

    cores: set[int]

    def run(self, words: list[str], config: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a consumer on the cores of the servers."""
        before = own_cores()
        keep_on(self.cores)
        try:
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.code, env=environment(config)
            )
        finally:
            keep_on(before)


def note(number: int) -> dict[str, Any]:
    """Return a message that a function of the project handles."""
    return {"function": "function_bench_note", "text": f"note {number}"}


def row(number: int) -> dict[str, Any]:
    """Return a message that asks for a row: those that wait are written together."""
    rows = [{"text": f"note {number}"}]
    asked = {"table": "bench_note", "object_list": rows}
    return {"function": "function_object_create_postgres", **asked}


async def fill(stage: Stage, channel: str, message: Callable[[int], Any]) -> None:
    """Send the messages, and empty the table."""
    config = {key.name: key.default for key in KEYS} | stage.own
    async with opened_clients(CLIENTS, config) as live:
        broker = import_module(f"atom.queue.{stage.name}").broker(live, config)
        await broker.setup(channel)
        for start in range(0, stage.messages, AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + AT_ONCE):
                    message_id = secrets.token_hex(8)
                    body = json.dumps({**message(number), "message_id": message_id})
                    group.create_task(
                        broker.send(channel, body.encode(), message_id=message_id)
                    )
    connection = await asyncpg.connect(stage.database)
    try:
        await connection.execute(f"truncate bench_note; {STAMP}")
    finally:
        await connection.close()


async def counted(stage: Stage, process: subprocess.Popen[bytes]) -> Counted:
    """Wait for the last row; the clock runs from the first."""
    until = time.monotonic() + SECONDS
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(stage.database)
        stack.push_async_callback(connection.close)
        while True:
            found, seconds = await connection.fetchrow(SPAN)
            if found == stage.messages:
                return Counted(stage.messages, float(seconds))
            if process.poll() is not None or time.monotonic() > until:
                raise BenchError(f"{stage.name}: {found} of {stage.messages} rows")
            await asyncio.sleep(0.1)


def side(
    stage: Stage, message: Callable[[int], Any], *, is_by_hand: bool = False
) -> Callable[[int], Counted]:
    """Return a side: the consumer of Atom, or the loop written by hand."""

    def run(_: int) -> Counted:
        channel = f"bench_{secrets.token_hex(4)}"
        asyncio.run(fill(stage, channel, message))
        config = stage.config | {"config_channel": channel}
        words = [f"consumer_{stage.name}.py", "--channel", channel]
        if is_by_hand:
            loop = str(ROOT / "bench" / "consume_byhand.py")
            words = [loop, stage.name, stage.url, stage.database, channel]
        if stage.name == "celery":
            app = "bench.consume_celery" if is_by_hand else "consumer_celery"
            words = [*CELERY, app, *WORKER]
            config |= {"PYTHONPATH": str(ROOT), "BENCH_DATABASE": stage.database}
        process = stage.run(words, config)
        try:
            return asyncio.run(counted(stage, process))
        finally:
            process.terminate()
            process.wait(30)

    return run


def lines(stage: Stage) -> Iterator[Row]:
    """Yield the two rows of a broker."""
    by_hand = side(stage, note, is_by_hand=True)
    for name, label, message, least in (
        ("consume", f"{stage.name}: a message handled", note, 0.7),
        ("consume-rows", f"{stage.name}: a row written, waiting together", row, 3.0),
    ):
        mine = side(stage, message)
        other = "one insert a message"
        yield Row(
            name,
            label,
            other,
            mine,
            by_hand,
            least,
            lambda: None,
            warms=False,
            counted=0,
        )


@contextmanager
def stages(folder: Path, cores: set[int]) -> Iterator[list[Stage]]:
    """Start what this machine has of brokers."""
    folder.mkdir()
    code = copy(folder / "code", router='"""None."""\n', config=CONFIG)
    (code / "router_bench.py").unlink()
    (code / "handler_bench.py").write_text(HANDLER)
    with ExitStack() as stack:
        if (run := begin()) is not None:
            stack.callback(end, run)
        url = stack.enter_context(database(folder / "database"))
        config = {"config_postgres_url": url, "config_is_postgres_init": "1"}
        with serve(config, folder=folder / "atom", code=code) as server:
            config = {**server.config, "config_log_level": "warning"}
        found = []
        for name, (service, own_of) in BROKERS.items():
            try:
                server = stack.enter_context(opened(service, folder / name))
            except AbsentError as error:
                sys.stdout.write(f"{name}: absent: {error}\n")
                continue
            own = own_of(server.url)
            given = (code, {**config, **own}, own, cores)
            found.append(Stage(name, server.url, url, *given))
        yield found
