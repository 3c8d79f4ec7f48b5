"""PostHog: events leave by a thread of its own, so `capture` does not wait."""

import asyncio
import logging
import time
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key
from atom.errors import ApiError

log = logging.getLogger(__name__)

TIMEOUT = 3.0  # seconds of one request
FLUSH = 3.0  # seconds for what is left at the end
QUEUE = 10_000  # events that wait, at most
REPORT = 10.0  # seconds between two log lines about events that are lost


class Lost:
    """Counts events that were not delivered, and logs how many, now and then."""

    def __init__(self) -> None:
        self.count = 0
        self._reported, self._reported_at = 0, -REPORT

    def add(self, count: int, why: str) -> None:
        """Count events that are lost."""
        self.count += count
        now = time.monotonic()
        if now - self._reported_at >= REPORT:
            self.report(why)
            self._reported_at = now

    def report(self, why: str) -> None:
        """Log what was not logged yet."""
        if new := self.count - self._reported:
            log.warning("client_posthog: %s event(s) lost: %s", new, why)
            self._reported = self.count


class Analytics:
    """A client of PostHog; `raw` is its own."""

    def __init__(self, raw: Any, lost: Lost) -> None:
        self.raw = raw
        self.lost = lost

    def __getattr__(self, name: str) -> Any:
        """Return what PostHog's own client has by that name."""
        return getattr(self.raw, name)

    def capture(self, event: str, **options: Any) -> str | None:
        """Take an event; return its id, or None when it is lost, which is logged."""
        taken: str | None = self.raw.capture(event, **options)
        if taken is None:
            self.lost.add(1, "too many wait")
        return taken

    async def close(self) -> None:
        """Send what is left, for a bounded time; log what could not be sent."""
        await asyncio.to_thread(self.raw.flush, FLUSH)
        if left := self.raw.queue.unfinished_tasks:
            self.lost.add(left, "PostHog did not take them in time")
        self.lost.report("PostHog does not answer, or refuses the key")


async def connect(config: Config, live: Live) -> Any:
    """Build the client. It connects only when there is an event to send."""
    from posthog import Posthog

    lost = Lost()

    def failed(error: Exception, batch: list[Any]) -> None:
        lost.add(len(batch), type(error).__name__)

    logging.getLogger("posthog").setLevel(logging.CRITICAL)  # counted here instead
    raw = Posthog(
        config["config_posthog_project_key"],
        host=config["config_posthog_project_host"],
        timeout=TIMEOUT,
        max_retries=1,
        max_queue_size=QUEUE,
        on_error=failed,
    )
    return Analytics(raw, lost)


async def examine(posthog: Analytics) -> str | None:
    """Ask which flags are on for a stranger, with the key; an event would be stored.

    None where PostHog's address has no flags, which proves nothing.

    Raises:
        ApiError: when PostHog refuses the key.
    """
    from requests import post

    answer = await asyncio.to_thread(
        post,
        f"{str(posthog.raw.host).rstrip('/')}/flags/?v=2",
        json={"api_key": posthog.raw.api_key, "distinct_id": "atom-doctor"},
        timeout=TIMEOUT / 2,
    )
    if answer.status_code in (401, 403):
        raise ApiError(
            f"client_posthog refuses the key ({answer.status_code}).",
            code="client.refused",
            status=502,
            hint="Check config_posthog_project_key.",
        )
    return "" if answer.ok else None


POSTHOG = Client(
    name="client_posthog",
    needs=("config_posthog_project_host", "config_posthog_project_key"),
    package="posthog==7.91.1",
    keys=(
        Key("config_posthog_project_host", text, None, "PostHog's address."),
        Key("config_posthog_project_key", text, None, "PostHog's key.", secret=True),
    ),
    open=connect,
    close=lambda posthog: posthog.close(),
    examine=examine,
    switch=("config_posthog_project_key",),
)
