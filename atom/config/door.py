"""DOORS: every way to extend Atom, and the files of a project found by them.

A file is found by its name, in the root of the project or in the folder of its door,
and imported once. One that cannot be imported stops the start and is named with its
line; one that declares nothing is a remark.
"""

import inspect
import sys
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from atom import hook
from atom.config.resolve import Config, Key
from atom.errors import ConfigError, nearest
from atom.hook import Hooks
from atom.own_code import declare

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

    from atom.client import Client
    from atom.http.step import Step
    from atom.queue.handler import Handlers


@dataclass(frozen=True)
class Door:
    """One way to extend Atom: the names of its files, and what they declare."""

    name: str
    prefix: str
    has_folder: bool
    declares: str
    help: str
    found: Callable[[ModuleType], list[str]]

    @property
    def pattern(self) -> str:
        """The files, as a user names them."""
        folder = f" {self.name}/" if self.has_folder else ""
        return f"{self.prefix}*.py{folder}"

    def files(self, root: Path) -> Iterator[Path]:
        """Yield the files in the root by name, then those of the folder."""
        yield from sorted(root.glob(f"{self.prefix}*.py"))
        if self.has_folder:
            folder = sorted((root / self.name).glob("*.py"))
            yield from (path for path in folder if path.name != "__init__.py")


def _values(module: ModuleType) -> list[str]:
    return [
        name
        for name in vars(module)
        if name.lower().startswith("config_") or name == "KEYS"
    ]


def _own(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("__")]


def _routes(module: ModuleType) -> list[str]:
    router = vars(module).get("router")
    return [] if router is None else [f"{len(router.routes)} routes"]


def _named(*names: str) -> Callable[[ModuleType], list[str]]:
    def found(module: ModuleType) -> list[str]:
        return [name for name in names if name in vars(module)]

    return found


def _step(module: ModuleType) -> list[str]:
    if "STEP" not in vars(module):
        return []
    return [f"before {vars(module).get('BEFORE')}"]


def _command(module: ModuleType) -> list[str]:
    if "COMMAND" not in vars(module):
        return []
    return [f"python main.py {_word(module)}"]


def _handlers(module: ModuleType) -> list[str]:
    from atom.queue.handler import named

    return [*named(module), *_named("EVENTS")(module)]


CONFIG = Door(
    "config",
    "config",
    True,
    "config_ values or KEYS",
    "Values, tables and route policies; KEYS declares keys of your own.",
    _values,
)
CLIENT = Door(
    "client",
    "client_",
    False,
    "CLIENT",
    "CLIENT = Client(…): opened, closed and probed, on app.state by its name.",
    _named("CLIENT"),
)
EXTEND = Door(
    "extend",
    "extend_",
    False,
    "names to import",
    "A plain module of yours, for the other files to import from.",
    _own,
)
STEP = Door(
    "step",
    "step_",
    False,
    "STEP",
    "STEP, an async function (exchange, proceed), runs before the step that BEFORE "
    "names.",
    _step,
)
ROUTER = Door(
    "router",
    "router",
    True,
    "router",
    "Routes: the APIRouter called router is mounted.",
    _routes,
)
START = Door(
    "start",
    "start_",
    False,
    "async def start(app)",
    "async def start(app), run once everything is open; after a yield: at the end.",
    _named("start"),
)
COMMAND = Door(
    "command",
    "command_",
    False,
    "COMMAND",
    "COMMAND, a function or a typer.Typer: a command of `python main.py`.",
    _command,
)
HOOK = Door(
    "hook",
    "hook",
    True,
    "before_create_<table> and such",
    "Functions around the writes of a table, in the same transaction.",
    hook.named,
)
HANDLER = Door(
    "handler",
    "handler",
    True,
    "function_<name>, on_<event> or EVENTS",
    "Functions that messages and events call, each in one transaction.",
    _handlers,
)
# In the order they are opened: config is read before everything that may need it.
DOORS = (CONFIG, CLIENT, EXTEND, STEP, ROUTER, START, COMMAND, HOOK, HANDLER)

_importing: set[str] = set()


