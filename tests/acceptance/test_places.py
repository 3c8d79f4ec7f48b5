"""How many files a new thing of each kind takes: its own, and no list elsewhere."""

import subprocess
import sys

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.served import ROOT, environment, serve

CLIENT = '''\
"""A diary: a service that needs no driver."""

from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key


async def connect(config: Config, live: Live) -> Any:
    """Open it."""
    return {"written to": config["config_diary_url"]}


DIARY = Client(
    name="client_diary",
    needs=("config_diary_url",),
    package="diary==1.2.3",
    keys=(Key("config_diary_url", text, None, "The diary."),),
    open=connect,
)
'''
LOOK = """
from extend import *

router = APIRouter()


@router.get("/public/diary")
async def route_diary(request: Request):
    return request.app.state.client_diary
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A copy of the tree with the file of a client and nothing else of it."""
    return copied(
        tmp_path_factory.mktemp("client"),
        atom__client__diary=CLIENT,
        router_look=LOOK,
    )


class TestClient:
    """A new client of Atom's own is one file in atom/client/."""

    def test_opens_when_its_key_is_set(self, code):
        """Its key is read, it is opened, and routes find it by name."""
        with serve({"config_diary_url": "paper"}, code=code) as served:
            running = opened(served)
            answer = running.call("GET", "/public/diary")
            running.http.close()

        assert {"written to": "paper"} == answer.json()

    def test_is_documented_by_its_declaration(self, code):
        """`.env.example`, the tables of the docs and the optional packages know it."""
        for place in ("tools", "docs", "bench", "readme.md"):
            (code / place).symlink_to(ROOT / place)
        words = "from tools.document import *;"
        words += "print(environment(), keys(), clients(), optional())"
        done = subprocess.run(
            [sys.executable, "-c", words],
            cwd=code,
            env=environment({}),
            capture_output=True,
            text=True,
            check=True,
        )

        assert 3 <= done.stdout.count("config_diary_url")
        assert "client_diary" in done.stdout
        assert "diary==1.2.3" in done.stdout
