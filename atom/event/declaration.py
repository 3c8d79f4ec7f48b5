"""`config_event` and `config_webhook`, parsed: the types of events and their targets.

A row event (`row.<table>.created`, `.updated`, `.deleted`) is written by triggers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from atom.config.view import view
from atom.errors import nearest

NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
WORD = re.compile(r"[a-z][a-z0-9_]{0,50}")
TARGETS = (
    "handler",
    "webhook",
    "redis",
    "rabbitmq",
    "kafka",
    "celery",
    "sqs",
    "sns",
)
BROKERS = TARGETS[2:7]
NEEDS = {
    "redis": "redis_pubsub_url",
    "rabbitmq": "rabbitmq_url",
    "kafka": "kafka_url",
    "celery": "celery_broker_url",
    "sqs": "sqs_region_name",
    "sns": "sns_region_name",
}
ENTRY = ("target", "retry", "channel", "topic")
ENDPOINT = ("url", "secret", "types", "timeout_sec", "is_private")
RETRY = (5.0, 30.0, 300.0)
RETRY_WEBHOOK = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
NOWHERE = "none"  # the target of an event without any
VERBS = ("created", "updated", "deleted")


class EventError(ValueError):
    """An event that does not fit its declaration: a fault of the code that has it."""


@dataclass(frozen=True, slots=True)
class EventConfig:
    """What config sets for events."""

    event: Mapping[str, Any]
    webhook: Mapping[str, Any]
    channel: str
    is_outbox: bool | None  # None: not in production
    env: str
    outbox_retention_sec: float
    column_secret_list: tuple[str, ...]
    postgres_schema: Mapping[str, Any]
    table: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook is sent, and which events."""

    name: str
    url: str
    secret: str = field(repr=False)
    types: tuple[str, ...] = ("*",)
    timeout: float = 10.0
    is_private: bool = False  # whether its address may be one of a private network

    @property
    def target(self) -> str:
        """Its name among the targets of an event."""
        return f"webhook:{self.name}"

    def takes(self, event_type: str) -> bool:
        """Whether events of a type are sent to it."""
        return any(fnmatchcase(event_type, each) for each in self.types)


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event, as declared."""

    name: str
    targets: tuple[str, ...]  # one webhook endpoint is a target of its own
    retry: tuple[float, ...] | None = None
    channel: str = ""  # of a broker; none of its own: config_channel
    topic: str = ""  # of SNS

    def pauses(self, target: str) -> tuple[float, ...]:
        """Return the seconds before each further try."""
        if self.retry is not None:
            return self.retry
        return RETRY_WEBHOOK if target.startswith("webhook:") else RETRY


@dataclass(frozen=True, slots=True)
class Events:
    """Every type of event, the models of payloads, and the webhook endpoints."""

    config: EventConfig
    types: Mapping[str, EventType]
    models: Mapping[str, type[BaseModel]]
    endpoints: Mapping[str, Endpoint]  # by target
    handled: frozenset[str] = frozenset()  # types with a handler: user_created

    def find(self, name: str) -> EventType:
        """Return a type of event. Where none is declared at all, any name is one.

        Raises:
            EventError: for a type that is not declared, with the nearest that is.
        """
        if (found := self.types.get(name)) is not None:
            return found
        if not NAME.fullmatch(name):
            raise EventError(f"{name!r} is not the name of an event, as user.created")
        if spelt(name) in self.handled:
            return EventType(name, ("handler",))
        if self.types or self.handled:
            raise EventError(
                f"no event {name!r} in config_event, in EVENTS or with a handler."
                f" {nearest(name, self.types)}".rstrip()
            )
        return EventType(name, (NOWHERE,))

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target that any event has, each once."""
        each = (target for one in self.types.values() for target in one.targets)
        found = set(each) | ({"handler"} if self.handled else set())
        return tuple(sorted(found - {NOWHERE}))

    @property
    def tables(self) -> frozenset[str]:
        """The tables with row events."""
        named = (row_event(name) for name in self.types)
        return frozenset(table for table, _ in filter(None, named))