def _open(root: Path, door: Door, problems: list[str], remarks: list[str]) -> None:
    """Import every file of a door that is not imported yet; note each that fails.

    A file is imported under its path (`router/shop.py` becomes `router/shop`), a name
    that no `import` statement can spell, so files never hide one another.
    """
    for path in door.files(root):
        place, name = _place(root, path)
        if name in _importing:
            raise ConfigError(
                [f"{place} imports what needs config, and config is not read yet"]
            )
        if name in sys.modules and sys.modules[name].__file__ == str(path):
            continue  # also when another file imported it: it runs once
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module
        _importing.add(name)
        try:
            SourceFileLoader(name, str(path)).exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            problems.append(f"{place}{_line(error, path)}: {_worded(error)}")
        else:
            if door is not ROUTER and not door.found(module):
                remarks.append(f"{place} does nothing: it has no {door.declares}.")
        finally:
            _importing.discard(name)


def _place(root: Path, path: Path) -> tuple[str, str]:
    """Return a file as a user names it, and the name it is imported under."""
    place = path.relative_to(root).as_posix()
    return place, place.removesuffix(".py")


def modules(root: Path, door: Door) -> list[ModuleType]:
    """Return the imported files of a door."""
    named = (_place(root, path)[1] for path in door.files(root))
    return [sys.modules[name] for name in named if name in sys.modules]


