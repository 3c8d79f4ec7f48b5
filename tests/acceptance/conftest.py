"""One running server for the acceptance tests, on an embedded database of its own."""

import secrets
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.line import Line
from tests.rules import config_file
from tests.served import serve

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # making one for each client is slow
BY_HAND = ("coded", "entry", "exact", "ledger", "shelf", "written", "came")


@dataclass
class Person:
    """A user of the running server."""

    id: int
    username: str
    password: str
    token: str
    refresh: str

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Api:
    """The running server over HTTP, and the database behind it for looking."""

    url: str
    config: dict[str, Any]
    http: httpx2.Client
    database: str
    log: Any
    process: Any
    people: dict[str, Person] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)  # by database

    @property
    def root(self):
        return {"Authorization": f"Bearer {self.config['config_key_root']}"}

    def call(self, method, path, who=None, **options):
        """Ask, as a person, as "root", or as nobody."""
        headers = dict(options.pop("headers", {}))
        if who == "root":
            headers |= self.root
        elif who is not None:
            headers |= who.headers
        return self.http.request(method, self.url + path, headers=headers, **options)

    def message(self, method, path, who=None, **options):
        """Ask, expect 200, and return the message."""
        answer = self.call(method, path, who, **options)
        assert 200 == answer.status_code, answer.text
        return answer.json()["message"]

    def person(self, **columns):
        """Sign somebody up; give them columns a user may not write, by SQL."""
        username, password = f"u{secrets.token_hex(6)}", secrets.token_hex(8)
        body = {"type": 1, "username": username, "password": password}
        answer = self.call("POST", "/auth/signup", json=body)
        assert 200 == answer.status_code, answer.text
        pair = answer.json()
        made = Person(0, username, password, pair["message"], pair["refresh_token"])
        # By the token: no request has cached the row when SQL changes it.
        claims = jwt.decode(made.token, options={"verify_signature": False})
        made.id = int(claims["sub"])
        for column, value in columns.items():
            self.sql(f"update users set {column} = $1 where id = $2", value, made.id)
        return made

    def sql(self, text, *values):
        """Run one statement past the server; return its rows as dicts."""
        if self.database not in self.lines:
            self.lines[self.database] = Line(self.database)
        return self.lines[self.database].fetch(text, *values)


def opened(served):
    """Return the Api of a server that was started."""
    from embedded.folder import urls

    found = (
        served.config.get("config_postgres_url")
        or (urls(served.config["config_atom_folder"])["config_postgres_url"])
    )
    client = httpx2.Client(timeout=60, verify=TLS)
    return Api(
        served.url, dict(served.config), client, found, served.log, served.process
    )


@contextmanager
def serving(folder, *, config=None, **files):
    """Serve a copy of the checkout with files dropped in, as tests talk to it."""
    with serve(config, code=copied(folder, **files)) as served:
        running = opened(served)
        try:
            yield running
        finally:
            running.http.close()


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """The server most tests talk to, with the tables that they make by hand open."""
    file = config_file(*BY_HAND)
    with serving(tmp_path_factory.mktemp("api"), config_by_hand=file) as running:
        yield running


@pytest.fixture(scope="session")
def ada(api):
    """A user."""
    return api.person()


@pytest.fixture(scope="session")
def bob(api):
    """Another user."""
    return api.person()


@pytest.fixture(scope="session")
def admin(api):
    """A user with every api id."""
    return api.person(api_access="1,2,3,4,5,6")