def row_event(name: str) -> tuple[str, str] | None:
    """Return the table and the verb of a row event, None for another event.

    >>> row_event("row.booking.created"), row_event("user.created")
    (('booking', 'created'), None)
    """
    word, _, rest = name.partition(".")
    table, _, verb = rest.rpartition(".")
    return (table, verb) if word == "row" and table else None


def declared(
    config: Mapping[str, Any],
    problems: list[str],
    *,
    models: Mapping[str, type[BaseModel]] | None = None,
    handled: Iterable[str] = (),
) -> Events:
    """Return the events of config; every fault is noted.

    `models` are Pydantic models of payloads by type, `handled` the names of handlers.
    """
    given = view(EventConfig, config)
    waiting = frozenset(name.removeprefix("on_") for name in handled)
    endpoints = {each.target: each for each in _endpoints(given.webhook, problems)}
    types = {}
    for name, entry in given.event.items():
        found = _entry(name, entry, given, endpoints, problems)
        if found is not None:
            types[name] = found
    for name in models or {}:
        target = "handler" if spelt(name) in waiting else NOWHERE
        types.setdefault(name, EventType(name, (target,)))
    return Events(given, types, dict(models or {}), endpoints, waiting)


def models_of(
    modules: Iterable[ModuleType], problems: list[str]
) -> dict[str, type[BaseModel]]:
    """Return the models of payloads, by type, that handler files have in EVENTS."""
    found: dict[str, type[BaseModel]] = {}
    for module in modules:
        place = f"{module.__name__}.py: EVENTS"
        given = vars(module).get("EVENTS", {})
        if not isinstance(given, Mapping):
            problems.append(f"{place}: expected a dict of models by event")
            continue
        for name, model in given.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                problems.append(f"{place}[{name!r}]: not the name of an event")
            elif not isinstance(model, type) or not issubclass(model, BaseModel):
                problems.append(f"{place}[{name!r}]: not a Pydantic model")
            elif name in found:
                problems.append(f"{place}[{name!r}]: it has a model already")
            else:
                found[name] = model
    return found


def unhandled(events: Events) -> list[str]:
    """Return a problem for each event with the target handler that has none."""
    return [
        f"config_event[{name!r}]: no handler file has on_{spelt(name)}."
        f" {nearest(spelt(name), events.handled)}".rstrip()
        for name, each in events.types.items()
        if "handler" in each.targets and spelt(name) not in events.handled
    ]


def spelt(name: str) -> str:
    """Return the name of an event as its handlers spell it.

    >>> spelt("user.created")
    'user_created'
    """
    return name.replace(".", "_")


def waiting(events: Events, config: Mapping[str, Any]) -> list[str]:
    """Return which targets have no service: their events wait until they have one."""
    return [
        f"config_event: events for {target} wait: config_{NEEDS[target]} is not set."
        for target in events.targets
        if target in NEEDS and not config.get(f"config_{NEEDS[target]}")
    ]


