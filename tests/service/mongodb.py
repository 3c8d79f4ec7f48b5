"""MongoDB: FerretDB speaks its protocol, on SQLite; built by Go from its source."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.served import free_port
from tests.service.cache import built, need, run
from tests.service.server import AbsentError, Server

VERSION = "v1.24.0"
MODULE = f"github.com/FerretDB/FerretDB@{VERSION}"


def make(folder: Path) -> None:
    """Build the program; the source wants its version in a file that it lacks."""
    need("go")
    env = {"GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    found = json.loads(
        run("go", "mod", "download", "-json", MODULE, cwd=folder, env=env)
    )
    source = folder / "source"
    shutil.copytree(found["Dir"], source, copy_function=shutil.copyfile)
    source.chmod(0o755)
    for inner in source.rglob("*/"):
        inner.chmod(0o755)
    (source / "build" / "version" / "version.txt").write_text(VERSION)
    words = ("go", "build", "-o", folder / "ferretdb", "./cmd/ferretdb")
    run(*words, cwd=source, env=env)
    shutil.rmtree(source)


@contextmanager
def mongodb(folder: Path) -> Iterator[Server]:
    """Build a server: FerretDB, or the one that MONGODB_URL names."""
    try:
        program = built(f"ferretdb-{VERSION}", make) / "ferretdb"
    except AbsentError as error:
        url = os.environ.get("MONGODB_URL")
        if not url:
            raise AbsentError(f"{error}; and no MONGODB_URL") from None
        yield Server("MongoDB of MONGODB_URL", url, (), folder, 0)
        return
    data, port = folder / "data", free_port()
    data.mkdir(parents=True)
    words = ["--handler=sqlite", f"--sqlite-url=file:{data}/", "--telemetry=disable"]
    words += [f"--listen-addr=127.0.0.1:{port}", "--debug-addr=-", "--log-level=ERROR"]
    yield Server(
        what=f"FerretDB {VERSION}",
        url=f"mongodb://127.0.0.1:{port}/",
        command=[program, f"--state-dir={folder}", *words],
        folder=folder,
        port=port,
    )
