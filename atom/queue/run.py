"""A consumer process: `python consumer_redis.py`, and the same for each broker.

It exits with 0 after SIGTERM or SIGINT, once what was being handled is done; with 1
when it cannot work as it is configured.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from atom.backoff import Backoff
from atom.client import MISSING
from atom.config.view import view
from atom.errors import ConfigError, Unavailable
from atom.observe import log as logs
from atom.observe import metrics
from atom.port import Ports
from atom.queue.broker import Broker
from atom.queue.consumer import Consumer, QueueConfig

if TYPE_CHECKING:
    from atom.runtime import Runtime

log = logging.getLogger(__name__)

HEALTH_SECONDS = 5.0
END_SECONDS = 20.0  # to close what is open, once what was in hand has had its time


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What config sets for a consumer process."""

    channel: str
    log_level: str
    queue_concurrency: int


def run_consumer(
    name: str, runtime: "Runtime", words: Sequence[str] | None = None
) -> NoReturn:
    """Take messages of one broker until the process is asked to stop, and exit."""
    import uvloop

    given = view(RunConfig, runtime.config)
    asked = _parser(name, given).parse_args(words)
    logs.configure(given.log_level)
    config = view(QueueConfig, runtime.config)
    config = replace(config, queue_concurrency=asked.concurrency)
    try:
        if asked.metrics_port is not None:
            metrics.serve(asked.metrics_host, asked.metrics_port)
        uvloop.run(_serve(name, runtime, config, asked))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    raise SystemExit(0)


def _parser(name: str, given: RunConfig) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python consumer_{name}.py",
        description=f"Takes messages from {name} and does what they ask for.",
    )
    parser.add_argument(
        "--channel", default=given.channel, help="queue, stream or topic"
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=given.queue_concurrency,
        help="messages handled at once",
    )
    metrics.add_arguments(parser)
    parser.add_argument(
        "--health-file", type=Path, help="touched every 5 s while the process works"
    )
    return parser


async def _serve(
    name: str, runtime: "Runtime", config: QueueConfig, asked: argparse.Namespace
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    last = threading.Timer(config.queue_drain_sec + END_SECONDS, _end, (loop,))
    last.daemon = True

    def stop_now() -> None:
        if not stopping.is_set():
            stopping.set()
            last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_now)
    channel = asked.channel
    async with runtime, _healthy(asked.health_file):
        ports = runtime.ports
        broker = await _opened(ports, name, stopping)
        if broker is None:
            return
        consumer = Consumer(runtime, broker, channel, ports.handlers, config)
        log.info(
            "consumer of %s %s is ready: %d at once",
            *(name, channel, config.queue_concurrency),
        )
        work = asyncio.create_task(consumer.run(), name=f"consumer {channel}")
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        consumer.stop()
        await work
        log.info("consumer of %s %s has stopped", name, channel)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """End a process that does not end by itself, and log what it waits for.

    Nothing is lost: what is not settled is delivered again.
    """
    for task in asyncio.all_tasks(loop):
        log.error("it does not end: %s, at %s", task.get_name(), _where(task))
    logging.shutdown()
    os._exit(1)


def _where(task: asyncio.Task[Any]) -> str:
    """Return the functions in which a task waits, from the outermost on."""
    names = []
    at: Any = task.get_coro()
    while (frame := getattr(at, "cr_frame", None)) is not None:
        names.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        at = getattr(at, "cr_await", None)
    return " > ".join(names)


async def _opened(ports: Ports, name: str, stopping: asyncio.Event) -> Broker | None:
    """Wait for the broker; None when the process is to stop before.

    Raises:
        ConfigError: when it cannot be opened as it is configured.
    """
    backoff = Backoff(0.2, 2.0)
    while not stopping.is_set():
        try:
            return ports.brokers.get(name)
        except ImportError as error:
            raise ConfigError([f"{name} needs the package {error.name}"]) from error
        except Unavailable as error:
            if error.code == MISSING:
                problem = f"{error.message} {error.hint}"
                raise ConfigError([problem]) from error
            if not backoff.seconds:
                log.warning("waiting for %s: %s", name, error.message)
            await backoff.rest()
    return None


@contextlib.asynccontextmanager
async def _healthy(path: Path | None) -> AsyncIterator[None]:
    """Touch a file while the process works; remove it at the end."""
    if path is None:
        yield
        return

    async def touch() -> None:
        while True:
            await asyncio.to_thread(path.touch)
            await asyncio.sleep(HEALTH_SECONDS)

    work = asyncio.create_task(touch(), name="health file")
    try:
        yield
    finally:
        work.cancel()
        await asyncio.to_thread(path.unlink, missing_ok=True)
