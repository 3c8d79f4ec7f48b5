"""How the server ends, asked to or not, and what is left: no process, every row."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests import machine
from tests.acceptance.checkout import copied
from tests.acceptance.operations import (
    ALONE,
    CONFIG,
    Writer,
    answered,
    at_once,
    at_work,
    eventually,
    family,
    hands,
    running,
    still,
)
from tests.served import answers, environment, free_port

LOGGED = """select type, status_code from log_api
            where query_param = $1 or query_param like $1 || '&%'"""


def ended(api, before, seconds):
    """Wait for the server and all it brought forth to end. Return the exit code."""
    code = api.process.wait(seconds)
    eventually(lambda: not still(before), seconds)
    return code


@pytest.fixture(scope="class", params=[1, 2], ids=["alone", "two workers"])
def life(request, tmp_path_factory):
    """Serve again and again on the same folder, with so many workers."""
    code = tmp_path_factory.mktemp("end")
    values = {"config_workers": str(request.param)}
    config = ALONE if request.param == 1 else CONFIG

    def begin():
        return running(code, values, config=config, folder=code / "own")

    begin.workers = request.param
    return begin


SLOW = """
import time
from multiprocessing import current_process
from pathlib import Path
from extend import *

router = APIRouter()
if current_process().name != "MainProcess":
    Path(__file__).with_suffix(".began").touch()
    time.sleep(3)
"""
FAILS = """
from contextlib import asynccontextmanager
from multiprocessing import parent_process
from extend import *

@asynccontextmanager
async def lifespan(app):
    if parent_process():
        raise RuntimeError("not in a worker")
    yield

router = APIRouter(lifespan=lifespan)
"""


@machine.with_proc()
class TestLives:
    """One folder, three lives in a row."""

    def test_told_to_end_it_finishes_what_it_began(self, life):
        """SIGTERM: what is in flight is answered, background work done, the exit 0."""
        with life() as api:
            before = family(api.process.pid)
            with ThreadPoolExecutor(10) as pool:
                path = "/ops/slow-row?title=behind&seconds=2.5&is_background=1"
                for _ in range(6):
                    assert "added in background" == api.message("POST", path)
                slow = [
                    pool.submit(answered, api.url, "/ops/slow?x=slow&seconds=1")
                    for _ in range(4)
                ]
                time.sleep(0.2)
                path = "/ops/slow?x=last&seconds=0"  # `/` is a probe, never logged
                quick = at_once(50, lambda _: answered(api.url, path, times=4))
                began = time.monotonic()
                api.process.send_signal(signal.SIGTERM)
                late = [one.result(60) for one in slow]
            code = ended(api, before, 60)
            seconds = time.monotonic() - began

        assert [[200] * 4] * 50 == quick
        assert [[200]] * 4 == late
        assert 0 == code
        assert seconds < 15  # not the 25 s of config_graceful_timeout_sec

    def test_log_and_rows_are_all_there_in_the_next_life(self, life):
        """One row of log_api for each request, one row for each background work; then
        the server is killed while rows are written."""
        with life() as api:
            rows = api.sql("select id from test where title = 'behind'")
            last = api.sql(LOGGED, "x=last")
            slow = api.sql(LOGGED, "x=slow")
            behind = api.sql(LOGGED, "title=behind")

            before = family(api.process.pid)
            who = api.person()
            writers = [Writer(api.url, who, f"life {n}") for n in range(3)]
            with at_work(*writers):
                eventually(lambda: all(len(w.acknowledged) > 30 for w in writers), 60)
                api.process.kill()
                began = time.monotonic()
                ended(api, before, 60)
                life.seconds = time.monotonic() - began
        life.acknowledged = {t: i for w in writers for t, i in w.acknowledged.items()}

        assert 6 == len(rows)
        assert [(3, 200)] * 200 == [(row["type"], row["status_code"]) for row in last]
        assert [(3, 200)] * 4 == [(row["type"], row["status_code"]) for row in slow]
        assert [(1, 200)] * 6 == [(row["type"], row["status_code"]) for row in behind]
        assert life.seconds < 20

    def test_killed_server_has_lost_no_acknowledged_row(self, life):
        """Every id a caller was told is there, no row twice; a killed worker is
        replaced, and a second server on the folder is told who holds it."""
        with life() as api:
            rows = api.sql("select id, title from test where title like 'life %'")
            found = {row["title"]: row["id"] for row in rows}
            assert len(found) == len(rows), "a row was written twice"
            gone = {t: i for t, i in life.acknowledged.items() if found.get(t) != i}
            assert {} == gone
            assert life.acknowledged

            if life.workers > 1:
                with hands(api.url, life.workers) as workers:
                    lost = workers[0].pid
                os.kill(lost, signal.SIGSTOP)
                time.sleep(1)  # its parent asks it for a sign of life meanwhile
                os.kill(lost, signal.SIGKILL)
                assert answered(api.url, "/ops/slow?seconds=0", times=10) == [200] * 10
                assert eventually(lambda: lost not in pids(api, life.workers), 60) < 30

            second = subprocess.run(
                [sys.executable, "main.py"],
                cwd=api.code,
                env=environment({**api.config, "config_port": str(free_port())}),
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            told = second.stdout + second.stderr
            assert 1 == second.returncode
            assert f"held by process {api.process.pid}" in told, told
            assert "Traceback" not in told
            assert 200 == api.call("GET", "/").status_code

            before = family(api.process.pid)
            api.process.send_signal(signal.SIGTERM)
            assert 0 == ended(api, before, 60)
            assert "Traceback" not in api.log.read_text(), api.log.read_text()


def pids(api, count):
    """Return the workers that answer now, once there are so many."""
    with hands(api.url, count) as workers:
        return [hand.pid for hand in workers]


def start(code, **values):
    """Start `python main.py` without waiting for it."""
    config = {
        "config_host": "127.0.0.1",
        "config_port": str(free_port()),
        "config_atom_folder": str(code / "own"),
        **values,
    }
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=code,
        env=environment(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    process.url = f"http://127.0.0.1:{config['config_port']}"
    return process


# What is there by then, and how much later that moment is, in seconds.
MOMENTS = {
    "reading its files": ("", 0.3),
    "starting the database": ("postgres/postmaster.pid", 0),
    "database is there": ("run.json", 0),
    "opening clients": ("run.json", 0.15),
    "about to serve": ("run.json", 0.5),
}


def serves(process):
    """Say whether a server that was started answers."""
    return answers(process.url)


def refused(url, path):
    """Ask what will not be answered as it should; say whether that is so."""
    try:
        return answered(url, path) != [200]
    except httpx2.HTTPError:
        return True


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A checkout whose database has been made before."""
    code = tmp_path_factory.mktemp("warm")
    with running(code, config=ALONE, folder=code / "own"):
        pass
    return code


