"""PostHog: events leave by a thread of its own, so `capture` does not wait."""

import asyncio
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key


async def connect(config: Config, live: Live) -> Any:
    """Build the client. It connects only when there is an event to send."""
    from posthog import Posthog

    return Posthog(
        config["config_posthog_project_key"],
        host=config["config_posthog_project_host"],
        timeout=3,
        max_retries=1,
    )


POSTHOG = Client(
    name="client_posthog",
    needs=("config_posthog_project_host", "config_posthog_project_key"),
    package="posthog==7.91.1",
    keys=(
        Key("config_posthog_project_host", text, None, "PostHog's address."),
        Key("config_posthog_project_key", text, None, "PostHog's key.", secret=True),
    ),
    open=connect,
    close=lambda posthog: asyncio.to_thread(posthog.shutdown),
    switch=("config_posthog_project_key",),
)
