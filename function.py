"""The functions a router or a consumer may call, under the names users know.

This file only renames. function_token_decode is `decode` in atom/feature/token.py, and
so on: take off function_, and the first word left is the file.
"""

import os
from functools import cache
from pathlib import Path

from dotenv import dotenv_values

from atom import discover, embedded, keys, settings

ROOT = Path(__file__).parent


@cache
def function_config_read() -> settings.Config:
    """Return every config value: defaults, then config files, .env and environment."""
    problems: list[str] = []
    layers = discover.variables(ROOT, problems)
    layers.append((".env", settings.named(dotenv_values(ROOT / ".env"))))
    layers.append(("the environment", settings.named(os.environ)))
    config = settings.resolve(keys.KEYS, layers)
    config.problems = problems + config.problems
    if config["config_env"] != "production":
        made = embedded.keys(ROOT / config["config_atom_folder"])
        config.update({name: config[name] or key for name, key in made.items()})
    return config


__all__ = [name for name in globals() if name.startswith("function_")]
