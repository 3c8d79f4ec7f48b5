"""/openapi.json as bytes: written once for each catalog, in a thread.

With a thousand tables it takes seconds to write and is some ten megabytes long, so it
is written in a thread, and turned into bytes piece by piece.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atom.openapi.operation import complete
from atom.openapi.rows import expanded
from atom.openapi.rpc import described
from atom.postgres.catalog import Catalog
from atom.reply import dump

if TYPE_CHECKING:
    from fastapi import FastAPI

SPLIT = {"paths", "components", "schemas", "parameters"}


class Document:
    """The OpenAPI document of an application: FastAPI's part, policies, tables."""

    def __init__(self, app: "FastAPI") -> None:
        self.app = app
        self._write = app.openapi
        self._plain: dict[str, Any] | None = None
        self._written: tuple[Catalog | None, bytes] | None = None
        self._writing = asyncio.Lock()

    def whole(self) -> dict[str, Any]:
        """Return the document of the catalog as it is now, new at each call."""
        return self._of(self._catalog())

    async def body(self) -> bytes:
        """Return the document as JSON; the same bytes while the catalog is the same."""
        async with self._writing:
            catalog = self._catalog()
            if self._written is None or self._written[0] is not catalog:
                body = await asyncio.to_thread(self._json, catalog)
                self._written = catalog, body
            return self._written[1]

    def _catalog(self) -> Catalog | None:
        ports = getattr(self.app.state, "ports", None)  # None before the start
        return None if ports is None else ports.database.catalog

    def _of(self, catalog: Catalog | None) -> dict[str, Any]:
        if self._plain is None:
            plain = self._write()
            complete(plain, self.app.state.policies)
            self._plain = plain
        if catalog is None:
            return self._plain
        ports = self.app.state.ports
        streamed = ports.feed.config.stream_table_list
        document = expanded(self._plain, catalog, ports.rules, streamed)
        return {**document, "paths": described(document["paths"], ports.rpc)}

    def _json(self, catalog: Catalog | None) -> bytes:
        return b"".join(pieces(self._of(catalog)))


def install(app: "FastAPI") -> None:
    """Make `app.openapi()` and /openapi.json return the whole document."""
    document = Document(app)
    app.state.document = document
    app.openapi = document.whole  # type: ignore[method-assign]


def description(root: Path, file: str | None, problems: list[str]) -> str:
    """Return the text of `config_docs_description_file`; "" leaves Atom's own."""
    if not file:
        return ""
    try:
        return (root / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8"
        problems.append(f"config_docs_description_file: {file}: {cause}")
        return ""


def pieces(value: dict[str, Any]) -> Iterator[bytes]:
    """Yield the JSON of a document in short pieces: one long one would hold up others.

    >>> b"".join(pieces({"paths": {"/": {"get": {}}}, "info": {}}))
    b'{"paths":{"/":{"get":{}}},"info":{}}'
    """
    yield b"{"
    for number, (name, part) in enumerate(value.items()):
        yield (b"," if number else b"") + dump(name) + b":"
        if name in SPLIT and isinstance(part, dict):
            yield from pieces(part)
        else:
            yield dump(part)
    yield b"}"
