"""The targets of events that this process serves."""

from contextlib import AsyncExitStack
from typing import Any

from atom.event.declaration import Events
from atom.event.relay import Target


def targets(app: Any, events: Events, ending: AsyncExitStack) -> dict[str, Target]:
    """Return every target that events of config have, by name."""
    found: dict[str, Target] = {}
    for name in events.targets:
        if (endpoint := events.endpoints.get(name)) is not None:
            from atom.event.webhook import WebhookTarget

            webhook = WebhookTarget(endpoint)
            ending.push_async_callback(webhook.close)
            found[name] = webhook
    return found
