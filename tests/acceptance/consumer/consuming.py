"""A consumer process for tests: started in a copy of the checkout, ended by its id."""

import subprocess
import sys
import time
from contextlib import contextmanager

from tests.served import environment, stop


def until(question, seconds=30.0):
    """Ask until the answer is true; return it, or fail."""
    deadline = time.monotonic() + seconds
    while not (found := question()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)
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
