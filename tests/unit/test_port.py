"""The ports are typed: mypy finds a wrong word before a request does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import machine

ROOT = Path(__file__).parents[2]
SNIPPET = """\
from atom.port import Ports


async def use(ports: Ports) -> None:
    {}
"""
RIGHT = (
    "await ports.database.value('select 1')",
    "ports.users.forget(1)",
    "ports.bus.publish_soon('table', 'test')",
)
WRONG = {
    "await ports.database.valeu('select 1')": "valeu",
    "ports.users.forgett(1)": "forgett",
    "ports.bus.publsh_soon('table', 'test')": "publsh_soon",
    "ports.tokens.decod('x', 1)": "decod",
    "ports.batches.creat()": "creat",
    "ports.rules.mine(1)": "mine",
    "ports.journal.apend(())": "apend",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Run mypy --strict once over one file per line; return its report."""
    machine.proc()  # where mypy counts the cores
    folder = tmp_path_factory.mktemp("typed")
    for number, line in enumerate([*RIGHT, *WRONG]):
        (folder / f"line_{number}.py").write_text(SNIPPET.format(line))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *sorted(folder.iterdir())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout


@pytest.mark.parametrize("line", WRONG)
def test_a_misspelt_method_of_a_port_is_a_type_error(checked, line):
    """mypy names the word."""
    assert f'has no attribute "{WRONG[line]}"' in checked


def test_right_lines_pass(checked):
    """The errors are those of the wrong lines alone."""
    assert f"Found {len(WRONG)} errors in {len(WRONG)} files" in checked


def test_ports_are_complete():
    """Every port has a type, and is always there."""
    tree = ast.parse((ROOT / "atom" / "port.py").read_text())
    (ports,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Ports"
    )
    fields = [node for node in ports.body if isinstance(node, ast.AnnAssign)]

    assert fields
    for field in fields:
        assert field.value is None, ast.unparse(field)
        assert ast.unparse(field.annotation) != "Any", ast.unparse(field)
        assert "| None" not in ast.unparse(field.annotation), ast.unparse(field)