def _worded(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _line(error: BaseException, path: Path) -> str:
    """Return ", line N" for the place in this file where the error came from."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def _word(module: ModuleType) -> str:
    return module.__name__.removeprefix("command_").replace("_", "-")


def variables(
    root: Path, problems: list[str], remarks: list[str]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the names each config file defines, one layer a file."""
    _open(root, CONFIG, problems, remarks)
    return [
        (
            f"{module.__name__}.py",
            {
                name: value
                for name, value in vars(module).items()
                if not name.startswith("_") and not isinstance(value, ModuleType)
            },
        )
        for module in modules(root, CONFIG)
    ]


def open_clients(root: Path, problems: list[str], remarks: list[str]) -> None:
    """Import the client files of a project."""
    from atom.client import Client

    _open(root, CLIENT, problems, remarks)
    for module in modules(root, CLIENT):
        client = vars(module).get("CLIENT")
        if client is not None and not isinstance(client, Client):
            problems.append(f"{module.__name__}.py: CLIENT is not a Client")


def clients(root: Path) -> tuple["Client", ...]:
    """Return the clients of a project."""
    from atom.client import Client

    found = (vars(module).get("CLIENT") for module in modules(root, CLIENT))
    return tuple(client for client in found if isinstance(client, Client))


def keys(root: Path, shipped: Sequence[Key], problems: list[str]) -> tuple[Key, ...]:
    """Return the shipped keys and those a project declares, in KEYS or a client."""
    declared = [
        (module, key)
        for module in modules(root, CONFIG)
        for key in vars(module).get("KEYS", ())
    ]
    for module in modules(root, CLIENT):
        declared += [
            (module, key) for key in getattr(vars(module).get("CLIENT"), "keys", ())
        ]
    found = {key.name: key for key in shipped}
    for module, key in declared:
        place = f"{module.__name__}.py"
        if not isinstance(key, Key):
            problems.append(f"{place}: KEYS holds a {type(key).__name__}, not a Key")
        elif not key.name.startswith("config_"):
            problems.append(f"{place}: key {key.name!r} must begin with config_")
        elif key.name in found:
            problems.append(f"{place}: key {key.name} is declared already")
        else:
            found[key.name] = key
    return tuple(found.values())


def routers(root: Path, config: Config) -> list["APIRouter"]:
    """Return each distinct `router` of the router files, once.

    Files that take their router from `extend.py` share a single one; it is returned
    once, after all of them have added their routes.
    """
    from fastapi import APIRouter

    _open(root, EXTEND, config.problems, config.remarks)
    _open(root, ROUTER, config.problems, config.remarks)
    distinct = {}
    for module in modules(root, ROUTER):
        place, router = f"{module.__name__}.py", vars(module).get("router")
        if isinstance(router, APIRouter):
            distinct[id(router)] = router
        elif router is None:
            near = nearest("router", [name for name in vars(module) if name[0] != "_"])
            config.problems.append(f"{place}: it has no router. {near}".rstrip())
        else:
            kind = type(router).__name__
            config.problems.append(f"{place}: router is a {kind}, not an APIRouter")
    return list(distinct.values())


def steps(
    root: Path, config: Config, shipped: tuple["Step", ...]
) -> tuple["Step", ...]:
    """Return the steps of the pipeline, those of the project in their places."""
    from atom.http.pipeline import placed
    from atom.http.step import Step

    _open(root, STEP, config.problems, config.remarks)
    _declare_codes(root, config)
    found = shipped
    for module in modules(root, STEP):
        place, step = f"{module.__name__}.py", vars(module).get("STEP")
        if step is None:
            continue
        if inspect.iscoroutinefunction(step):
            step = Step(step, inspect.getdoc(step) or f"the step of {place}")
        if not isinstance(step, Step):
            config.problems.append(
                f"{place}: STEP must be an async function (exchange, proceed) or a Step"
            )
            continue
        before = vars(module).get("BEFORE")
        if before is None:
            config.problems.append(f"{place}: it has no BEFORE, the name of a step")
            continue
        try:
            found = placed(found, step, before)
        except ValueError as error:
            config.problems.append(f"{place}: BEFORE: {error}")
    return found


def _declare_codes(root: Path, config: Config) -> None:
    """Add the error codes of every file that is open, `CODES` in it."""
    for door in (EXTEND, HOOK, HANDLER, ROUTER, STEP):
        for module in modules(root, door):
            faults = declare(vars(module).get("CODES", {}))
            config.problems += (f"{module.__name__}.py: {each}" for each in faults)


def commands(root: Path, config: Config) -> dict[str, Any]:
    """Return the commands of the project by name."""
    _open(root, COMMAND, config.problems, config.remarks)
    return {
        _word(module): vars(module)["COMMAND"]
        for module in modules(root, COMMAND)
        if "COMMAND" in vars(module)
    }


def starts(root: Path, config: Config) -> list[ModuleType]:
    """Return the files with a `start(app)`, in the order of their names."""
    _open(root, START, config.problems, config.remarks)
    found = [each for each in modules(root, START) if "start" in vars(each)]
    for module in found:
        start = vars(module)["start"]
        if not (
            inspect.iscoroutinefunction(start) or inspect.isasyncgenfunction(start)
        ):
            config.problems.append(f"{module.__name__}.py: start must be async def")
    return found


@asynccontextmanager
async def started(app: "FastAPI", found: Sequence[ModuleType]) -> AsyncIterator[None]:
    """Run every `start(app)` in order; at the end what follows a yield, in reverse.

    Raises:
        ConfigError: when one fails, with its file and line.
    """
    async with AsyncExitStack() as ending:
        for module in found:
            start = vars(module)["start"]
            try:
                if inspect.isasyncgenfunction(start):
                    begun = asynccontextmanager(start)(app)
                    await ending.enter_async_context(begun)
                else:
                    await start(app)
            except Exception as error:
                path = Path(str(module.__file__))
                where = f"{path.name}{_line(error, path)}"
                raise ConfigError([f"{where}: {_worded(error)}"]) from error
        yield


def hooks(root: Path, config: Config) -> Hooks:
    """Return the hooks of the project, by table and verb."""
    _open(root, EXTEND, config.problems, config.remarks)
    _open(root, HOOK, config.problems, config.remarks)
    tables = config["config_postgres_schema"].get("table", {})
    return hook.read(modules(root, HOOK), tables, config.problems)


def handlers(root: Path, config: Config) -> "Handlers":
    """Return the handlers of messages: those of Atom and of the project."""
    from atom.queue import handler, shipped

    _open(root, EXTEND, config.problems, config.remarks)
    _open(root, HANDLER, config.problems, config.remarks)
    own = shipped.handlers(is_query_runner=config["config_is_consumer_query_runner"])
    return handler.read(modules(root, HANDLER), own, config.problems)


def report(root: Path) -> Iterator[str]:
    """Yield every door with its help, each followed by what was found there."""
    for door in DOORS:
        yield f"{door.name:8} {door.pattern}: {door.help}"
        for path in door.files(root):
            place, name = _place(root, path)
            module = sys.modules.get(name)
            what = "cannot be imported" if module is None else "does nothing"
            if module is not None and (found := door.found(module)):
                what = ", ".join(found)
            yield f"         {place}: {what}"
