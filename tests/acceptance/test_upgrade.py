"""A project made from an earlier version takes a new one without a conflict."""

import hashlib
import os
import re
import subprocess
import sys

import pytest

from atom import VERSION
from tests import machine
from tests.acceptance.conftest import opened
from tests.acceptance.test_doors import CLIENT, COMMAND, EXTEND, HOOK, START, STEP
from tests.served import ROOT, environment, serve

# The commit before Atom's tables left config.py, and where to read the two blocks.
BEFORE = "ace9c2595d47dffc4518e49fbe4ec972f777ccb5"
BLOCK = r"<!-- {} -->\n```\w+\n(.*?)```"
# Shipped once for their users, and never changed after the release of 0.2.0.
THEIRS = {
    "config.py": "8613781d1ab63195b63f093c0f224e688b68321d8e36fff6704a44311a5c3046",
    "router.py": "bff5a482406972708d5b372d141f42f2dfd041142ddb29b28fa78310f145fe82",
    "config/.gitkeep": hashlib.sha256(b"").hexdigest(),
}
DROPPED = {
    "client_till.py": CLIENT,
    "step_shop.py": STEP,
    "start_shop.py": START,
    "command_daily.py": COMMAND,
    "hook/test.py": HOOK.replace("booking", "test"),
}
OWN_ROUTER = """
from extend import *
from extend_price import PRICE

router = APIRouter()


@router.get("/shop/price")
async def price(request: Request):
    return {"price": PRICE, "opened": request.app.state.opened}
"""


def git(folder, *words):
    """Run git as a user without settings of their own."""
    machine.need("git")
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "user",
            "GIT_AUTHOR_EMAIL": "user@example.com",
            "GIT_COMMITTER_NAME": "user",
            "GIT_COMMITTER_EMAIL": "user@example.com",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, f"git {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def block(page, name):
    """Return the commands or statements a page shows under a mark."""
    found = re.search(BLOCK.format(name), (ROOT / page).read_text(), re.DOTALL)
    assert found, f"{page} has no {name}"
    return found[1]


def edit(path, old, new):
    """Change a file as a user would."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write(folder, files):
    """Write files by their path."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def commit(folder, subject):
    """Commit whatever is in the folder."""
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", subject)


def clone(folder, at):
    """Clone this repository, on a branch that starts at a commit."""
    git(folder, "clone", "-q", "--shared", str(ROOT), "project")
    project = folder / "project"
    git(project, "checkout", "-q", "-b", "mine", at)
    return project


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """A project of 0.1.0 with a database, as it is after the documented upgrade."""
    machine.old_server()
    folder = tmp_path_factory.mktemp("upgrade")
    project, data = clone(folder, BEFORE), folder / "data"
    edit(
        project / "config.py",
        '            "country-text-0-btree",\n',
        '            "country-text-0-btree,gin",\n            "nickname-text-0-0",\n',
    )
    edit(project / "config.py", '"id": 7,', '"id": 77,')
    edit(
        project / "config.py",
        '    "/auth/signup": {"ratelimiter_times_sec": [120, 60]},\n',
        '    "/auth/signup": {"ratelimiter_times_sec": [99, 60]},\n'
        '    "/shop/price": {"timeout_sec": 9},\n',
    )
    edit(project / "router.py", "welcome to test", "welcome to my shop")
    write(
        project,
        {
            "router/shop.py": OWN_ROUTER.replace(
                '"opened": request.app.state.opened', '"opened": []'
            ),
            "extend_price.py": EXTEND,
            "config/shop.py": 'config_shop_name = "Shop"\n',
            "requirements-app.txt": "cowsay==6.1\n",
            "curl_shop.txt": 'curl "$baseurl/shop/price"\n',
        },
    )
    commit(project, "my shop")
    with serve(code=project, folder=data) as served:
        kept = dict(served.config)
    write(project, DROPPED | {"router/shop.py": OWN_ROUTER})
    commit(project, "doors")
    git(project, "tag", f"v{VERSION}", git(ROOT, "rev-parse", "HEAD").strip())
    for words in (
        block("docs/upgrade.md", "once"),
        block("docs/upgrade.md", "upgrade"),
    ):
        shown = words.replace("git fetch -q --tags upstream\n", "")
        for line in shown.splitlines():
            if line.startswith("git merge"):
                git(project, *line.split()[1:])
            else:
                subprocess.run(["sh", "-c", line], cwd=project, check=True)
    return project, kept


def test_merge_has_no_conflict_and_keeps_the_users_files(merged):
    """The new version is there, the user's two files are as they were."""
    project, _ = merged

    assert "" == git(project, "status", "--porcelain")
    assert "welcome to my shop" in (project / "router.py").read_text()
    assert "nickname-text-0-0" in (project / "config.py").read_text()
    assert f'VERSION = "{VERSION}"' in (project / "atom/__init__.py").read_text()
    assert "cowsay==6.1\n" == (project / "requirements-app.txt").read_text()


def test_plan_shows_what_the_changelog_lists(merged):
    """On the database of the version before; neither more nor less."""
    project, kept = merged
    done = subprocess.run(
        [sys.executable, "main.py", "schema", "plan"],
        cwd=project,
        env=environment(kept),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = re.findall(r"^\d+ .*$", done.stdout, re.MULTILINE)
    planned = [re.split(r"\s{2,}", line, maxsplit=6)[-1] for line in lines]

    listed = block("CHANGELOG.md", "plan").strip().splitlines()
    assert sorted(listed) == sorted(planned), done.stdout + done.stderr


def test_merged_project_starts_with_everything_of_its_own(merged):
    """Its routes, its step, its client, and the columns it added to users."""
    project, kept = merged
    values = kept | {"config_till_place": "corner"}
    del values["config_port"]
    with serve(values, code=project, port=int(kept["config_port"])) as served:
        shop = opened(served)
        try:
            answer = shop.call("GET", "/test")
            assert "welcome to my shop" == answer.json()["message"]
            assert "open" == answer.headers["x-shop"]
            expected = {"price": 12, "opened": ["corner"]}
            assert expected == shop.call("GET", "/shop/price").json()
            shop.sql("select nickname from users")
            log = served.log.read_text()
        finally:
            shop.http.close()
    assert "config.py repeats" in log


def test_next_version_merges_into_a_project_of_this_one(tmp_path):
    """A version that changes every file of Atom's, and edits of every user's file."""
    project = clone(tmp_path, "HEAD")
    git(project, "checkout", "-q", "-b", "next")
    names = git(project, "ls-files").splitlines()
    for name in names:
        if name not in THEIRS and not (project / name).is_symlink():
            with (project / name).open("ab") as file:
                file.write(b"\n# the next version\n")
    commit(project, "the next version")
    git(project, "checkout", "-q", "mine")
    for name in THEIRS:
        with (project / name).open("a") as file:
            file.write("\n# mine\n")
    write(project, DROPPED | {"requirements-app.txt": "cowsay==6.1\n"})
    commit(project, "mine")
    git(project, "merge", "-q", "next")

    assert "" == git(project, "status", "--porcelain")
    for name in THEIRS:
        assert (project / name).read_text().endswith("# mine\n")
        assert "next version" not in (project / name).read_text()


@pytest.mark.parametrize("name", THEIRS)
def test_users_file_is_as_it_was_first_shipped(name):
    """Change it, and every project that edited it has a conflict."""
    assert THEIRS[name] == hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
