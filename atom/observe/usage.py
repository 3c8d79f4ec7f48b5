"""What a process has in use now, as gauges."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atom.observe import metrics
from atom.port import Ports

IN_HAND: Counter[str] = Counter()  # requests by kind: http, websocket


@asynccontextmanager
async def watched(ports: Ports) -> AsyncIterator[None]:
    """Keep the gauges of a process true until the block ends, where metrics are on."""
    if not metrics.is_on():
        yield
        return

    def sample() -> None:
        _sample(ports)

    with metrics.sampled(sample):
        sampling = asyncio.create_task(metrics.sample_always(), name="metrics")
        try:
            yield
        finally:
            sampling.cancel()


def _sample(ports: Ports) -> None:
    pools = {"primary": ports.database.pool}
    if ports.database_read is not ports.database:
        pools["read"] = ports.database_read.pool
    for name, pool in pools.items():
        idle = pool.get_idle_size()
        metrics.CONNECTIONS.set(idle, name, "idle")
        metrics.CONNECTIONS.set(pool.get_size() - idle, name, "used")
        metrics.POOL_MAX.set(pool.get_max_size(), name)
    metrics.TASKS.set(ports.tasks.running)
    metrics.JOURNAL.set(len(ports.journal))
    metrics.IN_FLIGHT.set(IN_HAND["http"])
    metrics.SOCKETS.set(IN_HAND["websocket"])
