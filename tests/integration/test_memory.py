"""Memory that a process no longer needs goes back to the system."""

import subprocess
import sys

from tests import machine
from tests.served import ROOT

SCRIPT = """
import asyncio, time
from atom import malloc
malloc.use_one_arena()
from atom.account.password import hash_password

def resident():
    pages = open("/proc/self/statm").read().split()[1]
    return int(pages) * 4096 / 2**20

async def main():
    before = resident()
    for _ in range(3):  # one after the other: glibc keeps what is asked for again
        await hash_password("right horse")
    peak, deadline = resident(), time.monotonic() + 60
    while resident() > before + 6 and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    print(peak - before > 15, resident() - before <= 6)

asyncio.run(main())
"""


def test_memory_of_hashes_is_given_back():
    """19 MiB while somebody logs in, and none a moment later."""
    machine.proc()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "True True" == done.stdout.strip(), done.stdout + done.stderr
