"""A connection past the server, kept from one statement to the next.

To connect costs more than most statements do, on both sides. The connections live in
the event loop of one thread, which notices at once when a server has ended.
"""

import asyncio
import threading
import weakref
from functools import cache

import asyncpg

NAMED = {"application_name": "tests"}


@cache
def loop():
    """Return the event loop of the thread."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True, name="lines").start()
    return made


class Line:
    """One connection to a database, made when it is needed and again when it is lost.

    A statement that comes while another one runs has a connection of its own.
    """

    def __init__(self, url):
        self._url = url
        self._held = []

    def fetch(self, text, *values):
        """Run one statement; return its rows as dicts."""
        return asyncio.run_coroutine_threadsafe(
            self._run(text, values), loop()
        ).result()

    async def _run(self, text, values):
        kept = self._held.pop() if self._held else None
        if kept is None or kept.is_closed():
            kept = await asyncpg.connect(
                self._url, statement_cache_size=0, server_settings=NAMED
            )
            weakref.finalize(self, end, kept)
        try:
            rows = [dict(row) for row in await kept.fetch(text, *values)]
        except BaseException:
            await kept.close()
            raise
        if self._held or kept.is_in_transaction():
            await kept.close()
        else:
            self._held.append(kept)
        return rows


def end(connection):
    """Close a connection, if it is still open."""
    loop().call_soon_threadsafe(connection.terminate)
