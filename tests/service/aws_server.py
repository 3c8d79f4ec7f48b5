"""Moto's server, in which a FIFO queue keeps the order that SQS promises.

A poll of moto looks once, at its beginning, which groups are in hand, and two polls
look at the same time: so both are delivered messages of one group. It also looks while
a batch is given back, and finds the later ones of a group without the first. Here one
is done after the other, and none waits for longer than a moment: a consumer that ends,
and a look at the dead, wait for the answer.
"""

import sys
import threading
import time

from moto.server import main
from moto.sqs.models import SQSBackend

WAIT_SECONDS = 0.25
ONE_AT_A_TIME = threading.Lock()
SETTLING = ("change_message_visibility_batch", "delete_message_batch")
receive_now = SQSBackend.receive_message


def receive_message(
    self, queue_name, count, wait_seconds_timeout, visibility_timeout, names=None
):
    """Look again and again, each time at what is in hand by then."""
    until = time.monotonic() + min(wait_seconds_timeout or 0, WAIT_SECONDS)
    while True:
        with ONE_AT_A_TIME:
            found = receive_now(self, queue_name, count, 0, visibility_timeout, names)
        if found or time.monotonic() > until:
            return found
        time.sleep(0.05)


def alone(settle):
    """Return a method that nothing is received during."""

    def settle_alone(*arguments, **named):
        with ONE_AT_A_TIME:
            return settle(*arguments, **named)

    return settle_alone


if __name__ == "__main__":
    for name in SETTLING:
        setattr(SQSBackend, name, alone(getattr(SQSBackend, name)))
    SQSBackend.receive_message = receive_message
    main(sys.argv[1:])
