"""Finds the files a user dropped in, and imports them. Order: by name, root first."""

import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream

if TYPE_CHECKING:
    from fastapi import APIRouter


def files(root: Path, prefix: str) -> Iterator[Path]:
    """Yield `<prefix>*.py` in the root, then every `.py` of the folder `<prefix>/`."""
    yield from sorted(root.glob(f"{prefix}*.py"))
    yield from sorted((root / prefix).glob("*.py"))


def modules(root: Path, prefix: str, problems: list[str]) -> list[ModuleType]:
    """Import every drop-in file of a kind; note each that fails, by name and line.

    A file is imported under its path (`router/shop.py` becomes `router/shop`), a name
    no `import` statement can spell, so drop-ins never hide one another.
    """
    found = []
    for path in files(root, prefix):
        place = path.relative_to(root).as_posix()
        name = place.removesuffix(".py")
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module
        try:
            SourceFileLoader(name, str(path)).exec_module(module)
        except (Exception, SystemExit) as error:
            problems.append(f"{place}{_line(error, path)}: {_said(error)}")
        else:
            found.append(module)
    return found


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _line(error: BaseException, path: Path) -> str:
    """Return ", line N" for the place in this file where the error came from."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def routers(root: Path, problems: list[str]) -> list["APIRouter"]:
    """Return each distinct `router` of the drop-in router files, once.

    Files that take their router from `extend.py` share a single one; it is returned
    once, after all of them have added their routes.
    """
    from fastapi import APIRouter

    distinct = {}
    for module in modules(root, "router", problems):
        router = getattr(module, "router", None)
        if isinstance(router, APIRouter):
            distinct[id(router)] = router
        elif router is not None:
            kind = type(router).__name__
            problems.append(f"{module.__name__}.py: router is a {kind}, not APIRouter")
    return list(distinct.values())


def variables(root: Path, problems: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the names each drop-in config file defines, one layer a file."""
    return [
        (
            f"{module.__name__}.py",
            {
                name: value
                for name, value in vars(module).items()
                if not name.startswith("_") and not isinstance(value, ModuleType)
            },
        )
        for module in modules(root, "config", problems)
    ]


def environment(path: Path, problems: list[str]) -> Mapping[str, str | None]:
    """Read a `.env` file. A line that is none is told; not shown, it may be secret.

    Passed over, `config_env='production` without its second quote would open what
    production closes.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        why = "not UTF-8" if isinstance(error, ValueError) else error.strerror
        problems.append(f"{path.name} cannot be read: {why}")
        return {}
    for found in parse_stream(StringIO(text)):
        if found.error:
            words = found.original.string
            blank = words[: len(words) - len(words.lstrip())].count("\n")
            line = found.original.line + blank
            problems.append(f"{path.name}, line {line}: expected NAME=value")
    return dotenv_values(stream=StringIO(text))
