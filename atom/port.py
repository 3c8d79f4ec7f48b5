"""What steps and features ask of the world, without saying which technology answers.

Adapters in `atom/adapter/` answer; `atom/runtime.py` picks them. A port that is None
was not configured: a gate then closes its route (503), a comfort steps aside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from atom.task import Tasks


class Counter(Protocol):
    """Counts hits in a window, atomically; every count forgets itself in time."""

    async def hit(self, key: str, seconds: int, *, times: int = 0) -> tuple[int, int]:
        """Count one hit. Return the hits so far in this window and its seconds left.

        With `times`, a hit beyond that many is answered but no longer counted.
        """
        ...

    async def peek(self, key: str) -> tuple[int, int]:
        """Return the hits so far and the seconds left, counting nothing."""
        ...

    async def clear(self, key: str) -> None:
        """Forget a count."""
        ...


class Store(Protocol):
    """Keeps answers for a while. Bounded. A tag names what an answer was made from."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept and still fresh."""
        ...

    async def begin(self) -> int:
        """Return a mark to hand to `set`: writes after it make the answer stale."""
        ...

    async def set(
        self, key: str, value: bytes, seconds: float, *, tags: Iterable[str], mark: int
    ) -> bool:
        """Keep an answer, unless one of its tags was dropped after `mark`."""
        ...

    async def drop(self, tag: str) -> None:
        """Forget every answer made from this, also those being made now."""
        ...

    async def clear(self) -> None:
        """Forget every answer."""
        ...

    async def lock(self, key: str, seconds: float) -> bool:
        """Become the one filler of a key. False: somebody else is."""
        ...

    async def unlock(self, key: str) -> None:
        """Stop being the filler of a key; only one's own lock is released."""
        ...


@dataclass(frozen=True, slots=True)
class UserState:
    """What must be known of a user at every request, as the database has it now."""

    is_active: bool
    api_access: frozenset[int]
    token_version: int
    revoked: frozenset[str] = frozenset()  # sessions that were logged out lately


class Users(Protocol):
    """Knows the state of users, coherent across workers."""

    async def state(self, user_id: int) -> UserState | None:
        """Return the user's state; None when there is no such user (or a deleted one).

        Raises:
            Unavailable: `client.silent` when it is not cached and cannot be asked.
        """
        ...

    async def fresh(self, user_id: int) -> UserState | None:
        """The same, asked of the database now."""
        ...

    def forget(self, user_id: int | None = None) -> None:
        """Forget one user, or all."""
        ...


class Journal(Protocol):
    """Takes one row for each request; never makes the request wait."""

    def enable(self, columns: Iterable[str] | None = None) -> None:
        """Take rows from now on, and write these of their columns."""
        ...

    def disable(self) -> None:
        """Take no rows: there is nowhere to write them."""
        ...

    def append(self, row: tuple[Any, ...]) -> None:
        """Take a row in the order of `atom.http.step.record.COLUMNS`."""
        ...


@dataclass
class Ports:
    """Everything the steps and routes need, in one place: `app.state.ports`."""

    config: Mapping[str, Any]
    clients: Mapping[str, Any]
    tasks: Tasks
    counter: Counter
    stores: Mapping[str, Store]
    users: Users | None = None
    tokens: Any = None  # atom.account.token.Decoder
    journal: Journal | None = None
    database: Any = None  # atom.postgres.database.Database on the primary
    database_read: Any = None  # the same on the replica, or on the primary
    rules: Any = None  # atom.row.scope.Rules, from config
    bus: Any = None  # atom.postgres.notify.Bus
    batches: Any = None  # atom.row.batch.Batches
    key_root: str = ""
    schema_read: Callable[[Any], None] | None = None  # called with each new catalog
