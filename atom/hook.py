"""Hooks: functions of a project around the writes of a table.

`before_create_booking` and such are found by their names in the hook files. Here they
are read and sorted; `atom/row/hooked.py` calls them.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

from atom.errors import nearest

# In the order they run: on each row, on the list of them, then on each row again.
TIMES = ("before", "rows", "after", "committed")
VERBS = ("create", "update", "delete")
Function = Callable[[Any, "Hook"], Awaitable[Any]]
STRANGER: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Hook:
    """What a hook is called with, after the row.

    `connection` is `client_postgres`: until the commit its statements are part of the
    transaction that writes the row. `old` is the row as it was, for update and delete;
    for `rows_` it is a list. `app` has `state`, as the app of a request has.
    """

    connection: Any
    user: Mapping[str, Any]
    app: Any
    old: Any = None

    @property
    def ports(self) -> Any:
        """The ports: what `function_object_…` take."""
        return self.app.state.ports


@dataclass(slots=True)
class Functions:
    """The hooks of one table and verb, in the order of their files."""

    before: list[Function] = field(default_factory=list)
    rows: list[Function] = field(default_factory=list)
    after: list[Function] = field(default_factory=list)
    committed: list[Function] = field(default_factory=list)


Hooks = Mapping[tuple[str, str], Functions]  # by table and verb
NO_HOOKS: Hooks = MappingProxyType({})


def named(module: ModuleType) -> list[str]:
    """Return the names in a hook file that are names of hooks."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and name.partition("_")[0] in TIMES
    ]


def read(
    modules: Iterable[ModuleType], tables: Iterable[str], problems: list[str]
) -> Hooks:
    """Return the hooks of these files by table and verb; every fault is noted."""
    known = set(tables)
    found: dict[tuple[str, str], Functions] = {}
    for module in modules:
        place = f"{module.__name__}.py"
        problems += (f"{place}: {fault}" for fault in _misnamed(module))
        for name in named(module):
            function = vars(module)[name]
            time, _, rest = name.partition("_")
            verb, _, table = rest.partition("_")
            if fault := _fault(function, verb, table, known):
                problems.append(f"{place}: {name}: {fault}".rstrip())
                continue
            functions = found.setdefault((table, verb), Functions())
            getattr(functions, time).append(function)
    return found


def _fault(function: Any, verb: str, table: str, known: set[str]) -> str:
    """Return what is wrong with a hook, or ""."""
    if verb not in VERBS:
        return f"{verb!r} is not a verb. {nearest(verb, VERBS)}"
    if table not in known:
        return f"no table {table!r}. {nearest(table, known)}"
    if not inspect.iscoroutinefunction(function):
        return "it must be async def"
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return "it must take (row, hook)"
    return ""


def _misnamed(module: ModuleType) -> Iterator[str]:
    """Yield a fault for each function that is meant as a hook and begins otherwise."""
    for name, value in vars(module).items():
        word, _, rest = name.partition("_")
        is_own = inspect.isfunction(value) and value.__module__ == module.__name__
        if not is_own or word in TIMES or rest.partition("_")[0] not in VERBS:
            continue
        if near := nearest(word, TIMES):
            yield f"{name}: {word!r} is not a time of a hook. {near}"
