"""An open WebSocket ends with what let its caller in."""

import secrets
import threading
import time

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually, hands, run_sql
from tests.acceptance.people import PASSWORD, newcomer
from tests.served import serve

DROP_IN = """
import asyncio
import os

from extend import *

router = APIRouter()


async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(str(os.getpid()))
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect as ended:
        print("ended with", ended.code, flush=True)


@router.get("/ops/pid")
async def pid():
    return os.getpid()


for path in ("/live/echo", "/live/public", "/live/access", "/live/role"):
    router.add_api_websocket_route(path, echo)


@router.websocket("/live/tick")
async def tick(socket: WebSocket):
    await socket.accept()
    while True:
        await asyncio.sleep(0.05)
        await socket.send_text("tick")
"""
CONFIG = """
config_api = {
    "/live/echo": {"is_token": 1},
    "/live/tick": {"is_token": 1},
    "/live/access": {"id": 77, "is_access": 1},
    "/live/role": {"role": ["tester"]},
}
config_role = {"tester": "select 1 from users where id = :me and name = 'tester'"}
"""
WORKERS = 2
SOON = 1.0  # seconds, as promised


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Serve the WebSockets by two workers."""
    code = copied(
        tmp_path_factory.mktemp("live"), router_live=DROP_IN, config_live=CONFIG
    )
    with serve({"config_workers": str(WORKERS)}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


def dial(api, path, person):
    """Open a WebSocket; return it, and the process that serves it."""
    url = api.url.replace("http", "ws") + path
    socket = connect(url, additional_headers=person.headers, legacy=True)
    return socket, (None if path == "/live/tick" else int(socket.recv(5)))


def on_each_worker(api, path, person):
    """Open WebSockets until every worker serves one."""
    found = {}

    def one():
        socket, pid = dial(api, path, person)
        if found.setdefault(pid, socket) is not socket:
            socket.close()
        return len(found) == WORKERS

    eventually(one)
    return list(found.values())


def end_of(socket, seconds=5.0):
    """Wait for the end of a WebSocket. Return its code and reason."""
    deadline = time.monotonic() + seconds
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            socket.recv(deadline - time.monotonic())
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def logout(api, person):
    api.message("POST", "/auth/logout", person)


def change_password(api, person):
    body = {"id": person.id, "password": secrets.token_hex(8), "password_old": PASSWORD}
    api.message("PUT", "/my/object-update?table=users", person, json=body)


def delete(api, person):
    api.message("DELETE", "/my/account-delete?mode=soft", person)


def switch_off(api, person):
    api.sql("update users set is_active = 0 where id = $1", person.id)


class TestClosed:
    @pytest.mark.parametrize(
        ("what", "reason"),
        [
            (logout, "token.revoked"),
            (change_password, "token.revoked"),
            (delete, "account.missing"),
            (switch_off, "active.inactive"),
        ],
    )
    def test_on_every_worker_within_a_second(self, live, what, reason):
        """Whichever worker is asked, and each of them closes its own."""
        person, other = newcomer(live), newcomer(live)
        mine = on_each_worker(live, "/live/echo", person)
        bystander, _ = dial(live, "/live/echo", other)

        what(live, person)
        began = time.monotonic()
        ends = [end_of(socket) for socket in mine]

        assert [(4401, reason)] * WORKERS == ends
        assert time.monotonic() - began < SOON
        bystander.send("still here")
        assert "still here" == bystander.recv(5)
        bystander.close()

    def test_one_session_of_two(self, live):
        """Logging out ends the WebSockets of that session alone."""
        person = newcomer(live)
        body = {"type": 1, "username": person.username, "password": PASSWORD}
        second = live.call("POST", "/auth/login-password", json=body).json()["message"]
        first, _ = dial(live, "/live/echo", person)
        person.token, old = second, person.token
        kept, _ = dial(live, "/live/echo", person)
        headers = {"Authorization": f"Bearer {old}"}
        assert (
            200 == httpx2.post(f"{live.url}/auth/logout", headers=headers).status_code
        )

        assert (4401, "token.revoked") == end_of(first)
        kept.send("x")
        assert "x" == kept.recv(5)
        kept.close()

    def test_public_route_that_knows_its_caller(self, live):
        """A token that was not needed ends it as well; without one it stays."""
        person = newcomer(live)
        known, _ = dial(live, "/live/public", person)
        anonymous = connect(
            live.url.replace("http", "ws") + "/live/public", legacy=True
        )
        anonymous.recv(5)
        logout(live, person)

        assert (4401, "token.revoked") == end_of(known)
        anonymous.send("x")
        assert "x" == anonymous.recv(5)
        anonymous.close()

    def test_api_access_is_taken_away(self, live):
        """The right to the route ends, and its WebSocket; others of the user stay."""
        person = newcomer(live, api_access="77")
        sockets = on_each_worker(live, "/live/access", person)
        other, _ = dial(live, "/live/echo", person)
        live.sql("update users set api_access = '78' where id = $1", person.id)

        assert [(4401, "access.denied")] * WORKERS == [end_of(one) for one in sockets]
        other.send("x")
        assert "x" == other.recv(5)
        other.close()

    def test_role_is_asked_again_when_the_user_changes(self, live):
        """A role is looked up again with each change of the user."""
        person = newcomer(live, name="tester")
        socket, _ = dial(live, "/live/role", person)
        change = "update users set name = 'guest', api_access = '9' where id = $1"
        live.sql(change, person.id)

        assert (4401, "role.denied") == end_of(socket)

    def test_handler_that_only_sends(self, live):
        """It cannot send any more, and ends, without a line in the log."""
        person = newcomer(live)
        socket, _ = dial(live, "/live/tick", person)
        logout(live, person)

        assert (4401, "token.revoked") == end_of(socket)
        assert "Traceback" not in live.log.read_text()

    def test_handler_hears_of_the_end(self, live):
        """It gets the disconnect of a client that has left, with the code."""
        person = newcomer(live)
        socket, _ = dial(live, "/live/echo", person)
        logout(live, person)
        end_of(socket)

        eventually(lambda: "ended with 4401" in live.log.read_text(), 5)


class TestToken:
    def test_closes_at_its_end(self, tmp_path):
        """Not before, and within a second after."""
        code = copied(tmp_path, router_live=DROP_IN, config_live=CONFIG)
        values = {"config_token_expire_sec": "3"}
        with serve(values, code=code) as served:
            api = opened(served)
            person = newcomer(api)
            began = time.monotonic()
            socket, _ = dial(api, "/live/echo", person)
            assert (4401, "token.expired") == end_of(socket, 10)
            assert 1.5 < time.monotonic() - began < 3 + SOON
            api.http.close()


class TestBusIsDown:
    def test_the_database_is_asked(self, live):
        """While a worker hears nothing it asks, once a second."""
        person = newcomer(live)
        sockets = on_each_worker(live, "/live/echo", person)
        over = threading.Event()
        kill = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'atom bus'"
        )

        def kill_on():
            while not over.is_set():
                run_sql(live.database, kill)
                time.sleep(0.02)

        killer = threading.Thread(target=kill_on)
        killer.start()
        try:
            time.sleep(0.3)
            switch_off(live, person)
            began = time.monotonic()
            assert [(4401, "active.inactive")] * 2 == [end_of(one) for one in sockets]
            assert time.monotonic() - began < 2 * SOON
        finally:
            over.set()
            killer.join()
        with hands(live.url, WORKERS):
            pass  # both are well


class TestConfig:
    def test_keys_without_effect_stop_the_start(self, tmp_path):
        """They would promise what no WebSocket has."""
        config = """
config_api_default = {"is_log": 1}
config_api = {
    "/live/echo": {"is_token": 1, "cache_sec": ["inmemory", 3], "timeout_sec": 3},
    "/live/public": {"is_log": 0},
}
"""
        from tests.acceptance.test_drop_in import started

        code = copied(tmp_path, router_live=DROP_IN, config_live=config)
        status, text = started(code)

        assert status != 0
        for path, key in (
            ("/live/echo", "cache_sec"),
            ("/live/echo", "timeout_sec"),
            ("/live/public", "is_log"),
        ):
            assert f"config_api['{path}']: {key} has no effect on a WebSocket" in text
        assert "is_token has no effect" not in text