def _entry(
    name: Any,
    entry: Any,
    given: EventConfig,
    endpoints: Mapping[str, Endpoint],
    problems: list[str],
) -> EventType | None:
    place, before = f"config_event[{name!r}]", len(problems)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        problems.append(f"{place}: not the name of an event, such as user.created")
        return None
    if not isinstance(entry, Mapping):
        kind = type(entry).__name__
        problems.append(f"{place}: expected a dict with 'target', not {kind}")
        return None
    _known(entry, ENTRY, place, problems)
    if (row := row_event(name)) is not None:
        table, verb = row
        tables = given.postgres_schema.get("table", {})
        if table not in tables:
            hint = nearest(table, tables)
            problems.append(f"{place}: no table {table!r}. {hint}".rstrip())
        if verb not in VERBS:
            hint = nearest(verb, VERBS)
            problems.append(f"{place}: {verb!r} is not {', '.join(VERBS)}. {hint}")
    elif name.startswith("row."):
        problems.append(f"{place}: a row event is row.<table>.{'|'.join(VERBS)}")
    words = entry.get("target", ("handler",))
    words = (words,) if isinstance(words, str) else words
    if not isinstance(words, list | tuple) or not words:
        problems.append(f"{place}['target']: expected a list of targets")
        return None
    targets: dict[str, None] = {}
    for word in words:
        if word not in TARGETS:
            hint = nearest(str(word), TARGETS) or f"Use {', '.join(TARGETS)}."
            problems.append(f"{place}['target']: no target {word!r}. {hint}")
        elif word != "webhook":
            targets[word] = None
        else:
            takers = [each.target for each in endpoints.values() if each.takes(name)]
            targets |= dict.fromkeys(takers)
            if not takers:
                problems.append(f"{place}: no entry of config_webhook takes {name}")
    channel = entry.get("channel", given.channel)
    if not isinstance(channel, str) or not channel:
        problems.append(f"{place}['channel']: expected a name")
    topic = str(entry.get("topic", ""))
    if "sns" in targets and not topic:
        problems.append(f"{place}: the target sns needs 'topic', the ARN of a topic")
    retry = _retry(entry.get("retry"), place, problems)
    if len(problems) > before:
        return None
    return EventType(name, tuple(targets), retry, channel, topic)


def _retry(given: Any, place: str, problems: list[str]) -> tuple[float, ...] | None:
    if given is None:
        return None
    is_list = isinstance(given, list | tuple)
    if not is_list or not all(
        isinstance(each, int | float) and not isinstance(each, bool) and each >= 0
        for each in given
    ):
        problems.append(f"{place}['retry']: expected a list of seconds")
        return None
    return tuple(float(each) for each in given)


def _known(
    entry: Mapping[str, Any], words: tuple[str, ...], place: str, problems: list[str]
) -> None:
    for word in entry:
        if word not in words:
            hint = nearest(str(word), words) or f"Use {', '.join(words)}."
            problems.append(f"{place}: unknown key {word!r}. {hint}")


def _endpoints(given: Mapping[str, Any], problems: list[str]) -> list[Endpoint]:
    from atom.event.signature import key_of

    found = []
    if given and find_spec("httpx2") is None:
        problems.append(
            "config_webhook needs the package httpx2, in requirements-optional.txt"
        )
    for name, entry in given.items():
        place, before = f"config_webhook[{name!r}]", len(problems)
        if not isinstance(name, str) or not WORD.fullmatch(name):
            problems.append(f"{place}: expected a name of letters, digits and _")
            continue
        if not isinstance(entry, Mapping):
            problems.append(f"{place}: expected a dict with 'url' and 'secret'")
            continue
        _known(entry, ENDPOINT, place, problems)
        url = str(entry.get("url", ""))
        if not re.fullmatch(r"https?://[^/\s@]+(?:/\S*)?", url):
            problems.append(f"{place}['url']: expected https://…, without a password")
        try:
            key_of(str(entry.get("secret", "")))
        except ValueError as error:
            problems.append(f"{place}['secret']: {error}")
        types = entry.get("types", ("*",))
        types = (types,) if isinstance(types, str) else types
        if not isinstance(types, list | tuple) or not types:
            problems.append(f"{place}['types']: expected a list such as ['user.*']")
            continue
        seconds = entry.get("timeout_sec", 10)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            seconds = 0
        if not 0 < seconds <= 60:
            problems.append(f"{place}['timeout_sec']: expected 1 to 60 seconds")
        if len(problems) == before:
            private = entry.get("is_private") in (1, True, "1", "true")
            types = tuple(map(str, types))
            secret = str(entry["secret"])
            found.append(Endpoint(name, url, secret, types, float(seconds), private))
    return found
