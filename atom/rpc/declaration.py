"""An entry of `config_rpc`, parsed: what the route takes, runs and reads."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.resolve import Config
from atom.config.view import view
from atom.datatype import limit
from atom.datatype.declared import canonical
from atom.datatype.value import from_json
from atom.errors import ApiError, nearest
from atom.http.policy import Key
from atom.http.tier import tier
from atom.postgres.catalog import LiveColumn
from atom.postgres.condition import (
    CLAIM,
    QUERY,
    Bind,
    Condition,
    Reader,
    UnreadableCondition,
    tokens,
)

METHODS = ("GET", "POST")
WORDS = ("sql", "value", "table", "help")
GUARDED = frozenset({"public", "my", "private", "admin", "root"})
NAME = re.compile(r"[a-z_][a-z0-9_]*")
IN_PATH = re.compile(r"{(\w+)(?::\w+)?}")
LIMIT, PAGE = "limit", "page"


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """What config sets for these routes."""

    rpc: Mapping[str, Any]
    api: Mapping[str, Any]
    api_default: Mapping[str, Any]
    role: Mapping[str, str]
    scope: Mapping[str, str]
    token_key_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a caller sends; not `mandatory`, it has a default."""

    column: LiveColumn
    mandatory: bool = True
    default: Any = None

    @property
    def name(self) -> str:
        """Its name in the statement and in the request."""
        return self.column.name


@dataclass(frozen=True, slots=True)
class ValueBind(Bind):
    """The place of a caller's value in a statement."""

    cast: str = "text"

    @property
    def datatype(self) -> str:
        """The datatype of its parameter, and what that is cast to."""
        return self.cast


@dataclass(frozen=True, slots=True)
class StatementReader(Reader):
    """Reads a statement, in which the values of the caller have names too."""

    values: Mapping[str, Value]

    def read_statement(self, text: str) -> Condition:
        """Read a statement.

        Raises:
            UnreadableCondition: naming what cannot be read.
        """
        return Condition(tuple(self._pieces(tokens(text), "", frozenset(), ())))

    def _bind(self, name: str, within: tuple[str, ...]) -> Any:
        if (value := self.values.get(name)) is not None and not within:
            cast = value.column.kind.cast("").removeprefix("::")
            return [ValueBind(name, cast)]
        try:
            return Reader._bind(self, name, within)
        except UnreadableCondition:
            known = [*self.values, "me", "role"]
            raise UnreadableCondition(
                f":{name} is not known. {nearest(name, known)}".rstrip()
            ) from None


@dataclass(frozen=True, slots=True)
class Rpc:
    """One route: what it takes, and the statement it runs."""

    method: str
    path: str
    statement: Condition
    word: str  # that the statement begins with
    values: Mapping[str, Value]
    tables: frozenset[str]  # declared, in addition to those that the statement names
    names: frozenset[str]  # every name in the statement: tables are among them
    help: str

    @property
    def place(self) -> str:
        """The entry, as a message names it."""
        return f"config_rpc['{self.method} {self.path}']"

    @property
    def in_path(self) -> tuple[str, ...]:
        """The values that are part of the path."""
        return tuple(IN_PATH.findall(self.path))

    @property
    def is_read(self) -> bool:
        """Whether it only reads."""
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Declared:
    """Every route of `config_rpc`, and `config_api` with their entries."""

    routes: tuple[Rpc, ...]
    api: dict[str, Any]


def declared(config: Config, keys: Iterable[Key[Any]]) -> Declared:
    """Parse `config_rpc`; every fault is noted.

    `keys` are those of `config_api`, which an entry may have too.
    """
    given, found = view(RpcConfig, config), []
    policies = [key.name for key in keys]
    api = {name: entry for name, entry in given.api.items()}
    for name, entry in given.rpc.items():
        problems = _faults(name, entry, policies)
        if not problems:
            rpc = _parsed(name, entry, given, problems)
        if not problems:
            _merge(api, rpc, entry, policies, problems)
            problems += _policy_faults(rpc, _entry(rpc, api, given.api_default))
        if not problems:
            found.append(rpc)
        config.problems += [f"config_rpc[{name!r}]: {each}" for each in problems]
    return Declared(tuple(found), api)


def _faults(name: Any, entry: Any, policies: list[str]) -> list[str]:
    """Return what is wrong with the form of an entry."""
    method, _, path = str(name).strip().partition(" ")
    if method not in METHODS or not path.strip().startswith("/"):
        return ["expected a method and a path, like GET /clinic/free-slots"]
    if not isinstance(entry, Mapping):
        return ["expected a dict"]
    known = [*WORDS, *policies]
    found = [
        f"no key {word!r}. {nearest(str(word), known)}".rstrip()
        for word in entry
        if word not in known
    ]
    if not isinstance(entry.get("sql"), str):
        found.append("sql: expected a statement")
    if not isinstance(entry.get("value", {}), Mapping):
        found.append('value: expected a dict like {"doctor": "bigint"}')
    tables = entry.get("table", [])
    if not isinstance(tables, list | tuple) or not all(type(t) is str for t in tables):
        found.append("table: expected a list of tables")
    return found