@machine.with_proc()
def test_interrupted_while_workers_load(tmp_path):
    """Ctrl+C in the middle of an import is no fault of it: nothing is traced."""
    code = copied(tmp_path, router_slow=SLOW)
    process = start(code, config_workers="2")
    eventually((code / "router_slow.began").exists, 60)
    before = family(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=90)[0]

    assert 0 == process.returncode
    eventually(lambda: not still(before))
    assert "Traceback" not in told, told


@machine.with_proc()
def test_worker_that_cannot_start(tmp_path):
    """It is not tried for ever: the server ends, exit code not 0."""
    process = start(copied(tmp_path, router_fails=FAILS), config_workers="2")
    before = family(process.pid)
    told = process.communicate(timeout=90)[0]

    assert 3 == process.returncode
    assert "not in a worker" in told
    assert told.count("RuntimeError: not in a worker") <= 2
    assert not still(before)


@machine.with_proc()
@pytest.mark.parametrize("workers", ["1", "2"])
class TestStart:
    def test_port_that_is_taken(self, warm, workers):
        """Which port, and what to change; at once, and nothing is left running."""
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = str(holder.getsockname()[1])
            process = start(warm, config_port=port, config_workers=workers)
            told = process.communicate(timeout=90)[0]

        assert 1 == process.returncode
        assert f"config_port: 127.0.0.1:{port}" in told
        assert "Traceback" not in told

    def test_schema_that_cannot_be_applied(self, tmp_path, workers):
        """What is found out only while starting is told too, and ends the server."""
        wrong = 'config_postgres_schema = {"query": {"bad": "select from nowhere"}}\n'
        code = copied(tmp_path, config__wrong=wrong)
        process = start(code, config_workers=workers)
        began = family(process.pid)
        told = process.communicate(timeout=90)[0]

        assert 0 != process.returncode
        assert "config_postgres_schema: " in told
        assert "Query bad" in told
        assert "Traceback" not in told
        assert not still(began)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_told_to_end_while_starting(self, warm, workers, moment):
        """At whatever moment: it ends soon, and takes everything with it."""
        process = start(warm, config_workers=workers)
        file, seconds = MOMENTS[moment]
        if file:
            eventually((warm / "own" / file).exists, 60)
        time.sleep(seconds)
        before = family(process.pid)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=90)[0]

        assert process.returncode in ((0,) if file else (0, -signal.SIGTERM))
        eventually(lambda: not still(before))
        assert "Traceback" not in told, told

    def test_interrupted_at_the_terminal(self, warm, workers):
        """Ctrl+C reaches every process of it at once: a clean end, exit code 0."""
        process = start(warm, config_workers=workers)
        eventually(lambda: serves(process), 60)
        before = family(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate(timeout=90)[0]

        assert 0 == process.returncode
        eventually(lambda: not still(before))
        assert "Traceback" not in told, told

    def test_request_without_end(self, warm, workers):
        """It has config_graceful_timeout_sec; then the server ends all the same."""
        process = start(warm, config_workers=workers, config_graceful_timeout_sec="1")
        eventually(lambda: serves(process), 60)
        before = family(process.pid)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(refused, process.url, "/ops/slow?seconds=60")
            time.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=90)
            assert asked.result(30)

        assert 0 == process.returncode
        assert time.monotonic() - began < 10
        eventually(lambda: not still(before))
