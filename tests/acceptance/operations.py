"""What the operations tests share: a drop-in, hands on a worker, eyes on processes."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import asyncpg
import httpx2

from tests import machine
from tests.acceptance.checkout import copied
from tests.acceptance.conftest import TLS, opened
from tests.served import serve

DROP_IN = """
import asyncio
import os
from pathlib import Path

from extend import *

router = APIRouter(prefix="/ops")
WORKED = Path(__file__).with_name("worked")


def work(mark):
    with WORKED.open("a") as file:
        file.write(f"{mark} {os.getpid()}\\n")


work("read")


@router.get("/pid")
async def pid():
    return os.getpid()


@router.get("/limited")
@router.get("/limited-too")
async def limited():
    return os.getpid()


@router.get("/once")
async def once(mark: str, request: Request):
    work(mark)
    await asyncio.sleep(0.3)
    return {"pid": os.getpid(), "user": request.state.user.get("id")}


@router.get("/csv")
async def csv(status: int = 200):
    return responses.Response("a,b\\n", status, media_type="text/csv; header=present")


@router.get("/rows-memory")
@router.get("/rows-redis")
async def rows(request: Request, title: str):
    found = await function_object_read_postgres(
        request.app.state.ports, "test", [("title", "=," + title), ("column", "id")]
    )
    return responses.Response(found, media_type="application/json")


@router.get("/many")
async def many(n: int, size: int):
    return responses.PlainTextResponse("x" * size)


@router.get("/slow")
async def slow(seconds: float = 1.0):
    await asyncio.sleep(seconds)
    return os.getpid()


@router.post("/slow-row")
async def slow_row(request: Request, title: str, seconds: float = 1.0):
    await asyncio.sleep(seconds)
    ports = request.app.state.ports
    return await function_object_create_postgres(ports, "test", {"title": title})
"""

CONFIG = """
config_api = {
    "/ops/pid": {"is_log": 0},
    "/ops/slow-row": {"is_background": 1},
    "/ops/limited": {"ratelimiter_times_sec": [5, 60]},
    "/ops/limited-too": {"ratelimiter_times_sec": [5, 3]},
    "/ops/once": {"cache_sec": ["redis", 60]},
    "/ops/csv": {"cache_sec": ["redis", 60]},
    "/ops/rows-redis": {"cache_sec": ["redis", 60]},
    "/ops/rows-memory": {"cache_sec": ["inmemory", 60]},
    "/ops/many": {"cache_sec": ["inmemory", 600], "is_log": 0},
}
"""
ALONE = CONFIG.replace('"redis"', '"inmemory"')  # where no Redis is configured


@contextmanager
def running(code, values=None, *, config=CONFIG, folder=None, **how):
    """Serve a copy of the checkout with the drop-in; yield its Api."""
    if not (code / "main.py").exists():
        copied(code, router_ops=DROP_IN, config__ops=config)
    with serve(values, folder=folder, code=code, **how) as served:
        api = opened(served)
        api.code = code
        try:
            yield api
        finally:
            api.http.close()


def connected(url):
    """Return a client that keeps one connection for as long as it is used."""
    limits = httpx2.Limits(max_connections=1, keepalive_expiry=None)
    return httpx2.Client(base_url=url, timeout=60, limits=limits, verify=TLS)


class Hand:
    """One kept connection, so one worker: the process that accepted it."""

    def __init__(self, url):
        self.http = connected(url)
        self.pid = self.ask("/ops/pid").json()

    def ask(self, path, who=None, method="GET", **options):
        """Ask this worker."""
        headers = who.headers if who else {}
        return self.http.request(method, path, headers=headers, **options)

    def kept(self):
        """Say whether the connection still leads to this worker."""
        return self.pid == self.ask("/ops/pid").json()


@contextmanager
def hands(url, count):
    """Yield a hand on each of so many workers."""
    found = {}
    try:
        deadline = time.monotonic() + 60
        with ThreadPoolExecutor(8) as pool:
            while len(found) < count:
                assert time.monotonic() < deadline, f"only {list(found)} answered"
                for hand in pool.map(lambda _: Hand(url), range(8)):
                    if found.setdefault(hand.pid, hand) is not hand:
                        hand.http.close()
                found = {pid: hand for pid, hand in found.items() if hand.kept()}
        yield list(found.values())
    finally:
        for hand in found.values():
            hand.http.close()


def answered(url, path, times=1):
    """Ask over one connection of one's own; return the status codes."""
    with connected(url) as http:
        return [http.get(path).status_code for _ in range(times)]