def _parsed(
    name: str, entry: Mapping[str, Any], given: RpcConfig, problems: list[str]
) -> Rpc:
    method, _, path = name.strip().partition(" ")
    path = path.strip()
    values = {}
    for word, kind in entry.get("value", {}).items():
        try:
            values[word] = _value(word, kind)
        except ValueError as error:
            problems.append(f"value: {word}: {error}")
    statement, first = Condition(()), ""
    try:
        found = tokens(entry["sql"])
        first = found[0].name
        reader = StatementReader(given.scope, given.role, values)
        statement = reader.read_statement(entry["sql"])
    except UnreadableCondition as error:
        problems.append(f"sql: {error}")
    else:
        problems += _unused(statement, values, given)
        if method == "GET" and first not in QUERY:
            problems.append("sql: GET takes a select; what writes takes POST")
    for word in IN_PATH.findall(path):
        if word not in values:
            problems.append(f"value: lacks {word!r}, which is in the path")
        elif not values[word].mandatory:
            problems.append(f"value: {word}: in the path it takes no default")
    return Rpc(
        method,
        path,
        statement,
        first,
        values,
        frozenset(entry.get("table", ())),
        statement.names,
        str(entry.get("help", "")),
    )


def _value(name: Any, kind: Any) -> Value:
    """Parse `"bigint"`, or `{"datatype": "bigint", "default": 1}`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("expected a name of small letters, digits and _")
    if name == "me" or name == "role" or name.startswith(CLAIM):
        raise ValueError("this name is the caller's")
    text, mandatory, default = kind, True, None
    if isinstance(kind, Mapping) and {"datatype", "default"} == kind.keys():
        text, mandatory, default = kind["datatype"], False, kind["default"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            'expected a datatype, or {"datatype": "bigint", "default": null}'
        )
    try:
        text = canonical(text)
    except ValueError:
        if not NAME.fullmatch(text):  # of an enum or a domain PostgreSQL decides
            raise
    column = LiveColumn(name, text)
    try:
        limit.check(column, from_json(column, default))
    except ApiError as error:
        raise ValueError(f"default: {error.message}") from None
    return Value(column, mandatory, default)


def _unused(
    statement: Condition, values: Mapping[str, Value], given: RpcConfig
) -> list[str]:
    binds = statement.binds
    found = [
        f"value: {name}: the statement has no :{name}"
        for name in values
        if name not in binds
    ]
    for bind in binds:
        claim = bind.removeprefix(CLAIM)
        if bind.startswith(CLAIM) and claim not in given.token_key_list:
            found.append(f"sql: :{bind}: config_token_key_list has no {claim!r}")
    return found


def _merge(
    api: dict[str, Any],
    rpc: Rpc,
    entry: Mapping[str, Any],
    policies: list[str],
    problems: list[str],
) -> None:
    """Add the keys of `config_api` that an entry has to those of its path."""
    added = {word: entry[word] for word in entry if word in policies}
    name = f"{rpc.method} {rpc.path}"
    there = api.get(name, {})
    if not isinstance(there, Mapping):
        return  # reported with config_api
    problems += [
        f"{word}: config_api[{name!r}] has it too" for word in added if word in there
    ]
    if added:
        api[name] = {**there, **added}


def _policy_faults(rpc: Rpc, entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with who may call a route, and who shares its answers."""
    has_callers = "is_token" in entry or "role" in entry or entry.get("is_access")
    if tier(rpc.path) not in GUARDED and not has_callers:
        yield (
            'it is open to no one: add "role", or "is_token": 1, or for anyone '
            '"is_token": 0; or begin the path with /my or /public'
        )
    rule = entry.get("cache_sec")
    is_shared = isinstance(rule, list | tuple) and "shared" in rule
    if is_shared and not rpc.values.keys() >= set(rpc.statement.binds):
        yield (
            'cache_sec: "shared" sends one answer to all, and the statement asks for '
            "the caller"
        )


def _entry(
    rpc: Rpc, api: Mapping[str, Any], api_default: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entry of `config_api` that holds for a route."""
    names = rpc.path, f"{rpc.method} {rpc.path}"
    found: dict[str, Any] = {}
    for entry in (api_default, *(api.get(name, {}) for name in names)):
        found |= entry if isinstance(entry, Mapping) else {}
    return found
