"""Generates parts of the documents from the code: `python -m tools.document`.

A part is delimited by `<!-- name -->` and `<!-- /name -->`; everything around it is
written by hand. `.env.example` and `requirements-optional.txt` are generated whole.
`--check` writes nothing and exits 1 when something is stale.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from textwrap import dedent
from typing import Any

import atom
from atom.client.all import CLIENTS
from atom.command import welcome
from atom.config import key_mfa
from atom.config.keys import KEYS
from atom.config.resolve import Key
from atom.error_code import SECTIONS
from atom.http.pipeline import STEPS, keys_of
from atom.mail import build

ROOT = Path(__file__).parents[1]
WIDTH = 79

# In the readme: the keys most people need first.
FIRST_KEYS = (
    "config_port",
    "config_workers",
    "config_env",
    "config_postgres_url",
    "config_redis_url",
    "config_redis_url_ratelimiter",
    "config_key_root",
    "config_key_jwt",
    "config_is_signup",
    "config_table_allowed_public_read_list",
    "config_cors_origin_list",
    "config_trusted_proxy_list",
)

OPTIONAL_HEAD = """\
# Packages of optional clients. None is installed by default: take the lines you need.
# A client that is configured but not installed is named at start, with its cure.
# Made by `python -m tools.document` from the declarations in atom/client/.
"""


def shown(value: Any) -> str:
    """Write a default the way `.env` would hold it.

    >>> shown(("id", "is_active")), shown(True), shown(None), shown(5.0)
    ('id,is_active', '1', '', '5')
    """
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of Markdown; a bar inside a cell is escaped.

    >>> table(["a"], [["x|y"]])
    '| a |\\n| --- |\\n| x\\\\|y |'
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else "–"


def _note(key: Key) -> str:
    """Return what a key means, its other names, and where it cannot be set."""
    notes = [key.help]
    if key.example:
        notes.append(f"Example: {key.example}.")
    if key.also:
        notes.append(f"Also {', '.join(key.also)}.")
    if isinstance(key.default, dict):
        notes.append("A dict: in config files only.")
    if key.secret:
        notes.append("Secret.")
    return " ".join(notes)


def _row(key: Key) -> tuple[str, ...]:
    return _code(key.name), _code(shown(key.default)), _note(key)


def keys() -> str:
    """Return every key, in one table for each section."""
    return "\n\n".join(
        f"### {title}\n\n" + table(["key", "default", "meaning"], map(_row, found))
        for title, found in groupby(KEYS, key=attrgetter("section"))
    )


def first_keys() -> str:
    """Write the table of the keys most people touch first."""
    known = {key.name: key for key in KEYS}
    rows = (_row(known[name]) for name in FIRST_KEYS)
    return table(["key", "default", "meaning"], rows)


def entry() -> str:
    """Write the table of the keys of config_api."""
    rows = ((_code(key.name), key.form, key.help) for key in keys_of(STEPS))
    return table(["key", "value", "meaning"], rows)


def steps() -> str:
    """Write the table of the steps of a request."""
    rows = (
        (
            f"{number}",
            _code(step.name) + (" *W*" if step.websocket else ""),
            step.help,
            ", ".join(_code(key.name) for key in step.keys) or "–",
            ", ".join(_code(code) for code in step.codes) or "–",
        )
        for number, step in enumerate(STEPS, 1)
    )
    return table(["", "step", "what it is for", "keys", "refuses with"], rows)


def codes() -> str:
    """Write the tables of the error codes, one for each section."""
    head = ["code", "status", "meaning", "cure"]
    return "\n\n".join(
        f"## {title}\n\n"
        + table(
            head,
            (
                (
                    _code(code.name),
                    ", ".join(map(str, code.statuses)),
                    code.meaning,
                    code.cure or "–",
                )
                for code in listed
            ),
        )
        for title, listed in SECTIONS
    )


def clients() -> str:
    """Write the table of the clients on `app.state`."""
    rows = (
        (
            _code(client.name),
            ", ".join(_code(key) for key in client.needs),
            client.package if "==" in client.package else "installed",
        )
        for client in CLIENTS
    )
    return table(["on `request.app.state`", "needs", "package"], rows)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _defined(path: Path, name: str) -> Function:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, Function) and node.name == name:
            return node
    raise LookupError(f"{path}: no function {name}")


def _functions(root: Path) -> Iterator[tuple[str, Function]]:
    """Yield the functions users know, each as it is written where it is defined."""
    for node in ast.parse((root / "function.py").read_text()).body:
        if isinstance(node, Function) and node.name.startswith("function_"):
            yield node.name, node
        if isinstance(node, ast.ImportFrom) and node.module:
            path = root / f"{node.module.replace('.', '/')}.py"
            for alias in node.names:
                if (alias.asname or "").startswith("function_"):
                    yield str(alias.asname), _defined(path, alias.name)


def _signature(name: str, function: Function) -> str:
    asynchronous = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    return f"{asynchronous}{name}({ast.unparse(function.args)})"


def functions(root: Path) -> str:
    """Write the table of the functions that `from extend import *` brings."""
    rows = [
        (_code(_signature(name, function)), _sentence(function))
        for name, function in _functions(root)
    ]
    for client in CLIENTS:
        if not client.after:
            name = f"function_client_read_{client.name.removeprefix('client_')}"
            text = f"Open {client.name} for a script, which closes it."
            rows.append((_code(f"await {name}(config=None)"), text))
    return table(["call", "what it does"], rows)


def _sentence(function: Function) -> str:
    """Return the first paragraph of a docstring, in one line."""
    text = ast.get_docstring(function) or ""
    return " ".join(text.partition("\n\n")[0].split())


def bench(root: Path) -> str:
    """Return what the bench measured last."""
    path = root / "bench" / "result.md"
    if not path.exists():
        return "Not measured yet: `.venv/bin/python -m bench`."
    return path.read_text().strip()


def curls() -> str:
    """Return the requests that the first start prints."""
    text = dedent(welcome.CURLS.format(url="http://127.0.0.1:8000")).strip()
    return f"```sh\n{text}\n```"


def order() -> str:
    """Return the order in which to read `atom/`."""
    lines = (atom.__doc__ or "").splitlines()
    listed = "\n".join(line for line in lines if line.startswith("    "))
    return f"```\n{dedent(listed)}\n```"


def environment() -> str:
    """Write `.env.example`: every key, commented out, secrets empty."""
    lines = [
        "# Every key of Atom with its default. Copy this file to .env and take the #",
        "# off the lines you change; the process environment wins over it. How the",
        "# layers of config work: docs/config.md. Made by `python -m tools.document`.",
    ]
    for title, found in groupby(KEYS, key=attrgetter("section")):
        lines += ["", f"# --- {title} ---"]
        for key in found:
            lines += ["", *_wrapped(_note(key)), f"#{key.name}={shown(key.default)}"]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    lines = ["#"]
    for word in text.split():
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("#")
        lines[-1] += f" {word}"
    return lines


def optional() -> str:
    """Write `requirements-optional.txt`: the package of each optional client."""
    purposes: dict[str, list[str]] = {
        build.PACKAGE: ["python main.py email build"],
        key_mfa.PACKAGE: ["config_mfa"],
        key_mfa.PASSKEY_PACKAGE: ["config_passkey_origin_list"],
    }
    for client in CLIENTS:
        if "==" in client.package:
            purposes.setdefault(client.package, []).extend(client.switched_by)
    return OPTIONAL_HEAD + "".join(
        f"{package:<29} # {', '.join(dict.fromkeys(keys))}\n"
        for package, keys in sorted(purposes.items())
    )


def filled(text: str, name: str, block: str) -> str:
    """Put a block between its marks.

    Raises:
        LookupError: when the text has no such marks.

    >>> filled("<!-- a -->old<!-- /a -->", "a", "new")
    '<!-- a -->\\nnew\\n<!-- /a -->'
    """
    marks = re.compile(rf"(<!-- {name} -->).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(text):
        raise LookupError(f"<!-- {name} --> … <!-- /{name} --> is missing")
    return marks.sub(lambda found: f"{found[1]}\n{block}\n{found[2]}", text)


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Return every document that has a made part, as it should be."""
    blocks = {
        "readme.md": {
            "curls": curls(),
            "keys": first_keys(),
            "bench": bench(root),
            "order": order(),
        },
        "docs/config.md": {"keys": keys(), "config_api": entry()},
        "docs/errors.md": {"codes": codes()},
        "docs/pipeline.md": {"steps": steps()},
        "docs/extend.md": {"functions": functions(root), "clients": clients()},
    }
    made = {
        root / ".env.example": environment(),
        root / "requirements-optional.txt": optional(),
    }
    for name, parts in blocks.items():
        text = (root / name).read_text()
        for mark, block in parts.items():
            text = filled(text, mark, block)
        made[root / name] = text
    return made


def stale(root: Path = ROOT) -> list[str]:
    """Name the documents that are not as they should be."""
    return [
        path.relative_to(root).as_posix()
        for path, text in documents(root).items()
        if not path.exists() or path.read_text() != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write what is stale, or with `--check` only name it. Return the exit code."""
    found = stale()
    if "--check" in arguments:
        sys.stdout.writelines(f"stale: {name}\n" for name in found)
        return 1 if found else 0
    for path, text in documents().items():
        path.write_text(text)
    sys.stdout.writelines(f"written: {name}\n" for name in found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