@contextmanager
def crowd(url, size, count):
    """Yield so many hands, on all of so many workers."""
    found = []
    try:
        deadline = time.monotonic() + 60
        with ThreadPoolExecutor(8) as pool:
            while len({hand.pid for hand in found}) < count:
                assert time.monotonic() < deadline, "not every worker answered"
                found += pool.map(lambda _: Hand(url), range(size))
        rare = sorted(found, key=lambda one: sum(one.pid == x.pid for x in found))
        yield rare[:size]
    finally:
        for hand in found:
            hand.http.close()


def eventually(true, seconds=30.0):
    """Wait until something holds. Return how many seconds that took."""
    began = time.monotonic()
    while not (found := true()):
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {found!r}"
        time.sleep(0.01)
    return time.monotonic() - began


@contextmanager
def held(url, *statements):
    """Run statements in a transaction that stays open during the block."""
    loop = asyncio.new_event_loop()
    try:
        other = loop.run_until_complete(asyncpg.connect(url))
        try:
            loop.run_until_complete(other.execute("begin"))
            for statement in statements:
                loop.run_until_complete(other.execute(statement))
            yield
        finally:
            loop.run_until_complete(other.close())
    finally:
        loop.close()


def at_once(count, ask):
    """Ask so many times in parallel; return the answers."""
    gate = threading.Barrier(count)

    def one(number):
        gate.wait(60)
        return ask(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def run_sql(url, text):
    """Run one statement on a database."""

    async def run():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(text)
        finally:
            await connection.close()

    return asyncio.run(run())


class Writer(threading.Thread):
    """Creates rows until told to stop, and remembers what it was told of each."""

    def __init__(self, url, who, name):
        super().__init__(daemon=True)
        self.url, self.who, self.mark = url, who, name
        self.acknowledged: dict[str, int] = {}
        self.refused: list[httpx2.Response] = []
        self.slowest = 0.0
        self.over = threading.Event()

    def run(self):
        number = 0
        with connected(self.url) as http:
            while not self.over.is_set():
                number += 1
                title = f"{self.mark} {number}"
                began = time.monotonic()
                try:
                    answer = http.post(
                        "/my/object-create?table=test",
                        json={"title": title},
                        headers=self.who.headers,
                    )
                except httpx2.HTTPError:
                    continue
                self.slowest = max(self.slowest, time.monotonic() - began)
                if answer.status_code == 200:
                    self.acknowledged[title] = answer.json()["message"]
                else:
                    self.refused.append(answer)
                    time.sleep(0.02)


class Reader(threading.Thread):
    """Asks what needs no database, until told to stop."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url = url
        self.codes: list[int] = []
        self.slowest = 0.0
        self.over = threading.Event()

    def run(self):
        with connected(self.url) as http:
            while not self.over.is_set():
                began = time.monotonic()
                self.codes.append(http.get("/public/page/welcome?x=logged").status_code)
                self.slowest = max(self.slowest, time.monotonic() - began)
                time.sleep(0.01)


@contextmanager
def at_work(*threads):
    """Have threads work until the block ends."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.over.set()
        for thread in threads:
            thread.join(70)


def state_of(pid):
    """Return (parent, start time) of a living process; None when it is gone."""
    try:
        text = machine.proc(f"{pid}/stat").read_text()
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    return None if words[0] == "Z" else (int(words[1]), words[19])


def family(pid):
    """Return a process and all it has brought forth: {pid: (parent, start time)}."""
    living = {}
    for entry in os.listdir(machine.proc()):
        if entry.isdigit() and (state := state_of(entry)):
            living[int(entry)] = state
    found, before = {pid}, 0
    while len(found) > before:
        before = len(found)
        found |= {child for child, state in living.items() if state[0] in found}
    return {one: living[one] for one in found if one in living}


def still(processes):
    """Return those of these processes that have not ended, with what they execute."""
    left = {}
    for pid, (_, began) in processes.items():
        now = state_of(pid)
        if now and now[1] == began:
            try:
                words = machine.proc(f"{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended since
            left[pid] = words.decode()[:120]
    return left
