"""The rules of the house that a reviewer would otherwise have to remember."""

import ast
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ATOM = sorted((ROOT / "atom").rglob("*.py"))
SURFACE = ("config_", "client_", "cache_", "function_", "route_")
# What atom/ may import when it is imported itself; any other package is a driver.
CORE = {
    *sys.stdlib_module_names,
    *("atom", "embedded"),
    *("argon2", "dotenv", "fastapi", "fastapi_offline", "jwt", "orjson", "pydantic"),
    *("starlette", "typer", "uvicorn"),
}
PURE = [
    "atom/account/token.py",
    "atom/config/check.py",
    "atom/config/keys.py",
    "atom/config/resolve.py",
    "atom/datatype",
    "atom/error_code.py",
    "atom/errors.py",
    "atom/http/explain.py",
    "atom/http/policy.py",
    "atom/http/policy_table.py",
    "atom/http/route.py",
    "atom/http/tier.py",
    "atom/row/sql",
]
READS_BY_NAME = 41  # of config in atom/, outside config/ and client/; never more
LISTED = [
    "atom/account",
    "atom/adapter",
    "atom/aws",
    "atom/command",
    "atom/config",
    "atom/datatype",
    "atom/event",
    "atom/http",
    "atom/http/step",
    "atom/mail",
    "atom/message",
    "atom/mongodb",
    "atom/observe",
    "atom/openapi",
    "atom/postgres",
    "atom/queue",
    "atom/realtime",
    "atom/row",
    "atom/row/sql",
    "atom/rpc",
    "atom/sandbox",
    "atom/schema",
    "atom/transfer",
    "embedded",
]
OUTSIDE = {"asyncio", "httpx2", "os", "random", "socket", "subprocess", "time"}
LAYERS = (
    {
        *("backoff", "error_code", "error_code_account", "error_code_service"),
        *("errors", "malloc", "own_code", "port", "reply", "task", "uuid7"),
    },
    {
        *("aws", "client", "config", "datatype", "hook", "observe", "own"),
        *("postgres", "schema"),
    },
    {
        *("account", "adapter", "event", "file", "http", "mail", "message", "mongodb"),
        *("openapi", "queue", "realtime", "row", "rpc", "sandbox", "transfer"),
    },
    {"assembly", "coherence", "command", "operation", "retention", "runtime"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


@cache
def tree(path):
    """Return the syntax tree of a file, read once for all the rules."""
    return ast.parse(path.read_text())


def imported(nodes):
    """Return the top-level packages that these import statements name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def parts(path):
    """Return the parts of atom/ a file imports when it runs, not only for types."""
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("atom"):
            module = node.module.split(".")
            yield from [module[1]] if len(module) > 1 else [a.name for a in node.names]


def modules(path, package):
    """Return the modules of a package that a file imports when it is imported."""
    names = set()
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and node.module == package:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").removeprefix(f"{package}.").partition(".")[0])
    return names


@pytest.mark.parametrize("path", ATOM, ids=lambda p: str(p.relative_to(ROOT)))
class TestEveryFileInAtom:
    """What holds for each file of the inside."""

    def test_is_short_and_says_what_it_is(self, path):
        """A file fits on a few screens and opens with what lives in it."""
        text = path.read_text()

        assert len(text.splitlines()) <= 450
        assert ast.get_docstring(tree(path))

    def test_keeps_the_surface_prefixes_outside(self, path):
        """config_, client_, cache_ and function_ name things for users alone."""
        defined = {
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }

        assert not {name for name in defined if name.startswith(SURFACE)}

    def test_imports_drivers_only_when_they_are_needed(self, path):
        """Without a driver installed everything else still imports."""
        assert imported(tree(path).body) <= CORE

    def test_prints_nothing(self, path):
        """What the process says goes to the log or the welcome."""
        calls = {
            node.func.id
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }

        assert "print" not in calls

    def test_swallows_nothing(self, path):
        """An exception is answered, logged or raised, never passed over."""
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name)
                    and node.type.id in {"Exception", "BaseException"}
                )
                empty = all(isinstance(step, ast.Pass) for step in node.body)
                assert not (broad and empty), f"line {node.lineno}"


@pytest.mark.parametrize("where", PURE)
def test_pure_parts_touch_nothing_outside(where):
    """What is called pure has no clock, no chance, no disk and no network."""
    path = ROOT / where
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        if file.name == "run.py":
            continue  # the one room of sql/ that touches a database
        found = imported(ast.walk(tree(file)))
        assert found - {"asyncpg"} <= CORE - OUTSIDE, file


@pytest.mark.parametrize("path", ATOM[1:], ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    """No part of atom/ needs a part above it."""
    here = LEVEL[path.relative_to(ROOT / "atom").with_suffix("").parts[0]]

    assert all(LEVEL[part] <= here for part in parts(path)), path


@pytest.mark.parametrize("package", LISTED)
def test_a_package_can_be_read_from_top_to_bottom(package):
    """Its docstring lists every module once, each below those it needs: no circles."""
    folder = ROOT / package
    face = ast.parse((folder / "__init__.py").read_text())
    listing = ast.get_docstring(face, clean=False) or ""
    order = re.findall(r"^ {4}(\w+) +\S", listing, re.MULTILINE)
    there = {path.stem for path in folder.glob("[a-z]*.py")}
    lacking, gone = sorted(there - set(order)), sorted(set(order) - there)
    assert not lacking, (
        f"{package}/__init__.py: its docstring lacks {lacking}. Write a line for each, "
        "`    name  what it holds`, below the modules it imports and after a line of "
        "prose (without one the formatter removes the four spaces)."
    )
    assert not gone, f"{package}/__init__.py lists {gone}: there is no such file."
    assert len(order) == len(set(order)), f"{package}/__init__.py lists one twice."

    for place, name in enumerate(order):
        needed = modules(folder / f"{name}.py", package.replace("/", "."))
        late = sorted(needed & set(order[place:]))
        assert not late, (
            f"{package}/{name}.py imports {late}, listed at or below it in the "
            f"docstring of {package}/__init__.py: move the line of {name} below."
        )


def test_no_step_knows_another():
    """A step can be understood, moved and removed alone."""
    for path in (ROOT / "atom" / "http" / "step").glob("[a-z]*.py"):
        assert "atom.http.step." not in path.read_text(), path


def test_main_can_be_read_in_one_sitting():
    """main.py is the story of the program, and a short one."""
    assert len((ROOT / "main.py").read_text().splitlines()) <= 200


@pytest.mark.parametrize("folder", ["config", "router"])
def test_drop_in_folders_are_not_packages(folder):
    """config/__init__.py would hide config.py from every import of it."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_middleware_is_pure_asgi():
    """BaseHTTPMiddleware costs a hundred microseconds a request and hides contexts."""
    for path in [*ATOM, ROOT / "main.py"]:
        assert "BaseHTTPMiddleware" not in path.read_text(), path


def test_config_is_read_by_name_in_few_places():
    """A shelf reads a typed view of config, where mypy finds a misspelt key."""
    reads = [
        path
        for path in ATOM
        if path.relative_to(ROOT / "atom").parts[0] not in {"config", "client"}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"config_[a-z0-9_]+", node.value)
    ]

    assert len(reads) <= READS_BY_NAME, Counter(map(str, reads))


def test_routers_use_only_names_that_exist():
    """`from extend import *` hides a name that is missing until a request needs it."""
    import builtins

    import extend

    for path in [ROOT / "router.py", *sorted((ROOT / "router").glob("*.py"))]:
        tree = ast.parse(path.read_text())
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            ) or (isinstance(node, ast.ExceptHandler) and node.name):
                bound.add(node.name)
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        assert not used - bound - set(dir(builtins)) - set(dir(extend)), path


@pytest.mark.parametrize(
    "path",
    [ROOT / "router.py", *sorted((ROOT / "router").glob("*.py"))],
    ids=lambda p: p.name,
)
def test_routers_import_nothing_deeper_than_a_face(path):
    """`extend`, a file of atom/, or what the `__init__` of a shelf gives out."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("atom.") for alias in node.names)
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        package, _, shelf = node.module.partition(".")
        if package != "atom" or not shelf:
            continue
        assert "." not in shelf, f"{path.name} imports {node.module}"
        for alias in node.names:
            inside = ROOT / "atom" / shelf / alias.name
            assert not inside.exists() and not inside.with_suffix(".py").exists(), (
                f"{path.name} imports {alias.name} from inside {node.module}"
            )
