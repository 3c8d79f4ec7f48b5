"""Read config from where it is kept: config files, `.env`, the environment."""

import os
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

import embedded
from atom.config import door
from atom.config.keys import KEYS
from atom.config.part import POSTGRES, REDIS, joined
from atom.config.resolve import Config, Key, Layer, is_production, named, resolve
from atom.errors import ConfigError
from atom.own import declaration

OWN = {
    "config_api": declaration.API,
    "config_table": declaration.TABLE,
    "config_postgres_schema": declaration.SCHEMA,
}

ENV_FILES = (".env", ".env.local")


def read(root: Path) -> Config:
    """Return the config of the project in this folder, with all problems found."""
    problems: list[str] = []
    remarks: list[str] = []
    files = door.variables(root, problems, remarks)
    door.open_clients(root, problems, remarks)
    keys = door.keys(root, KEYS, problems)
    sources: list[tuple[str, Mapping[str, str | None]]] = [
        (name, environment(root / name, problems)) for name in ENV_FILES
    ]
    sources.append(("the environment", os.environ))
    variables = {
        name: value
        for _, values in sources
        for name, value in values.items()
        if value is not None
    }
    layers: list[Layer] = [
        *files,
        *((source, named(values)) for source, values in sources),
    ]
    others = other_names(keys, variables)
    for parts in (POSTGRES, REDIS):
        if not is_set(parts.key, [*others, *layers]):
            others += joined(parts, variables, problems)
    config = resolve(keys, [*others, *without_empty(others, layers)], OWN)
    config.problems[:0] = problems
    config.remarks[:0] = remarks
    if is_production(config["config_env"]):
        return config
    try:
        made = embedded.keys(root, config["config_atom_folder"])
    except ConfigError as error:
        config.problems += error.problems
        return config
    return config.replace({name: config[name] or key for name, key in made.items()})


def other_names(keys: Iterable[Key], variables: Mapping[str, str]) -> list[Layer]:
    """Return the values of other names of keys: DATABASE_URL and so on."""
    return [
        (name, {key.name: variables[name]})
        for key in keys
        for name in reversed(key.also)
        if variables.get(name)
    ]


def is_set(key: str, layers: Iterable[Layer]) -> bool:
    """Whether a layer has a value for a key."""
    return any(
        value
        for _, layer in layers
        for name, value in layer.items()
        if name.lower() == key
    )


def without_empty(others: Iterable[Layer], layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers without empty values of keys that have one by another name."""
    keys = {key for _, layer in others for key in layer}
    return [
        (
            source,
            {
                name: value
                for name, value in layer.items()
                if value or name.lower() not in keys
            },
        )
        for source, layer in layers
    ]


def environment(path: Path, problems: list[str]) -> Mapping[str, str | None]:
    """Read a `.env` file. A line that is not NAME=value is reported by number.

    Its text is not shown: it may be secret. Passed over, `config_env='production`
    without its second quote would open what production closes.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        why = "not UTF-8" if isinstance(error, ValueError) else error.strerror
        problems.append(f"{path.name} cannot be read: {why}")
        return {}
    for found in parse_stream(StringIO(text)):
        if found.error:
            words = found.original.string
            blank = words[: len(words) - len(words.lstrip())].count("\n")
            line = found.original.line + blank
            problems.append(f"{path.name}, line {line}: expected NAME=value")
    return dotenv_values(stream=StringIO(text))
