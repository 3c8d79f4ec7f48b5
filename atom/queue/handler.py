"""Handlers: what a message may ask for.

A shipped one, or one of a project: `function_x` by its name, `on_user_created` for
every event of the type `user.created`. Arguments are checked by the signature.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from atom.errors import nearest
from atom.queue.message import Message, Rejected

CONNECTION, APP, EVENT = "connection", "app", "event"
Function = Callable[..., Awaitable[Any]]
Batch = Callable[[Any, Sequence[Mapping[str, Any]]], Awaitable[Any]]


class Event:
    """One event: the members of its envelope as attributes, `payload` among them."""

    event_id: str
    event_type: str
    payload: Any

    def __init__(self, envelope: Mapping[str, Any]) -> None:
        self.__dict__.update({"payload": {}, **envelope})

    def __repr__(self) -> str:
        return f"Event({self.event_type}, {self.event_id})"


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that messages may ask for.

    `consumer` names it in the inbox: of one message it has one effect. `together`
    returns which messages share a call of `batch`, None for one that shares none.
    """

    name: str
    consumer: str
    function: Function
    given: frozenset[str]  # of connection, app and event: what it takes
    model: type[BaseModel] | None  # of its arguments
    batch: Batch | None = None
    together: Callable[[Mapping[str, Any]], Any] | None = None

    def arguments(self, message: Message) -> dict[str, Any]:
        """Return the arguments of a message, parsed by the types of the signature.

        Raises:
            Rejected: naming the first that is missing, unknown or of a wrong type.
        """
        if self.model is None:
            return {EVENT: Event(message.arguments)}
        try:
            found = self.model.model_validate(dict(message.arguments))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "arguments"
            raise Rejected(f"{self.name}: {where}: {first['msg']}") from error
        named = {name: getattr(found, name) for name in type(found).model_fields}
        return {**named, **(found.model_extra or {})}

    async def call(
        self, arguments: Mapping[str, Any], connection: Any, app: Any
    ) -> Any:
        """Call the function with what it takes."""
        given = {CONNECTION: connection, APP: app}
        known = {name: value for name, value in given.items() if name in self.given}
        return await self.function(**arguments, **known)


@dataclass(frozen=True, slots=True)
class Handlers:
    """Every handler, by what asks for it."""

    functions: Mapping[str, Handler] = field(default_factory=dict)
    events: Mapping[str, tuple[Handler, ...]] = field(default_factory=dict)

    def of(self, message: Message) -> tuple[Handler, ...]:
        """Return the handlers of a message: of a function it is one.

        Raises:
            Rejected: when there is none.
        """
        if message.is_event:
            if found := self.events.get(handler_name(message.name)):
                return found
            raise Rejected(
                f"no handler takes the event {message.name!r}: no file of the door "
                f"'handler' has {handler_name(message.name)}"
            )
        one = self.functions.get(message.name)
        if one is not None:
            return (one,)
        near = nearest(message.name, self.functions)
        raise Rejected(f"there is no function {message.name!r}. {near}".rstrip())


NO_HANDLERS = Handlers()


def handler_name(event_type: str) -> str:
    """Return the name of the functions that handle a type of event.

    >>> handler_name("user.created")
    'on_user_created'
    """
    return "on_" + event_type.replace(".", "_").replace("-", "_")


def named(module: ModuleType) -> list[str]:
    """Return the names in a handler file that are names of handlers."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and name.startswith(("function_", "on_"))
    ]


def read(
    modules: Iterable[ModuleType], shipped: Mapping[str, Handler], problems: list[str]
) -> Handlers:
    """Return the shipped handlers and those of these files; every fault is noted."""
    functions, events = dict(shipped), dict[str, tuple[Handler, ...]]()
    for module in modules:
        for name in named(module):
            place = f"{module.__name__}.py: {name}"
            try:
                one = handler(name, vars(module)[name], f"{module.__name__}.{name}")
            except ValueError as error:
                problems.append(f"{place}: {error}")
                continue
            if name.startswith("on_"):
                events[name] = (*events.get(name, ()), one)
            elif name in functions:
                problems.append(f"{place}: there is a function of this name already")
            else:
                functions[name] = one
    return Handlers(functions, events)


def handler(name: str, function: Function, consumer: str, **more: Any) -> Handler:
    """Read the signature of a handler.

    Raises:
        ValueError: when messages could not call it.
    """
    if not inspect.iscoroutinefunction(function):
        raise ValueError("it must be async def")
    parameters = inspect.signature(function).parameters
    given = frozenset({CONNECTION, APP} & set(parameters))
    if name.startswith("on_"):
        if set(parameters) - {EVENT, CONNECTION, APP} or EVENT not in parameters:
            raise ValueError("it must take (event, connection, app), or fewer of them")
        return Handler(name, consumer, function, given, None, **more)
    return Handler(name, consumer, function, given, _model(name, function), **more)


def _model(name: str, function: Function) -> type[BaseModel]:
    """Build what checks the arguments of a function."""
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    extra = "forbid"
    for each in inspect.signature(function).parameters.values():
        if each.name in {CONNECTION, APP}:
            continue
        if each.kind is each.VAR_KEYWORD:
            extra = "allow"
            continue
        if each.kind in {each.POSITIONAL_ONLY, each.VAR_POSITIONAL}:
            raise ValueError(f"its parameter {each.name!r} has no name in a message")
        default = ... if each.default is each.empty else each.default
        fields[each.name] = (hints.get(each.name, Any), default)
    config = ConfigDict(extra=extra, arbitrary_types_allowed=True)  # type: ignore[typeddict-item]
    return create_model(name, __config__=config, **fields)
