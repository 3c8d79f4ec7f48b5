"""CLIENTS: every client declared in this folder. A new client is a new file."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from atom.client import Client


def declared(module: ModuleType) -> Iterator[Client]:
    """Yield the clients that a module declares, in the order of its text."""
    yield from (one for one in vars(module).values() if isinstance(one, Client))


CLIENTS = tuple(
    client
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
    if path.stem not in {"all", "doctor"}
    for client in declared(import_module(f"atom.client.{path.stem}"))
)
