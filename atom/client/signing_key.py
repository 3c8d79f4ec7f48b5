"""The public keys of a sign-in service, by which its ID tokens are verified."""

import asyncio
import re
import time
from typing import Any

from atom.client import SILENT
from atom.client.http import TOTAL
from atom.errors import Unavailable

LEAST, MOST = 60.0, 86400.0  # seconds that keys are kept
AGAIN = 30.0  # seconds until a key that is unknown may have been added
MAX_AGE = re.compile(r"max-age=(\d{1,9})")


class SigningKeys:
    """The keys in force, kept for as long as the service allows.

    Callers share one request. While the service does not answer, those it had last are
    good for a day. `setting` is the config key that leads to `url`.
    """

    def __init__(self, http: Any, url: str, service: str, setting: str) -> None:
        self._http = http
        self._url = url
        self._service = service
        self._setting = setting
        self._keys: dict[str, Any] = {}
        self._read_at = -MOST
        self._good_for = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def key(self, name: str) -> Any | None:
        """Return a public key by its `kid`; None when the service has no such key.

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
            self._reading = asyncio.create_task(self.read(), name="signing keys")
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
                f"{self._service}'s keys cannot be read ({type(error).__name__}).",
                code=SILENT,
                hint=f"Check {self._setting} and the way to it.",
                seconds=5,
            ) from error
        self._keys = {one.key_id: one.key for one in found if one.key_id}
        allowed = MAX_AGE.search(answer.headers.get("cache-control", ""))
        seconds = float(allowed[1]) if allowed else LEAST
        self._good_for = min(max(seconds, LEAST), MOST)
        self._read_at = time.monotonic()
