"""Config cannot be changed once it is resolved, at any depth."""

import copy
import json

import orjson
import pytest

from atom.config import resolve as settings
from atom.config.keys import KEYS

GIVEN = {
    "config_api": {"/test": {"cache_sec": ["inmemory", 60]}},
    "config_own": {"a": [{"b": 1}], "c": ({"d": 2},)},
}


@pytest.fixture
def config():
    """A config with nested values."""
    return settings.resolve(KEYS, [("test", GIVEN)])


CHANGES = {
    "a key": lambda c: c.update(config_port=1),
    "an entry": lambda c: c["config_api"].update(new={}),
    "a value of an entry": lambda c: c["config_api"]["/test"].__setitem__("id", 1),
    "an item": lambda c: c["config_api"]["/test"]["cache_sec"].append(1),
    "a place": lambda c: c["config_api"]["/test"]["cache_sec"].__setitem__(1, 9),
    "a dict in a list": lambda c: c["config_own"]["a"][0].clear(),
    "a dict in a tuple": lambda c: c["config_own"]["c"][0].setdefault("x", 1),
    "a list in place": lambda c: c["config_own"]["a"].__iadd__([1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_of_it_can_be_changed(config, change):
    """And the error says where to set it."""
    with pytest.raises(TypeError, match="read-only: set the key"):
        change(config)


def test_it_is_a_dict_like_any(config):
    """Compared, written as JSON, and copied into what may be changed."""
    api, own = config["config_api"], config["config_own"]

    assert GIVEN["config_api"]["/test"] == api["/test"]
    assert isinstance(api, dict) and isinstance(own["a"], list)
    assert json.loads(orjson.dumps(api)) == json.loads(json.dumps(api))
    changed = copy.deepcopy(api)
    changed["/test"]["cache_sec"][1] = 9
    assert 60 == api["/test"]["cache_sec"][1]
