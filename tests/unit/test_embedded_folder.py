"""What Atom keeps in `.atom` is its owner's alone, and made once."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atom.errors import ConfigError
from embedded.folder import keys, private_folder, read, write, write_new


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_closed_to_others(tmp_path):
    """Only the owner may enter `.atom`."""
    assert 0o700 == mode(private_folder(tmp_path))


def test_a_folder_left_open_is_closed(tmp_path):
    """An `.atom` that others could read is closed at the next start."""
    (tmp_path / ".atom").mkdir()
    (tmp_path / ".atom").chmod(0o755)

    assert 0o700 == mode(private_folder(tmp_path))


def test_the_folder_keeps_itself_out_of_git(tmp_path):
    """Nothing in `.atom` is committed by accident."""
    assert "*\n" == (private_folder(tmp_path) / ".gitignore").read_text()


def test_a_file_in_the_way_is_named(tmp_path):
    """A file called `.atom` is a config error that names it."""
    (tmp_path / ".atom").write_text("")

    with pytest.raises(ConfigError, match=r"\.atom cannot be used"):
        private_folder(tmp_path)


def test_keys_are_long_enough_to_sign_with(tmp_path):
    """The key of tokens has at least 32 bytes, the root key at least 16."""
    made = keys(tmp_path)

    assert len(made["config_key_jwt"].encode()) >= 32
    assert len(made["config_key_root"]) >= 16


def test_keys_are_made_once(tmp_path):
    """A second start finds the keys of the first."""
    assert keys(tmp_path) == keys(tmp_path)


def test_two_projects_have_different_keys(tmp_path):
    """Keys come from chance, not from the code."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert keys(tmp_path / "a") != keys(tmp_path / "b")


def test_all_who_ask_at_once_agree_on_the_keys(tmp_path):
    """Sixteen first starts at the same time end with one pair of keys."""
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: keys(tmp_path), range(16)))

    assert [made[0]] * 16 == made


def test_keys_are_readable_to_their_owner_only(tmp_path):
    """The file of the keys has mode 0600, also after somebody opened it up."""
    keys(tmp_path)
    kept = tmp_path / ".atom" / "keys.json"
    assert 0o600 == mode(kept)
    kept.chmod(0o644)

    keys(tmp_path)

    assert 0o600 == mode(kept)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"config_key_jwt": "short", "config_key_root": "short"}'],
)
def test_damaged_keys_are_named_not_replaced(tmp_path, text):
    """A damaged key file stops the start and is named; tokens are not lost silently."""
    kept = private_folder(tmp_path) / "keys.json"
    kept.write_text(text)

    with pytest.raises(ConfigError, match=r"keys\.json"):
        keys(tmp_path)
    assert text == kept.read_text()


def test_a_file_is_whole_or_not_there(tmp_path):
    """Writing leaves the content and no draft beside it."""
    write(tmp_path / "a.json", {"port": 1})

    assert {"port": 1} == read(tmp_path / "a.json")
    assert ["a.json"] == os.listdir(tmp_path)


def test_what_does_not_exist_reads_as_none(tmp_path):
    """A file that was never written is no error."""
    assert read(tmp_path / "a.json") is None


def test_a_planted_link_is_not_followed(tmp_path):
    """A link somebody put there is replaced; what it points to stays as it was."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text(json.dumps("precious"))
    link.symlink_to(target)

    write_new(link, "new", (os.geteuid(), os.getegid()))

    assert json.dumps("precious") == target.read_text()
    assert "new" == link.read_text()
