"""Which store config chooses, and what it may not."""

from pathlib import Path

import pytest

from atom.config.keys import KEYS
from atom.config.resolve import Config, resolve
from atom.config.view import view
from atom.file import FileConfig, check

ROOT = Path("/project")


def config(**values):
    """Return a config with these keys, the rest at their defaults."""
    known = {key.name: key.default for key in KEYS}
    return Config({**known, **{f"config_{k}": v for k, v in values.items()}})


@pytest.mark.parametrize(
    ("values", "store"),
    [
        ({}, "local"),
        ({"s3_region_name": "eu-west-1"}, "s3"),
        ({"s3_region_name": "eu-west-1", "file_store": "local"}, "local"),
        ({"env": "production"}, ""),
        ({"env": "production", "file_store": "local"}, "local"),
        ({"env": "production", "s3_region_name": "eu-west-1"}, "s3"),
    ],
)
def test_store_is_the_word_or_what_is_there(values, store):
    """Production does not fall back to a folder that no one chose."""
    assert store == view(FileConfig, config(**values)).store


@pytest.mark.parametrize(
    ("values", "problems", "remarks"),
    [
        ({}, 0, 0),
        ({"file_folder": "static/up"}, 1, 0),
        ({"file_folder": "/project/static"}, 1, 0),
        ({"file_folder": "static/../files"}, 0, 0),
        ({"file_store": "s3"}, 1, 0),
        ({"env": "production", "file_store": "local"}, 0, 1),
        ({"env": "production"}, 0, 0),
    ],
)
def test_what_cannot_be_meant_is_named(values, problems, remarks):
    """A folder that is served, S3 without a region; one machine is a remark."""
    found = config(**values)
    check(found, ROOT)

    assert (problems, remarks) == (len(found.problems), len(found.remarks))
    assert all("config_file_" in each for each in found.problems + found.remarks)


def test_another_word_stops_the_start():
    """With the key and what it takes."""
    found = resolve(KEYS, [("config.py", {"config_file_store": "disk"})])

    assert "config_file_store" in found.problems[0] and "local" in found.problems[0]
