"""What steps and features need from outside, as types. `Ports` holds all of it.

The adapters of `atom/adapter/` implement the protocols; `atom/runtime.py` chooses them
and builds `Ports` once, complete, before the first request.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from atom.account.api_key import ApiKeys
    from atom.account.config import AccountConfig
    from atom.account.role import Roles
    from atom.account.security_event import SecurityLog
    from atom.account.token import Decoder
    from atom.aws.call import Aws
    from atom.event.declaration import Events
    from atom.file import Files
    from atom.http.config import HttpConfig
    from atom.http.socket import OpenSockets
    from atom.mail.publish import Mailer
    from atom.postgres.catalog import Catalog
    from atom.postgres.database import Database
    from atom.postgres.notify import Bus
    from atom.queue.all import Brokers
    from atom.queue.handler import Handlers
    from atom.realtime.feed import Feed
    from atom.realtime.topic import Topics
    from atom.row.batch import Batches
    from atom.row.scope import RowConfig
    from atom.rpc.statement import Statements
    from atom.sandbox.session import Sandbox
    from atom.task import Tasks


class Counter(Protocol):
    """Atomic counts of hits in a time window; each expires by itself."""

    async def hit(self, key: str, seconds: int, *, times: int = 0) -> tuple[int, int]:
        """Count one hit. Return the hits so far in this window and its seconds left.

        With `times`, a hit beyond that many is reported but not counted.
        """
        ...

    async def peek(self, key: str) -> tuple[int, int]:
        """Return the hits so far and the seconds left, without counting one."""
        ...

    async def clear(self, key: str) -> None:
        """Remove a count."""
        ...


class Store(Protocol):
    """A bounded cache of responses. A tag names a table a response was made from."""

    async def get(self, key: str) -> bytes | None:
        """Return the cached value while it is fresh."""
        ...

    async def begin(self) -> int:
        """Return a mark for `set`: writes after it make the response stale."""
        ...

    async def set(
        self, key: str, value: bytes, seconds: float, *, tags: Iterable[str], mark: int
    ) -> bool:
        """Cache a value, unless one of its tags was dropped after `mark`."""
        ...

    async def drop(self, tag: str) -> None:
        """Remove every response with this tag, including those being made now."""
        ...

    async def clear(self) -> None:
        """Remove every response."""
        ...

    async def lock(self, key: str, seconds: float) -> bool:
        """Become the one filler of a key. Return False if there is another."""
        ...

    async def unlock(self, key: str) -> None:
        """Stop being the filler of a key; releases only its own lock."""
        ...


@dataclass(frozen=True, slots=True)
class UserState:
    """The part of a user that every request needs, as it is in the database now."""

    is_active: bool
    api_access: frozenset[int]
    token_version: int
    # Sessions that are alive, and API keys, and when each ends in Unix seconds; None:
    # not kept here.
    sessions: Mapping[str, float] | None = field(default=None, hash=False)
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)  # of the row
    # Sessions of tokens that were sent, and were not alive when this was read.
    ended: set[str] = field(default_factory=set, compare=False)


class Users(Protocol):
    """The state of users, coherent across workers."""

    async def state(self, user_id: int) -> UserState | None:
        """Return the user's state; None when the user is missing or deleted.

        Raises:
            Unavailable: `client.silent` when it is not cached and the database is down.
        """
        ...

    async def fresh(self, user_id: int) -> UserState | None:
        """Return the same, read from the database now."""
        ...

    def forget(self, user_id: int | None = None) -> None:
        """Remove one user from the cache, or all."""
        ...


class Journal(Protocol):
    """A log with one row per request, which never makes a request wait."""

    def enable(self) -> None:
        """Accept rows from now on, in the columns the table then has."""
        ...

    def disable(self) -> None:
        """Stop accepting rows: the table does not exist."""
        ...

    def __len__(self) -> int:
        """Return how many rows are not written yet."""
        ...

    def append(self, row: tuple[Any, ...]) -> None:
        """Add a row in the order of `atom.observe.journal.COLUMNS`."""
        ...


@dataclass
class Ports:
    """Everything the steps and routes need, in one place: `app.state.ports`."""

    config: Mapping[str, Any]
    http: "HttpConfig"
    account: "AccountConfig"
    clients: Mapping[str, Any]
    tasks: "Tasks"
    counter: Counter
    stores: Mapping[str, Store]
    users: Users
    sockets: "OpenSockets"
    tokens: "Decoder"
    api_keys: "ApiKeys"
    journal: Journal
    security: "SecurityLog"
    database: "Database"  # on the primary
    database_read: "Database"  # on the replica, or the primary
    rules: "RowConfig"
    roles: "Roles"
    bus: "Bus"
    batches: "Batches"
    events: "Events"
    mailer: "Mailer"  # writes mails
    sandbox: "Sandbox"  # runs SQL of callers
    rpc: "Statements"  # runs those of config_rpc
    brokers: "Brokers"  # send messages
    topics: "Topics"  # values of drop-ins between workers
    feed: "Feed"  # changes of rows, on their way to readers
    handlers: "Handlers"  # what messages may ask for
    key_root: str
    aws: "Aws"
    files: "Files"  # of users, on S3 or in a folder
    schema_read: Callable[["Catalog"], None]  # called with each new catalog
    wrote: Callable[[str], None]  # called with the name of who has written
