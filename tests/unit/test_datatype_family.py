"""A new datatype is one file and one line, wherever datatypes are known."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLOR = '''"""Colors."""

import re

from atom.datatype.family import ORDERED, Family


def parse(datatype, raw):
    """Parse a color in hexadecimal."""
    if not isinstance(raw, str) or not re.fullmatch("#[0-9a-f]{6}", raw):
        raise ValueError("not a color")
    return raw


def parse_constant(datatype, value):
    """Write a color of a declaration."""
    return parse(datatype, value.lower())


COLOR = Family(
    "color",
    ("color", "swatch"),
    opaque=frozenset({"swatch"}),
    takes=lambda _: "a color such as #00ff00",
    parse=parse,
    hint="Lower case.",
    traits=ORDERED | {"is"},
    sends_text=True,
    declared={"color": "btree hash gist"},
    lent={"gist": ("color_tree", "color_ops")},
    also={"colour": "color"},
    plain={"color": "#[0-9a-f]{6}"},
    constant=parse_constant,
    functions=("random_color()",),
    limit=lambda name: (lambda v: v != "#ffffff", "no white"),
    schema={"type": "string", "format": "color"},
    example="#00ff00",
    filter_example="=,#00ff00",
)
'''
SCRIPT = """
import json

from atom.datatype import limit, value
from atom.datatype.datatype import datatype
from atom.errors import ApiError, ConfigError
from atom.openapi import shape
from atom.postgres.catalog import LiveColumn, Table
from atom.row.sql import query_string, read_plan
from atom.row.sql.statement import RowSet
from atom.schema import literal
from atom.schema.declaration import Declaration
from atom.schema.live import ExtensionState, Live
from atom.schema.migration import plan
from atom.transfer import cell, csv_file, jsonl_cell

shade = LiveColumn("shade", "color")
table = Table("paint", {"id": LiveColumn("id", "bigint"), "shade": shade})


def fails(call, *arguments):
    try:
        call(*arguments)
    except ApiError as error:
        return [error.message, error.hint]


def read(text):
    query = query_string.parse(f"table=paint&order=shade&{text}", 1000)
    made = read_plan.read(query, RowSet(table), table)
    return [made.statement.text, made.statement.values]


def declared(line):
    try:
        found = Declaration.parse({"table": {"paint": [line]}})
        return [found.column("paint", "shade").datatype]
    except ConfigError as error:
        return error.problems


def default(value):
    entry = {"name": "shade", "datatype": "color", "default": value}
    try:
        found = Declaration.parse({"table": {"paint": [entry]}})
        return found.column("paint", "shade").default
    except ConfigError as error:
        return error.problems[0]


def indexed(line):
    live = Live(extensions={"color_tree": ExtensionState(None, True)})
    planned = plan(Declaration.parse({"table": {"paint": [line]}}), live)
    return {step.kind: step.sql for step in planned.steps}


def imported(text):
    rows = csv_file.Rows([[text], ["#0000ff"]], [2, 3], None, False)
    return cell.for_copy([cell.Column(shade)], rows).decode()


print(json.dumps({
    "declared": [declared("shade-colour-0-btree,hash"), declared("shade-color-0-gin")],
    "default": [default("#00FF00"), default("random_color()"), default("green")],
    "opaque": [datatype(name).is_opaque for name in ("color", "swatch")],
    "index": indexed("shade-color-0-gist"),
    "same": literal.same("'#00ff00'::color", "'#00ff00'::color", "color"),
    "csv": [imported(text) for text in ("#00ff00", "#00ffff")],
    "unread": fails(imported, "green"),
    "jsonl": list(
        jsonl_cell.Column(shade, filled=False).cells(["#00ff00", "#00ffff"], [1, 2])
    ),
    "written": value.from_json(shade, "#00ff00"),
    "list": value.from_text(LiveColumn("shades", "color[]"), "#00ff00,#0000ff"),
    "refused": fails(value.from_json, shade, "green"),
    "limit": fails(limit.check, shade, "#ffffff"),
    "read": read("shade=in,%2300ff00|%230000ff"),
    "unfit": fails(read, "shade=ilike,a"),
    "schema": shape.response_schema(shade),
    "example": shape.example(shade),
    "parameter": shape.filtered(shade)["description"],
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return what a tree with one more family does with a column of it."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(
        ROOT / "atom", tree / "atom", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tree / "atom/datatype/color.py").write_text(COLOR)
    families = tree / "atom/datatype/families.py"
    before = families.read_text()
    after = before.replace("    BOOLEAN,\n", "    BOOLEAN,\n    COLOR,\n")
    assert after != before
    line = "from atom.datatype.boolean import BOOLEAN\n"
    families.write_text(
        after.replace(line, f"{line}from atom.datatype.color import COLOR\n")
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_written(seen):
    """Parsed, alone and in arrays; refused with its own words and limit."""
    assert seen["written"] == "#00ff00"
    assert seen["list"] == ["#00ff00", "#0000ff"]
    message, hint = seen["refused"]
    assert message == "Column 'shade' takes a color such as #00ff00."
    assert hint == "Lower case."
    assert seen["limit"][0] == "Column 'shade' takes no white."


def test_it_is_read(seen):
    """Filtered by the operators of its traits, cast to its datatype, and sorted."""
    text, values = seen["read"]
    assert '"shade" = any($1::text[]::color[])' in text
    assert 'order by t."shade"' in text
    assert values[0] == ["#00ff00", "#0000ff"]
    assert "ilike" in seen["unfit"][0]
    assert seen["opaque"] == [False, True]


def test_it_is_documented(seen):
    """OpenAPI has its schema, its example and its operators."""
    assert seen["schema"] == {"type": ["string", "null"], "format": "color"}
    assert seen["example"] == "#00ff00"
    assert "`=,#00ff00`" in seen["parameter"]
    assert "`between`" in seen["parameter"] and "`ilike`" not in seen["parameter"]


def test_it_is_declared(seen):
    """With its other name, and the indexes that PostgreSQL has for it; no others."""
    (spelled,), (refused,) = seen["declared"]
    assert spelled == "color"
    assert "gin" in refused


def test_it_is_indexed(seen):
    """By an operator class of an extension, which is installed first."""
    assert next(iter(seen["index"])) == "extension"
    assert "color_tree" in seen["index"]["extension"]
    assert 'using gist ("shade" "public".color_ops)' in seen["index"]["index"]


def test_it_has_defaults(seen):
    """Constants and functions of its own; PostgreSQL shows the one that was written."""
    constant, function, refused = seen["default"]
    assert constant == "'#00ff00'::color"
    assert function == "random_color()"
    assert "'green' is not a value of color; or use random_color()" in refused
    assert seen["same"]


def test_it_is_imported(seen):
    """From CSV and JSON lines as they are; what does not fit is named with its line."""
    first, second = seen["csv"]
    assert first == "#00ff00\n#0000ff\n"
    assert second == "#00ffff\n#0000ff\n"
    assert seen["unread"][0].startswith("line 2, column shade: takes a color")
    assert seen["jsonl"] == ["#00ff00", "#00ffff"]
