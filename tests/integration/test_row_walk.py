"""How far a reader follows one row read: from its function to the socket."""

import ast
import inspect
import sys
from functools import cache
from pathlib import Path

from atom.row.read import read
from tests.integration.row_world import database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

ROOT = Path(__file__).parents[2]
FILES_MAX, RETURNS_MAX = 20, 4


@cache
def name_of(path):
    """Return a file of Atom relative to the checkout; "" for any other."""
    whole = Path(path).resolve()
    return str(whole.relative_to(ROOT)) if whole.is_relative_to(ROOT / "atom") else ""


class Walk:
    """The files of Atom entered while something runs, and the returns between them.

    A reader stays in a file while its functions call each other. A return is a climb
    back up to a file that was left, in order to go down from it into another file that
    has not been read yet.
    """

    def __init__(self):
        self.files, self.returns = [], 0
        self._climbed = False

    def __call__(self, frame, event, _):
        file = name_of(frame.f_code.co_filename)
        if event == "call" and file:
            if file not in self.files:
                self.returns += self._climbed
                self.files.append(file)
            self._climbed = False
        elif event == "return" and file:
            above = frame.f_back and name_of(frame.f_back.f_code.co_filename)
            self._climbed = self._climbed or above != file

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)


async def test_a_reader_follows_one_read_through_few_files(world):
    """At most 20 of them, with at most 4 returns."""
    database, scope = world.database, world.rules.public()
    raw = b"table=test&rating=%3E,3"
    with Walk() as walk:
        await read(database, scope, raw)

    assert walk.files[0] == "atom/row/read.py"
    assert len(walk.files) <= FILES_MAX, "\n".join(walk.files)
    assert walk.returns <= RETURNS_MAX, walk.returns


def test_the_function_of_a_read_fits_on_a_screen():
    """At most 20 lines, without its docstring."""
    (function,) = ast.parse(inspect.getsource(read)).body
    body = function.body[1:]

    assert body[-1].end_lineno - body[0].lineno < 20
