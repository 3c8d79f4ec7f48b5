"""Read config from where it is kept: config files, `.env`, the environment."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import embedded
from atom.config import door
from atom.config.keys import KEYS
from atom.config.part import POSTGRES, REDIS, joined
from atom.config.resolve import Config, Layer, is_production, named, resolve
from atom.errors import ConfigError

ENV_FILES = (".env", ".env.local")


def read(root: Path) -> Config:
    """Return the config of the project in this folder, with all problems found."""
    problems: list[str] = []
    files = door.variables(root, problems)
    sources: list[tuple[str, Mapping[str, str | None]]] = [
        (name, door.environment(root / name, problems)) for name in ENV_FILES
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
    others = other_names(variables)
    for parts in (POSTGRES, REDIS):
        if not is_set(parts.key, [*others, *layers]):
            others += joined(parts, variables, problems)
    config = resolve(KEYS, [*others, *without_empty(others, layers)])
    config.problems[:0] = problems
    if is_production(config):
        return config
    try:
        made = embedded.keys(root, config["config_atom_folder"])
    except ConfigError as error:
        config.problems += error.problems
        return config
    return config.replace({name: config[name] or key for name, key in made.items()})


def other_names(variables: Mapping[str, str]) -> list[Layer]:
    """Return the values of other names of keys: DATABASE_URL and so on."""
    return [
        (name, {key.name: variables[name]})
        for key in KEYS
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
