"""Typed views of config: every field is a key, and its default has that type."""

import pytest

from atom.account.config import AccountConfig
from atom.assembly import PortConfig
from atom.command.serve import ServeConfig
from atom.config.keys import KEYS
from atom.config.resolve import resolve
from atom.config.view import view
from atom.http.config import HttpConfig

VIEWS = (AccountConfig, HttpConfig, PortConfig, ServeConfig)


@pytest.mark.parametrize("kind", VIEWS)
def test_every_field_is_a_key(kind):
    """A misspelt one would stop the start."""
    config = resolve(KEYS, [])
    made = view(kind, config)

    for name in kind.__dataclass_fields__:
        assert config[f"config_{name}"] == getattr(made, name)


def test_a_field_that_is_not_a_key_fails():
    """When the view is built, not at a request."""
    config = dict(resolve(KEYS, []))
    del config["config_is_gzip"]

    with pytest.raises(KeyError, match="config_is_gzip"):
        view(HttpConfig, config)
