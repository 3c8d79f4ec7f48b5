"""The targets of events: handlers in this process, brokers, SNS, webhooks."""

from contextlib import AsyncExitStack
from typing import Any

from atom.aws import publish
from atom.errors import Unavailable
from atom.event.declaration import BROKERS, Events
from atom.event.outbox import MAIL, Claimed
from atom.event.relay import Away, Refused, Target
from atom.port import Ports
from atom.queue.effect import apply, is_away, is_final, worded
from atom.queue.message import Message, Rejected


class HandlerTarget:
    """The handlers of this process: effect and inbox row in one transaction."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._ports: Ports = app.state.ports

    async def deliver(self, claimed: Claimed) -> None:
        """Call every handler of the event that it has not reached yet.

        Raises:
            Away: when the database does not answer.
            Refused: when no other try would help.
        """
        event = claimed.event
        message = Message(
            event.event_type, event.as_dict(), event.event_id, event.key, is_event=True
        )
        try:
            for handler in self._ports.handlers.of(message):
                await apply(self._app, handler, message)
        except Rejected as error:
            raise Refused(worded(error)) from error
        except Exception as error:
            if is_away(error):
                raise Away(worded(error)) from error
            if is_final(error):
                raise Refused(worded(error)) from error
            raise


class BrokerTarget:
    """A channel of a broker, which confirms each event."""

    def __init__(self, name: str, ports: Ports) -> None:
        self._name = name
        self._ports = ports

    async def deliver(self, claimed: Claimed) -> None:
        """Send an event to the channel of its type.

        Raises:
            Away: when the broker does not confirm.
        """
        event = claimed.event
        channel = self._ports.events.find(event.event_type).channel
        try:
            broker = self._ports.brokers.get(self._name)
            await broker.send(
                channel, event.as_json(), message_id=event.event_id, key=event.key
            )
        except Unavailable as error:
            raise Away(worded(error)) from error


class SnsTarget:
    """A topic of SNS."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def deliver(self, claimed: Claimed) -> None:
        """Publish an event to the topic of its type.

        Raises:
            Away: while SNS does not answer, or is not configured.
        """
        event = claimed.event
        topic = self._ports.events.find(event.event_type).topic
        try:
            await publish(
                self._ports.aws,
                topic,
                event.as_json().decode(),
                {"event_type": event.event_type},
                key=event.key,
                message_id=event.event_id,
            )
        except Unavailable as error:
            raise Away(worded(error)) from error


def targets(app: Any, events: Events, ending: AsyncExitStack) -> dict[str, Target]:
    """Return every target that events of config have, and that of mails, by name."""
    from atom.mail.target import MailTarget

    ports: Ports = app.state.ports
    found: dict[str, Target] = {MAIL: MailTarget(ports)}
    for name in events.targets:
        if name == "handler":
            found[name] = HandlerTarget(app)
        elif name == "sns":
            found[name] = SnsTarget(ports)
        elif name in BROKERS:
            found[name] = BrokerTarget(name, ports)
        elif (endpoint := events.endpoints.get(name)) is not None:
            from atom.event.webhook import WebhookTarget

            webhook = WebhookTarget(endpoint)
            ending.push_async_callback(webhook.close)
            found[name] = webhook
    return found
