"""What every step declares, and how many places a new one needs."""

from pathlib import Path

import pytest

from atom.config import keys as config_keys
from atom.config import resolve
from atom.error_code import CODES
from atom.http.pipeline import STEPS, keys_of
from atom.http.policy import SHARED

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "atom" / "http" / "step"
CONFIG = resolve.resolve(config_keys.KEYS, [])


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_carries_everything(step):
    """Its sentence, and codes of the table."""
    assert step.help
    assert not set(step.codes) - set(CODES)
    assert step.run.__module__.startswith("atom.http.step.")


@pytest.mark.parametrize("key", keys_of(STEPS), ids=lambda key: key.name)
def test_a_key_carries_everything(key):
    """Its form and meaning, an example that can be parsed, and a default."""
    assert key.form
    assert key.help.endswith(".")
    key.describe(key.parse(key.example))
    if key.fallback:
        assert key.default == key.parse(CONFIG[key.fallback])


def test_one_name_is_one_key_and_one_field():
    """No step reads the key of another."""
    found = keys_of(STEPS)

    assert len(found) == len({key.name for key in found})
    assert len(found) == len({key.field for key in found})


def test_a_step_is_one_file_with_one_test_file_and_one_line():
    """A new key with a step: its file, its test file, its line in pipeline.py."""
    names = {path.stem for path in FOLDER.glob("[a-z]*.py")}
    tests = {
        path.stem.removeprefix("test_")
        for path in Path(__file__).parent.glob("test_*.py")
    }

    assert names == {step.run.__module__.rpartition(".")[2] for step in STEPS}
    assert names == tests - {"pipeline"}
    for step in STEPS:
        for key in step.keys:
            if key.field in SHARED:
                continue  # the tier decides too, in policy_table.py
            places = [
                path.name
                for path in (ROOT / "atom" / "http").rglob("*.py")
                if f'"{key.name}"' in path.read_text()
            ]
            assert [f"{step.run.__module__.rpartition('.')[2]}.py"] == places
