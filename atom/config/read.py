"""Read config from where it is kept: config files, `.env`, the environment."""

import os
from pathlib import Path

import embedded
from atom.config import door
from atom.config.keys import KEYS
from atom.config.resolve import Config, named, resolve
from atom.errors import ConfigError


def read(root: Path) -> Config:
    """Return the config of the project in this folder, with all problems found."""
    problems: list[str] = []
    layers = door.variables(root, problems)
    written = door.environment(root / ".env", problems)
    layers.append((".env", named(written)))
    layers.append(("the environment", named(os.environ)))
    config = resolve(KEYS, layers)
    config.problems[:0] = problems
    if config["config_env"] == "production":
        return config
    try:
        made = embedded.keys(root, config["config_atom_folder"])
    except ConfigError as error:
        config.problems += error.problems
        return config
    return config.replace({name: config[name] or key for name, key in made.items()})
