"""Streams under load: how late changes come, and what the server needs for it.

`python -m bench.stream [readers] [changes a second] [seconds] [workers]`. Rows are
written by plain SQL, a statement each. First each reader follows rows of its own by a
filter, then all of them follow all rows. The readers are on the machine of the server,
in a process of their own. The time of a change counts from before its statement, which
is reported for itself as well.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import quantiles
from urllib.parse import urlsplit

import asyncpg
import psutil

from embedded.folder import urls
from tests.served import Served, serve

CONFIG = {
    "config_stream_table_list": "test",
    "config_table_allowed_public_read_list": "test",
    "config_stream_caller_max": "100000",
    "config_log_level": "warning",
}
SAMPLED = 50  # readers that look at what they are sent


async def write(
    url: str, readers: int, rate: int, seconds: int
) -> tuple[float, list[float]]:
    """Insert rows at a rate. Return the rate reached, and how long each took."""
    insert = "insert into test (title, type) values ($1, $2)"
    pool = await asyncpg.create_pool(url, min_size=16, max_size=16)
    began, took = time.monotonic(), list[float]()

    async def one(number: int) -> None:
        async with pool.acquire() as held:  # the wait for one is not the server's
            start = time.time()
            await held.execute(insert, f"{start:.6f}", number % readers)
            took.append(time.time() - start)

    running = set()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        running.add(task := asyncio.create_task(one(number)))
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    await pool.close()
    return rate * seconds / (time.monotonic() - began), took


def _cpu(processes: Iterable[psutil.Process]) -> float:
    """Return the seconds of CPU that some processes have had, their dead included."""
    return sum(sum(each.cpu_times()[:4]) for each in processes)


async def run(
    served: Served, which: str, readers: int, rate: int, seconds: int
) -> None:
    """Connect, write, and report."""
    at = urlsplit(served.url)
    every = 1 if which == "own" else max(1, readers // SAMPLED)
    began = time.monotonic()
    given = [which, at.hostname, at.port, readers, every]
    crowd = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
        [sys.executable, "-m", "bench.stream_readers", *map(str, given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == b"ready\n"
    connected = time.monotonic() - began
    top = psutil.Process(served.process.pid)
    children = [each for each in top.children(recursive=True) if each.is_running()]
    stores = [each for each in children if "postgres" in each.name()]
    workers = [top, *(each for each in children if each not in stores)]
    before, stored = _cpu(workers), _cpu(stores)
    url = urls(served.config["config_atom_folder"])["config_postgres_url"]
    reached, took = await write(url, readers, rate, seconds)
    await asyncio.sleep(2)
    cpu, stored = _cpu(workers) - before, _cpu(stores) - stored
    memory = max(each.memory_info().rss for each in workers) / 2**20
    seen = json.loads(crowd.communicate(b"over")[0])
    late = seen["late"]
    expected = rate * seconds * (1 if which == "own" else len(range(0, readers, every)))
    events = rate * seconds * (1 if which == "own" else readers)
    cuts, writes = quantiles(late, n=100), quantiles(took, n=100)
    sys.stdout.write(
        f"{which}: {readers} readers in {connected:.0f} s, {reached:.0f} changes/s;"
        f" p50 {cuts[49] * 1000:.0f} ms, p95 {cuts[94] * 1000:.0f} ms,"
        f" p99 {cuts[98] * 1000:.0f} ms, longest {max(late) * 1000:.0f} ms;"
        f" the statement itself {writes[49] * 1000:.0f} and {writes[94] * 1000:.0f} ms;"
        f" {len(late)} of {expected} seen, {seen['over']} dropped;"
        f" {seen['size'] / 2**20:.0f} MiB sent in {seen['reads']} parts;"
        f" CPU seconds: workers {cpu:.2f} ({cpu / events * 1e6:.2f} us an event),"
        f" database {stored:.2f}, readers {seen['cpu']:.2f};"
        f" {memory:.0f} MiB a worker at most\n"
    )


def main(
    readers: int = 2000, rate: int = 200, seconds: int = 20, workers: int = 2
) -> None:
    """Serve, and run both."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for which in ("own", "all"):
        with serve({**CONFIG, "config_workers": str(workers)}) as served:
            asyncio.run(run(served, which, readers, rate, seconds))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
