"""What unit tests share: a clock that stands still, and an exchange to step through."""

from types import SimpleNamespace

import pytest

from atom.account.config import AccountConfig
from atom.account.security_event import SecurityLog
from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter, MemoryStore
from atom.config import keys
from atom.config import resolve as settings
from atom.config.view import view
from atom.http.config import HttpConfig
from atom.http.exchange import Exchange
from atom.http.policy import RoutePolicy
from atom.http.policy_table import Matched
from atom.http.socket import OpenSockets
from atom.port import Ports, UserState
from atom.task import Tasks

# Ports that a step alone never reaches.
WITH_DATABASE = (
    *("database", "database_read", "rules", "roles", "bus", "batches", "sandbox"),
    *(
        "schema_read",
        "brokers",
        "handlers",
        "rpc",
        "events",
        "feed",
        "topics",
        "mailer",
    ),
    "aws",
    "files",
    "api_keys",
)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class KnownUsers:
    """Users as the database would have them: everybody it was made with."""

    def __init__(self, **known):
        self.known = {int(key[1:]): state for key, state in known.items()}

    async def state(self, user_id):
        return self.known.get(user_id)

    fresh = state


class Rows:
    """A journal that keeps its rows."""

    def __init__(self):
        self.rows = []

    def append(self, row):
        self.rows.append(row)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state():
    return UserState(is_active=True, api_access=frozenset({5}), token_version=0)


@pytest.fixture
def exchange(clock):
    """Make an exchange with memory adapters ; what it sent is in scope["sent"]."""

    tasks = Tasks()

    def make(
        path="/test",
        query="",
        *,
        method="GET",
        headers=(),
        ip="10.0.0.1",
        body=b"",
        policy=None,
        config=None,
        **ports,
    ):
        whole = settings.resolve(keys.KEYS, []) | (config or {})
        defaults = dict(
            config=whole,
            http=view(HttpConfig, whole),
            account=view(AccountConfig, whole),
            clients={},
            tasks=tasks,
            counter=MemoryCounter(clock=clock),
            stores={"inmemory": MemoryStore(clock=clock)},
            users=KnownUsers(),
            sockets=OpenSockets(),
            journal=Rows(),
            security=SecurityLog(None, clock),
            key_root="r" * 16,
            tokens=Decoder(["j" * 32]),
            wrote=lambda caller: None,
            **dict.fromkeys(WITH_DATABASE),
        )
        sent = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": list(headers),
            "client": (ip, 1),
            "server": ("t", 80),
            "scheme": "http",
            "state": {},
            "app": SimpleNamespace(),
            "sent": sent,
        }

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        matched = Matched(
            None,
            policy or RoutePolicy(name="GET /test"),
            {},
            frozenset(),
            path,
            ("", 0),
        )
        made = Exchange(scope, receive, send, matched, Ports(**(defaults | ports)))
        made.address = ip
        return made

    return make
