"""Whether what a process depends on answers, within a bounded time."""

import asyncio

from atom.port import Ports
from atom.postgres.errors import unavailable

SECONDS = 1.5  # a monitor gives up after 2 s

_asking: set[asyncio.Task[object]] = set()  # at most one: probes share its answer


async def check_database(ports: Ports) -> None:
    """Ask the primary database for an answer.

    A database that is frozen answers neither a query nor its cancellation: the question
    is left behind, and probes that come meanwhile wait for the same one.

    Raises:
        Unavailable: `client.silent` without an answer in time.
    """
    if not _asking:
        task = asyncio.create_task(ports.database.value("select 1"), name="health")
        _asking.add(task)
        task.add_done_callback(_answered)
    (task,) = _asking
    done, _ = await asyncio.wait({task}, timeout=SECONDS)
    if not done or task.exception() is not None:
        raise unavailable()


def _answered(task: asyncio.Task[object]) -> None:
    """Forget a question, and retrieve its error: the next probe reports it."""
    _asking.discard(task)
    if not task.cancelled():
        task.exception()
