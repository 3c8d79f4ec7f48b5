"""A relay of its own process, that writes down what it delivers: `… URL FILE SECONDS`.

A target that is slow enough to be killed in the middle of a batch.
"""

import asyncio
import os
import sys
import time

from atom.event.relay import Relay
from atom.postgres.notify import Bus
from tests.integration.outbox_world import database_of, events_of

TARGETS = ("kafka", "redis", "webhook:crm")


class File:
    """Writes one line for each delivery, in one write."""

    def __init__(self, path, target, seconds):
        self.path, self.target, self.seconds = path, target, seconds

    async def deliver(self, claimed):
        event = claimed.event
        number = event.payload["number"]
        line = f"{self.target} {event.event_id} {event.aggregate_id} {number}\n"
        await asyncio.sleep(self.seconds)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{time.time():.6f} {line}".encode())
        os.close(file)


async def main(url, path, seconds):
    async with database_of(url) as database:
        targets = {each: File(path, each, seconds) for each in TARGETS}
        bus = Bus(url)
        await bus.start()
        relay = Relay(database, bus, events_of(), targets, lease=2.0, poll=0.2)
        relay.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
