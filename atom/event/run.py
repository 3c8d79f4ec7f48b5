"""The relay in a process: in the server, or in one of its own (`consumer_outbox.py`).

That exits with 0 after SIGTERM or SIGINT, once what is in hand is delivered; with 1
when it cannot work as it is configured.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from atom.config.resolve import is_production
from atom.config.view import view
from atom.errors import ConfigError
from atom.event.declaration import EventConfig
from atom.event.relay import Relay
from atom.event.target import targets
from atom.observe import log as logs
from atom.observe import metrics
from atom.port import Ports

if TYPE_CHECKING:
    from atom.runtime import Runtime

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
HEALTH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What config sets for a process of the relay."""

    log_level: str


def is_served(config: EventConfig) -> bool:
    """Whether the server itself delivers events; production leaves it to a process."""
    if config.is_outbox is None:
        return not is_production(config.env)
    return config.is_outbox


@asynccontextmanager
async def relayed(app: Any) -> AsyncIterator[Relay]:
    """Deliver events until the end of the block; `app` has `state.ports`."""
    ports: Ports = app.state.ports
    async with AsyncExitStack() as ending:
        found = targets(app, ports.events, ending)
        relay = Relay(ports.database, ports.bus, ports.events, found)
        relay.start()
        try:
            yield relay
        finally:
            await relay.close(DRAIN_SECONDS)


@asynccontextmanager
async def relayed_by_server(app: Any) -> AsyncIterator[None]:
    """Deliver events in the server, if config has it do so."""
    if not is_served(app.state.ports.events.config):
        yield
        return
    async with relayed(app):
        yield


def run_outbox(runtime: "Runtime", words: Sequence[str] | None = None) -> NoReturn:
    """Deliver events until the process is asked to stop, and exit."""
    import uvloop

    parser = argparse.ArgumentParser(
        prog="python consumer_outbox.py",
        description="Delivers the events of the outbox to their targets.",
    )
    parser.add_argument(
        "--health-file", type=Path, help="touched every 5 s while the process works"
    )
    metrics.add_arguments(parser)
    asked = parser.parse_args(words)
    logs.configure(view(RunConfig, runtime.config).log_level)
    try:
        if asked.metrics_port is not None:
            metrics.serve(asked.metrics_host, asked.metrics_port)
        uvloop.run(_serve(runtime, asked.health_file))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    raise SystemExit(0)


async def _serve(runtime: "Runtime", health_file: Path | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with runtime, relayed(runtime) as relay:
        log.info("outbox: delivers to %s", ", ".join(relay.lanes) or "nothing")
        while not stopping.is_set():
            if health_file is not None:
                await asyncio.to_thread(health_file.touch)
            try:
                async with asyncio.timeout(HEALTH_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue
    if health_file is not None:
        await asyncio.to_thread(health_file.unlink, missing_ok=True)
    log.info("outbox: has stopped")
