"""Every `config_` key, as data; and how the layers of config become one dict.

Later layers win: the defaults here, `config*.py` in the root by name, `config/*.py` by
name, `.env`, the process environment. Nothing is read here: layers are handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from atom.errors import nearest

Read = Callable[[Any], Any]


def text(value: Any) -> str | None:
    """Read text; empty means unset."""
    return str(value).strip() or None


def flag(value: Any) -> bool:
    """Read 0/1/true/false."""
    word = str(value).strip().lower()
    if word not in {"0", "1", "true", "false"}:
        raise ValueError("expected 0, 1, true or false")
    return word in {"1", "true"}


def prefix(value: Any) -> str:
    """Parse the beginning of a path; the slash at its end may be left out.

    >>> prefix("/api/"), prefix("")
    ('/api', '')
    """
    given = (text(value) or "").rstrip("/")
    if given and (not given.startswith("/") or "//" in given or "{" in given):
        raise ValueError("expected a path such as /api")
    return given


def names(value: Any) -> tuple[str, ...]:
    """Read a comma string or a Python list; an empty one is an empty list."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple | set | frozenset):
        raise ValueError("expected a comma string or a list")
    return tuple(word for word in (str(part).strip() for part in parts) if word)


def integers(value: Any) -> tuple[int, ...]:
    """Read a comma string, a list, or one whole number."""
    parts = (value,) if isinstance(value, int) else names(value)
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise ValueError("expected whole numbers joined by commas") from None


def whole(least: int = 0, most: int = 2**31) -> Read:
    """Make a reader of a whole number between two bounds, both included."""

    def read(value: Any) -> int:
        wrong = f"expected a whole number from {least} to {most}"
        if isinstance(value, bool | float):
            raise ValueError(wrong)
        try:
            number = int(str(value).strip())
        except ValueError:
            raise ValueError(wrong) from None
        if not least <= number <= most:
            raise ValueError(wrong)
        return number

    return read


def seconds(value: Any) -> float:
    """Read a time in seconds, fractions allowed, above zero."""
    try:
        number = float(str(value).strip())
    except ValueError:
        number = 0.0
    if not 0 < number < 10**9:
        raise ValueError("expected seconds above 0")
    return number


def one_of(*words: str) -> Read:
    """Make a reader of one word out of a closed set."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(
                f"expected one of {', '.join(words)}. {nearest(word, words)}".rstrip()
            )
        return word

    return read


@dataclass(frozen=True)
class Key:
    """One `config_` key: its name, reader, value without you, and meaning."""

    name: str
    read: Read
    default: Any
    help: str
    secret: bool = False


class Config(dict[str, Any]):
    """Every config value, read-only, with the problems and remarks of its layers."""

    def __init__(
        self,
        values: Mapping[str, Any],
        problems: Iterable[str] = (),
        remarks: Iterable[str] = (),
    ) -> None:
        super().__init__(values)
        self.problems = list(problems)
        self.remarks = list(remarks)

    def replace(self, values: Mapping[str, Any]) -> "Config":
        """Return a config with these values instead."""
        return Config({**self, **values}, self.problems, self.remarks)

    def _refuse(self, *values: Any, **named: Any) -> NoReturn:
        raise TypeError(
            "config is read-only: set the key in a config file, .env or the environment"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


Layer = tuple[str, Mapping[str, Any]]

PREFIX = "config_"
MERGED = ("config_api", "config_error", "config_postgres_schema")


def _merge(config: dict[str, Any], name: str, value: Any, source: str) -> list[str]:
    """Add one file's dict to that of other files. The same entry twice is told."""
    if not isinstance(value, Mapping):
        return [f"{name} in {source}: expected a dict, not {type(value).__name__}"]
    problems = []
    into = config.setdefault(name, {})
    parts = value if name == "config_postgres_schema" else {"": value}
    for part, entries in parts.items():
        room = into.setdefault(part, {}) if part else into
        if not isinstance(entries, Mapping):
            problems.append(f"{name}[{part!r}] in {source}: expected a dict")
            continue
        for key, entry in entries.items():
            if key in room:
                problems.append(f"{name} in {source}: {key!r} is declared twice")
            room[key] = entry
    return problems


def resolve(keys: Iterable[Key], layers: Iterable[Layer]) -> Config:
    """Merge the layers, read every value, and note every problem with its key.

    A value that cannot be read keeps its default, so that all faults are told at once.
    A secret is never shown, also not when it is wrong.
    """
    known = {key.name: key for key in keys}
    config = {key.name: key.default for key in known.values()}
    config.update({name: {} for name in MERGED})
    problems: list[str] = []
    remarks: list[str] = []
    for source, values in layers:
        for written, value in values.items():
            name = written.lower() if written.lower().startswith("config_") else written
            if name in MERGED:
                problems += _merge(config, name, value, source)
            elif name in known:
                problems += _read(config, known[name], value, source)
            else:
                config[name] = value
                if hint := _misspelt(name, known):
                    remarks.append(f"{name} in {source} is not known. {hint}")
    return Config(config, problems, remarks)


def _misspelt(name: str, known: Iterable[str]) -> str:
    """Return which key was meant, or "": files may hold config_ values of their own."""
    if not name.startswith(PREFIX):
        return ""
    words = [key.removeprefix(PREFIX) for key in known]
    hint = nearest(name.removeprefix(PREFIX), words, cutoff=0.75)
    return hint.replace("'", f"'{PREFIX}", 1)


def _read(config: dict[str, Any], key: Key, value: Any, source: str) -> list[str]:
    """Put one value where it belongs; return what is wrong with it."""
    if value is None or (value == "" and key.read not in {names, integers}):
        config[key.name] = key.default
        return []
    try:
        config[key.name] = key.read(value)
    except ValueError as error:
        shown = "" if key.secret else f", not {str(value)[:60]!r}"
        return [f"{key.name} in {source}: {error}{shown}"]
    return []


def named(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return what is ours of an environment: `config_…` in any case, and PORT."""
    ours = {
        name.lower(): value
        for name, value in variables.items()
        if name.lower().startswith("config_")
    }
    if variables.get("PORT"):
        ours.setdefault("config_port", variables["PORT"])
    return ours
