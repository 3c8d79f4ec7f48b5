"""Streams under load: how late changes come, and what the server needs for it.

`python -m bench.stream [readers] [changes a second] [seconds] [workers]`. Rows are
written by plain SQL, a statement each. First each reader follows rows of its own by a
filter, then all of them follow all rows. The readers are on the machine of the server.
"""

import asyncio
import resource
import sys
import time
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
MARK = b'"title":"'


class Reader(asyncio.Protocol):
    """One reader; every so many-th measures."""

    def __init__(self, path: str, late: list[float] | None) -> None:
        self.path = path
        self.late = late
        self.bytes = 0
        self.is_over = False
        self.began = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        head = f"GET {self.path} HTTP/1.1\r\nHost: x\r\n\r\n"
        transport.write(head.encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        if not self.began.done() and b"event: ready" in data:
            self.began.set_result(None)
        if self.late is not None:
            now = time.time()
            for part in data.split(MARK)[1:]:
                self.late.append(now - float(part.partition(b'"')[0]))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True


async def write(url: str, readers: int, rate: int, seconds: int) -> float:
    """Insert rows at a rate. Return the rate that was reached."""
    insert = "insert into test (title, type) values ($1, $2)"
    pool = await asyncpg.create_pool(url, min_size=16, max_size=16)
    began = time.monotonic()

    async def one(number: int) -> None:
        async with pool.acquire() as held:  # the wait for one is not the server's
            await held.execute(insert, f"{time.time():.6f}", number % readers)

    running = set()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        running.add(task := asyncio.create_task(one(number)))
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    await pool.close()
    return rate * seconds / (time.monotonic() - began)


async def run(
    served: Served, which: str, readers: int, rate: int, seconds: int
) -> None:
    """Connect, write, and report."""
    loop, late, all_readers = asyncio.get_running_loop(), list[float](), []
    at = urlsplit(served.url)
    every = 1 if which == "own" else max(1, readers // SAMPLED)
    began = time.monotonic()
    for start in range(0, readers, 100):
        some = []
        for number in range(start, min(start + 100, readers)):
            path = "/public/rows/test/stream?column=id,title"
            path += f"&type=%3D,{number}" if which == "own" else ""
            sampled = late if number % every == 0 else None
            _, reader = await loop.create_connection(
                lambda path=path, sampled=sampled: Reader(path, sampled),
                at.hostname,
                at.port,
            )
            some.append(reader)
        await asyncio.gather(*(each.began for each in some))
        all_readers += some
    connected = time.monotonic() - began
    server = psutil.Process(served.process.pid)
    workers = [server, *server.children(recursive=True)]
    workers = [each for each in workers if "python" in each.name()]
    cpu = sum(sum(each.cpu_times()[:2]) for each in workers)
    url = urls(served.config["config_atom_folder"])["config_postgres_url"]
    reached = await write(url, readers, rate, seconds)
    await asyncio.sleep(2)
    cpu = sum(sum(each.cpu_times()[:2]) for each in workers) - cpu
    memory = max(each.memory_info().rss for each in workers) / 2**20
    expected = rate * seconds * (1 if which == "own" else len(range(0, readers, every)))
    cuts = quantiles(late, n=100)
    sent = sum(each.bytes for each in all_readers) / 2**20
    over = sum(each.is_over for each in all_readers)
    sys.stdout.write(
        f"{which}: {readers} readers in {connected:.0f} s, {reached:.0f} changes/s;"
        f" p50 {cuts[49] * 1000:.0f} ms, p95 {cuts[94] * 1000:.0f} ms,"
        f" p99 {cuts[98] * 1000:.0f} ms, longest {max(late) * 1000:.0f} ms;"
        f" {len(late)} of {expected} seen, {over} dropped; {sent:.0f} MiB sent;"
        f" CPU {cpu / seconds:.2f} cores, {memory:.0f} MiB a worker at most\n"
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
