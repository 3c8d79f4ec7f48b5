"""A consumer process for tests: started in a copy of the checkout, ended by its id."""

import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial

from anyio.from_thread import start_blocking_portal

from atom.client import opened
from atom.config.keys import KEYS
from tests.served import environment, stop

DEFAULTS = {key.name: key.default for key in KEYS}


def until(question, seconds=30.0):
    """Ask until the answer is true; return it, or fail.

    Ever less often, up to five times a second: an answer may cost a connection.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while not (found := question()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)
    return found


@contextmanager
def consuming(name, folder, config, *words, log=None):
    """Run consumer_<name>.py in a folder until the block ends; yield its process."""
    log = log or folder / f"consumer_{name}.log"
    log.touch()
    begun = log.stat().st_size
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, f"consumer_{name}.py", *words],
            cwd=folder,
            env=environment(config),
            stdout=out,
            stderr=out,
        )

    def is_ready():
        return "is ready" in log.read_text()[begun:] or process.poll() is not None

    try:
        until(is_ready)
        yield process
    finally:
        stop(process)


@contextmanager
def asking(clients, factory, config):
    """Open a broker in this process; yield what calls it: `ask("dead", channel, 9)`.

    A command of `main.py queue` answers the same, a second later.
    """
    config = DEFAULTS | config
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opened(clients, config)) as live,
    ):
        broker = factory(live, config)

        def ask(name, *words, **named):
            return portal.call(partial(getattr(broker, name), *words, **named))

        yield ask
