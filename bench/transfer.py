"""A file in and out: through Atom's routes, and with psql or COPY by asyncpg."""

import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import copied, table
from bench.load import BenchError
from bench.scene import Scene, run_pinned
from embedded import binaries

BLOCK_BYTES = 256 * 1024
BOUNDARY = "bench-7d9f2a"
SECONDS = 600
FORM = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"'
SAMPLE = f"{copied.OUT} where id <= 1000 order by id"


@dataclass(frozen=True)
class Reference:
    """What import and export are measured against."""

    name: str
    bring: Callable[[], object]
    take: Callable[[], object]
    sample: Callable[[], bytes]


def psql() -> str | None:
    """Return where psql is: in the PATH, or next to a PostgreSQL that can be run."""
    nearby = [str(each.folder / "psql") for each in binaries.all_postgres()]
    return shutil.which("psql") or next(filter(os.path.isfile, nearby), None)


def reference(scene: Scene, file: Path) -> Reference:
    """Return psql, or asyncpg's own COPY where there is none."""
    url = scene.postgres_url
    if (program := psql()) is None:
        take = copied.command("out", url, copied.OUT, os.devnull)
        sample = copied.command("out", url, SAMPLE, "/dev/stdout")
        return Reference(
            "COPY of the raw file by asyncpg",
            lambda: run_pinned(scene, copied.command("in", url, str(file))),
            lambda: run_pinned(scene, take),
            lambda: run_pinned(scene, sample),
        )
    columns = ", ".join(table.PLAIN_COLUMNS)
    asked = [program, url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"]
    bring_in = f"\\copy bench_into ({columns}) from '{file}' csv header"
    take_out = f"\\copy ({copied.OUT}) to '{os.devnull}' csv header"
    show = f"\\copy ({SAMPLE}) to stdout csv header"
    return Reference(
        r"`psql \copy`",
        lambda: run_pinned(scene, [*asked, bring_in]),
        lambda: run_pinned(scene, [*asked, take_out]),
        lambda: run_pinned(scene, [*asked, show]),
    )


def _parts(file: Path) -> tuple[bytes, bytes]:
    """Return the parts of a form before and after the file."""
    fields = {"mode": "create", "table": "bench_into"}
    before = "".join(
        f"{FORM.format(name)}\r\n\r\n{value}\r\n" for name, value in fields.items()
    )
    before += f'{FORM.format("file")}; filename="{file.name}"\r\n'
    before += "Content-Type: text/csv\r\n\r\n"
    return before.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def _form(file: Path) -> Iterator[bytes]:
    before, after = _parts(file)
    yield before
    with file.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            yield block
    yield after


def _opened(
    scene: Scene, path: str, body: Iterator[bytes] | bytes, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """Send a request as the operator. Return the answer, its body not yet read.

    Raises:
        BenchError: when it is not 200.
    """
    server = urlsplit(scene.atom.url).netloc
    connection = http.client.HTTPConnection(server, timeout=SECONDS)
    key = scene.atom.config["config_key_root"]
    headers = {"Authorization": f"Bearer {key}", "Connection": "close", **headers}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise BenchError(f"{path}: {answer.status} {answer.read()[:2000]!r}")
    return answer


def bring(scene: Scene, file: Path, number: int) -> None:
    """Import the file through the route.

    Raises:
        BenchError: when it does not answer the number of rows.
    """
    size = file.stat().st_size + sum(map(len, _parts(file)))
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(size),
    }
    with _opened(scene, "/root/postgres-import", _form(file), headers) as answer:
        imported = json.load(answer)
    if imported["message"] != number:
        raise BenchError(f"import answered {imported}")


def _export(scene: Scene, query: str) -> http.client.HTTPResponse:
    body = json.dumps({"query": query}).encode()
    headers = {"Content-Type": "application/json"}
    return _opened(scene, "/root/postgres-export", body, headers)


def take(scene: Scene, number: int) -> None:
    """Export every row through the route, and let the lines go once they are counted.

    Raises:
        BenchError: when they are not as many as the rows.
    """
    lines = -1  # the header's
    with _export(scene, copied.OUT) as answer:
        while block := answer.read(BLOCK_BYTES):
            lines += block.count(b"\n")
    if lines != number:
        raise BenchError(f"export answered {lines} rows, not {number}")


def agree(scene: Scene, other: Reference) -> None:
    """Make sure that both export the same, but for how lines end.

    Raises:
        BenchError: when they do not.
    """
    with _export(scene, SAMPLE) as answer:
        mine = answer.read().replace(b"\r\n", b"\n")
    if mine != other.sample():
        raise BenchError(f"Atom and {other.name} export different rows")
