"""What enforces a rule is taken out of the code in turn: a test notices every time.

The conditions of config have the same in `clinic/test_mutation.py`.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests import machine
from tests.served import ROOT
from tests.soak import IS_SOAK

STREAM = "tests/acceptance/test_stream.py"
CONSUMER = "tests/acceptance/consumer/test_consumer.py"
CLINIC = "tests/acceptance/clinic/test_clinic.py"
CLAIMS = "tests/acceptance/test_claims.py"
RIGHTS = "tests/acceptance/test_rights.py"
RPC = "tests/acceptance/test_rpc.py"
LEFT_OUT = [  # the file, what is in it, what takes its place, the tests that notice
    (
        "atom/postgres/condition.py",
        "    if value is None or isinstance(value, str):\n",
        "    if value is not None:\n",
        "tests/unit/test_row_scope.py -k claim",
    ),
    (
        "atom/row/sql/statement.py",
        "    if row_set.rule.where is None:\n",
        "    if True:\n",
        CLINIC,
    ),
    (
        "atom/realtime/statement.py",
        '    parts = reached(followed.row_set, "t", marks)\n',
        "    parts = list[str]()\n",
        f"{STREAM} -k WhoIsSentWhat",
    ),
    (
        "atom/realtime/statement.py",
        "{where(_parts(followed))} group by 1",
        " group by 1",
        f"{STREAM} -k WhoIsSentWhat",
    ),
    (
        "atom/realtime/feed.py",
        "            if reader.scope.user_id == user_id:\n",
        "            if False:\n",
        f"{CLAIMS} -k open",
    ),
    (
        "atom/http/step/token.py",
        "    if exchange.state.claims:\n",
        "    if False:\n",
        f"{CLAIMS} -k worker",
    ),
    (
        "atom/http/step/cache.py",
        "exchange.state is not None and (claims := exchange.state.claims)",
        "(claims := None)",
        f"{CLAIMS} -k worker",
    ),
    (
        "atom/queue/shipped.py",
        '    if tier == "trusted":\n',
        "    if True:\n",
        CLINIC,
    ),
    (
        "atom/rpc/statement.py",
        '            yield user.get("id")\n',
        "            yield 1\n",
        RPC,
    ),
    (
        "atom/http/step/role.py",
        '    await exchange.ports.roles.require(exchange.user["id"], names)\n',
        "",
        f"{RPC} -k role",
    ),
    (
        "atom/own/declaration.py",
        "(:me = 1 or id <> 1\n",
        "(:me = 1 or true\n",
        f"{RIGHTS} -k user_1",
    ),
]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("file", "there", "instead", "tests"),
    LEFT_OUT if IS_SOAK else LEFT_OUT[:1],
    ids=[f"{n}-{each[0]}" for n, each in enumerate(LEFT_OUT)][: None if IS_SOAK else 1],
)
def test_code_that_does_not_enforce_a_rule_is_noticed(
    tmp_path, file, there, instead, tests
):
    """In a copy of the checkout, by the tests of it."""
    machine.need("git")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    changed = tmp_path / file
    text = changed.read_text()
    assert 1 == text.count(there)
    changed.write_text(text.replace(there, instead))
    words = ("-m", "pytest", "-c", "tests/pytest.ini", "-q", "-x", *tests.split())
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "ATOM_SOAK"))
    }
    done = subprocess.run(
        (sys.executable, *words),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "1 failed" in done.stdout, done.stdout
