"""Google's public keys, by which ID tokens are verified."""

import asyncio
import re
import time
from typing import Any

from atom.client import SILENT, Client, Config, Live
from atom.client.http import GOOGLE_KEY, TOTAL
from atom.config.parse import names, text
from atom.config.resolve import Key
from atom.errors import Unavailable

URL = "https://www.googleapis.com/oauth2/v3/certs"
PARENT = "client_http"
URL_KEY = "config_google_certs_url"
LEAST, MOST = 60.0, 86400.0  # seconds that keys are kept
AGAIN = 30.0  # seconds until a key that is unknown may have been added
MAX_AGE = re.compile(r"max-age=(\d{1,9})")


class GoogleKeys:
    """The keys in force, kept for as long as Google allows; callers share one request.

    While Google does not answer, those it had last are good for a day.
    """

    def __init__(self, http: Any, url: str, client_ids: tuple[str, ...]) -> None:
        self.client_ids = client_ids
        self._http = http
        self._url = url
        self._keys: dict[str, Any] = {}
        self._read_at = -MOST
        self._good_for = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def key(self, name: str) -> Any | None:
        """Return a public key by its `kid`; None when Google has no such key.

        Raises:
            Unavailable: `client.silent` when the keys cannot be read.
        """
        age = time.monotonic() - self._read_at
        if age > self._good_for or (name not in self._keys and age > AGAIN):
            try:
                await self._read_once()
            except Unavailable:
                if name not in self._keys or age > MOST:
                    raise
        return self._keys.get(name)

    async def _read_once(self) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self.read(), name="google keys")
            self._reading.add_done_callback(self._has_read)
        await asyncio.shield(self._reading)

    def _has_read(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()  # each caller has it

    async def read(self) -> None:
        """Read the keys.

        Raises:
            Unavailable: `client.silent`.
        """
        import jwt
        from httpx2 import HTTPError

        try:
            async with asyncio.timeout(TOTAL):
                answer = await self._http.get(self._url)
                answer.raise_for_status()
                found = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (HTTPError, OSError, ValueError, TypeError, jwt.PyJWTError) as error:
            raise Unavailable(
                f"Google's keys cannot be read ({type(error).__name__}).",
                code=SILENT,
                hint=f"Check {URL_KEY} and the way to it.",
                seconds=5,
            ) from error
        self._keys = {one.key_id: one.key for one in found if one.key_id}
        allowed = MAX_AGE.search(answer.headers.get("cache-control", ""))
        seconds = float(allowed[1]) if allowed else LEAST
        self._good_for = min(max(seconds, LEAST), MOST)
        self._read_at = time.monotonic()


async def use(config: Config, live: Live) -> GoogleKeys:
    """Return the keys; they are read for the first login."""

    return GoogleKeys(live[PARENT], config[URL_KEY], config[GOOGLE_KEY])


async def examine(keys: GoogleKeys) -> str:
    """Read the keys."""
    await keys.read()
    return ""


GOOGLE = Client(
    name="client_google",
    needs=(GOOGLE_KEY,),
    package="cryptography==50.0.2",
    keys=(
        Key(
            GOOGLE_KEY,
            names,
            (),
            "Client ids of Google; ID tokens for them log in.",
        ),
        Key(URL_KEY, text, URL, "Where Google's public keys are."),
    ),
    open=use,
    examine=examine,
    optional=(URL_KEY,),
    after=PARENT,
)
