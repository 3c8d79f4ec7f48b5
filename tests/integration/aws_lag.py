"""The lag of an event loop from which fifty calls to a slow AWS are in flight.

`python -m tests.integration.aws_lag` prints the longest, in milliseconds.
"""

import asyncio
import os
import subprocess
import sys
import time

from atom.aws import Aws, AwsConfig
from atom.client import opened
from atom.client.aws import S3
from atom.config.keys import KEYS
from atom.config.view import view
from tests.service.aws import keys

SECONDS, CALLS = 2.0, 50
ANSWER = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"


async def answer(reader, writer):
    """Answer each request, later."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(SECONDS)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
            writer.write(head.encode() + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve():
    """Serve until killed; print the port."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=200)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def measure(url):
    """Return the longest lag while the calls are made, and how long these took."""
    config = {key.name: key.default for key in KEYS} | keys(url)
    longest = 0.0

    async def tick():
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    async with opened((S3,), config) as live:
        aws = Aws(live, view(AwsConfig, config))
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        calls = (aws.call("s3", "list_buckets") for _ in range(CALLS))
        await asyncio.gather(*calls)
        took = time.perf_counter() - began
        ticking.cancel()
    return longest * 1000, took


def main():
    """Measure against a server in a process of its own."""
    if os.geteuid() == 0:  # what others do on the machine is not what is measured
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    words = [sys.executable, "-m", "tests.integration.aws_lag", "serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            lag, took = asyncio.run(measure(url))
        finally:
            server.kill()
    sys.stdout.write(f"{lag:.1f} {took:.2f}\n")


if __name__ == "__main__":
    asyncio.run(serve()) if sys.argv[1:] else main()
