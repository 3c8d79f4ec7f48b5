"""The logins that run a caller's SQL. PostgreSQL checks each statement by their rights.

A role that Atom's own role merely switches to would not do: `set_config('role', …)` in
a statement switches back. A login of its own has nothing to switch back to.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

NAME_MAX = 63
ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of login and its rights on columns that are not secret."""

    word: str
    verbs: tuple[str, ...] = ("SELECT",)
    every_schema: bool = False  # beyond `public`; never Atom's or PostgreSQL's own

    @property
    def writes(self) -> bool:
        """Whether it may also insert, update and delete."""
        return "INSERT" in self.verbs

    def name(self, database: str) -> str:
        """Return the name of the login, which no other database of the server uses.

        >>> READER.name("shop")
        'atom_reader_shop'
        """
        name = f"atom_{self.word}_{database}"
        if len(name.encode()) <= NAME_MAX:
            return name
        return f"atom_{self.word}_{hashlib.sha256(database.encode()).hexdigest()[:32]}"


READER = Role("reader")  # /admin/db-runner
WRITER = Role("writer", ("SELECT", "INSERT", "UPDATE"))  # the same, for user 1
EXPORTER = Role("exporter", every_schema=True)  # /root/postgres-export


def password(url: str, fallback: str, name: str) -> str:
    """Derive the password of a login, so that all workers agree and none is stored.

    From the password in the database's URL, which grants more already; without one
    from `fallback`. `embedded/prepare.py` derives the same.
    """
    key = unquote(urlsplit(url).password or "") or fallback
    return hmac.digest(key.encode(), name.encode(), "sha256").hex()


def verifier(word: str) -> str:
    """Return what PostgreSQL stores of a password, so that no log ever shows it.

    Source: RFC 5803; PostgreSQL, src/common/scram-common.c, scram_build_secret.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", word.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored, server = (
        hashlib.sha256(client),
        hmac.digest(salted, b"Server Key", "sha256"),
    )
    parts = [b64encode(part).decode() for part in (salt, stored.digest(), server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"
