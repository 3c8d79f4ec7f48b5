"""A `config_` key as data, and how the layers of config become one read-only dict.

Later layers win: the defaults of the keys, `config*.py` in the root by name,
`config/*.py` by name, `.env`, `.env.local`, the process environment. Nothing is read
here: the layers are passed in.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

from atom.config.merge import MERGED, Merged
from atom.config.parse import Parse, integers, names
from atom.errors import nearest

PRODUCTION = frozenset({"production", "staging"})


@dataclass(frozen=True)
class Key:
    """Everything about one `config_` key.

    `also` are names under which `.env` or the environment may hold it, where no layer
    sets the key itself. `example` is shown in the docs when there is no default.
    """

    name: str
    parse: Parse
    default: Any
    help: str
    example: str = ""
    section: str = ""
    secret: bool = False
    also: tuple[str, ...] = ()


def _refuse(self: Any, *values: Any, **named: Any) -> NoReturn:
    raise TypeError(
        "config is read-only: set the key in a config file, .env or the environment"
    )


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed, and is JSON as any dict."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        """Return a copy that can be changed."""
        return {key: deepcopy(value, memo) for key, value in self.items()}


class FrozenList(list[Any]):
    """A list that cannot be changed, and is JSON as any list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __deepcopy__(self, memo: Any) -> list[Any]:
        """Return a copy that can be changed."""
        return [deepcopy(value, memo) for value in self]


def frozen(value: Any) -> Any:
    """Return a value with every dict and list in it, at any depth, read-only."""
    if type(value) is dict:
        return FrozenDict({key: frozen(each) for key, each in value.items()})
    if type(value) is list:
        return FrozenList(map(frozen, value))
    if type(value) is tuple:
        return tuple(map(frozen, value))
    return value


class Config(FrozenDict):
    """Every config value, read-only, with the problems and remarks of its layers."""

    def __init__(
        self,
        values: Mapping[str, Any],
        problems: Iterable[str] = (),
        remarks: Iterable[str] = (),
    ) -> None:
        super().__init__({key: frozen(value) for key, value in values.items()})
        self.problems = list(problems)
        self.remarks = list(remarks)

    def replace(self, values: Mapping[str, Any]) -> "Config":
        """Return a config with these values instead."""
        return Config({**self, **values}, self.problems, self.remarks)


Layer = tuple[str, Mapping[str, Any]]

PREFIX = "config_"


def resolve(
    keys: Iterable[Key],
    layers: Iterable[Layer],
    own: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Config:
    """Merge the layers, parse every value, and collect every problem with its key.

    `own` is layer 0 of the dicts that several files may add to.

    A value that cannot be parsed keeps its default, so that all problems are reported
    at once. A secret is never shown, even when it is wrong.
    """
    known = {key.name: key for key in keys}
    config = {key.name: key.default for key in known.values()}
    merged = Merged(own)
    config.update(merged.values)
    problems: list[str] = []
    remarks: list[str] = []
    for source, values in layers:
        for written, value in values.items():
            name = written.lower() if written.lower().startswith("config_") else written
            if name in MERGED:
                merged.add(name, value, source)
            elif name == "KEYS":
                continue  # declared before
            elif name in known:
                problems += _read(config, known[name], value, source)
            else:
                config[name] = value
                if hint := _misspelt(name, known):
                    remarks.append(f"{name} in {source} is not known. {hint}")
    return Config(config, merged.problems + problems, merged.remarks + remarks)


def _misspelt(name: str, known: Iterable[str]) -> str:
    """Return a hint at the key meant, or "": users have config_ values of their own."""
    if not name.startswith(PREFIX):
        return ""
    words = [key.removeprefix(PREFIX) for key in known]
    hint = nearest(name.removeprefix(PREFIX), words, cutoff=0.75)
    return hint.replace("'", f"'{PREFIX}", 1)


def _read(config: dict[str, Any], key: Key, value: Any, source: str) -> list[str]:
    """Parse one value into config; return its problems."""
    if value is None or (value == "" and key.parse not in {names, integers}):
        config[key.name] = key.default
        return []
    try:
        config[key.name] = key.parse(value)
    except ValueError as error:
        shown = "" if key.secret else f", not {str(value)[:60]!r}"
        return [f"{key.name} in {source}: {error}{shown}"]
    return []


def named(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the config of an environment: `config_…` in any case, and PORT."""
    ours = {
        name.lower(): value
        for name, value in variables.items()
        if name.lower().startswith("config_")
    }
    if variables.get("PORT"):
        ours.setdefault("config_port", variables["PORT"])
    return ours


def is_production(env: str) -> bool:
    """Whether the rules of production hold in an environment, `config_env`."""
    return env in PRODUCTION
