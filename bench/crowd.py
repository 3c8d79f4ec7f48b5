"""One caller at full speed with every expensive kind of request: what others notice.

Nothing is kept on a core here. With PostgreSQL on one alone, a single long statement
has it, and others wait for slices of time: 0.1 for a create, by hand as well.
"""

import http.client
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import asyncpg

from bench.load import BenchError, Counted, Request, press
from bench.measure import Row, asking
from bench.row import asked
from bench.scene import Scene, ask, signup
from tests.expensive import FILL, reads, writes

CONNECTIONS = 16  # of the caller who asks for much
SMALL = ("profile", "read", "create")
LEAST = 0.5
REFUSED = frozenset({400, 404, 409, 503, 504})  # of that caller alone


async def fill(scene: Scene) -> dict[str, str]:
    """Add rows of the caller. Return the headers it asks with."""
    headers = {"Authorization": f"Bearer {signup(scene.atom.url)}"}
    me = ask(scene.atom.url, Request("/my/profile", headers=headers))["message"]
    connection = await asyncpg.connect(scene.postgres_url)
    try:
        await connection.execute(FILL.format(owner=me["id"]))
    finally:
        await connection.close()
    return headers


@contextmanager
def crowd(url: str, headers: dict[str, str]) -> Iterator[None]:
    """Ask for every kind in turn, over and over, for the block.

    Raises:
        BenchError: when an answer is neither one of success nor a refusal.
    """
    over, wrong = threading.Event(), list[int]()

    def ask_on(number: int) -> None:
        calls = [("GET", path, None) for path in reads()] + writes(number)
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        for method, path, body in itertools.cycle(calls[number:] + calls[:number]):
            if over.is_set():
                break
            sent = None if body is None else json.dumps(body)
            of_call = {**headers, "Content-Type": "application/json"}
            connection.request(method, path.replace(" ", "%20"), sent, of_call)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300 and answer.status not in REFUSED:
                wrong.append(answer.status)
        connection.close()

    threads = [
        threading.Thread(target=ask_on, args=(number,), daemon=True)
        for number in range(CONNECTIONS)
    ]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join(60)
    if wrong:
        raise BenchError(f"the crowd was answered with {sorted(set(wrong))}")


def rows(scene: Scene, headers: dict[str, str]) -> Iterator[Row]:
    """Yield a row for each small request of another caller, one at a time."""
    url = scene.atom.url

    def crowded(request: Request, seconds: int) -> Counted:
        with crowd(url, headers):
            return press(url, request, seconds, 1)

    for name in SMALL:
        label, request = asked(scene)[name]
        yield Row(
            "crowd",
            f"{label}, while another caller asks for 24 expensive kinds",
            "alone",
            partial(crowded, request),
            asking(url, request, 1),
            LEAST,
            lambda: None,
            warms=False,
        )
