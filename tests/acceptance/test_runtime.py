"""Scripts on a copy of the checkout: everything a server has open, and no server."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.acceptance.checkout import copied
from tests.served import environment

ASYNC = """
import asyncio, sys
from function import *

async def main():
    async with function_runtime() as app:
        ports = app.state.ports
        made = await function_object_create_postgres(ports, "test", {"title": "async"})
        rows = await function_object_read_postgres(ports, "test", [("id", f"=,{made}")])
        assert b'"title":"async"' in bytes(rows).replace(b": ", b":"), rows
        named = await app.state.client_postgres.fetch_val(
            "select title from test where id = :id", {"id": made}
        )
        assert named == "async", named
        assert app.state.config_app_name == "atom"
        assert app.state.config_postgres_url.startswith("postgresql://")
        assert "title" in app.state.cache_postgres_schema["test"]
        await function_object_delete_postgres(ports, "test", [made])

asyncio.run(main())
assert "fastapi" not in sys.modules
print("fine")
"""
SYNC = """
from function import *

with function_runtime() as app:
    ports = app.state.ports
    made = app.run(function_object_create_postgres(ports, "test", {"title": "sync"}))
    app.run(function_object_update_postgres(ports, "test", {"id": made, "title": "b"}))
    rows = app.run(function_object_read_postgres(ports, "test", [("id", f"=,{made}")]))
    assert b'"b"' in bytes(rows), rows
    assert 1 == app.run(function_object_delete_postgres(ports, "test", [made]))
print("fine")
"""
FROZEN = """
import pytest
from function import *

config = function_config_read()
for write in (
    lambda: config.__setitem__("config_port", 1),
    lambda: config.update(config_port=1),
    lambda: config.pop("config_port"),
    lambda: config.setdefault("config_port_2", 1),
    lambda: config.__ior__({"config_port": 1}),
):
    with pytest.raises(TypeError, match="read-only"):
        write()
assert config["config_port"] == 8000 and config.get("config_none") is None
assert isinstance(config, dict)
print("fine")
"""


@pytest.fixture(scope="module")
def code():
    """A copy of the checkout, whose data is kept from script to script."""
    folder = Path(tempfile.mkdtemp(prefix="atom-"))
    yield copied(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def run(code):
    """Run a script next to main.py; return its exit code and output."""

    def run(text, **config):
        own = {"config_atom_folder": str(code / "data"), **config}
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=code,
            env=environment(own),
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize("text", [ASYNC, SYNC], ids=["async", "sync"])
def test_a_script_reads_and_writes_rows_without_a_server(run, text):
    """On a fresh checkout as well: the private database is started and stopped."""
    code, out, error = run(text)

    assert (0, "fine") == (code, (out.splitlines() or [""])[-1]), out + error


def test_faults_of_config_stop_a_script_with_all_of_them(run):
    """As they stop a server."""
    code, _, error = run(SYNC, config_key_root="short", config_workers="x")

    assert 1 == code
    assert "config_key_root: set it to 16 characters" in error
    assert "config_workers in the environment" in error


def test_config_is_read_only(run):
    """No writer after it is resolved; reading is that of a dict."""
    code, out, error = run(FROZEN)

    assert (0, "fine\n") == (code, out), error


def test_the_runtime_needs_no_fastapi(run):
    """Importing it alone does not bring the framework."""
    check = "import sys, atom.runtime; assert 'fastapi' not in sys.modules; print(1)"

    assert (0, "1\n", "") == run(check)


def test_serving_does_not_wait_for_the_commands(run):
    """What reads words is imported only when there are some."""
    check = "import sys, main; assert 'typer' not in sys.modules; print(1)"
    code, out, error = run(check)

    assert (0, "1\n") == (code, out), error
