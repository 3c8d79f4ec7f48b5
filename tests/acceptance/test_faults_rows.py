"""Inputs that once failed on the row routes, each with its kind."""

import itertools
import json
import string
import time

import pytest

from tests.acceptance.conftest import serving

# Every name that Atom itself gives to something in a statement, and every letter.
NAMES = (
    *string.ascii_lowercase,
    *("page", "next", "place", "ord", "given", "made", "found", "gone", "done", "ids"),
    *("excluded", "body", "key", "value", "row", "record", "meters", "item", "old"),
    *("new", "c1", "p0", "k0", "n0", "shown", "listed"),
)
CONFIG = f"""
config_postgres_schema = {{"table": {{
    "color": ["created_by_id-bigint-0-0", "title-text-0-0",
              *(name + "-smallint-0-0" for name in {NAMES!r})],
    "shade": ["created_by_id-bigint-0-0", "r-smallint-0-0",
              {{"name": "color_id", "datatype": "bigint", "references": "color.id"}}],
    "flagged": ["created_by_id-bigint-0-0", "mask-bit(4)-0-0", "code-char(5)-0-0"],
    "poll": ["created_by_id-bigint-0-0", "count-integer-0-0", "n-integer-0-0",
             "sum_n-integer-0-0"],
    "kept": ["created_by_id-bigint-0-0", "code-text-0-0"],
}}}}
config_table_allowed_public_read_list = ["test", "color", "shade", "flagged", "poll"]
config_table = {{name: {{"my": "owner"}}
                for name in ("color", "shade", "flagged", "poll", "kept")}}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A server with tables whose names and datatypes are awkward."""
    with serving(tmp_path_factory.mktemp("faulty"), config_faulty=CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def eve(faulty):
    """Their user."""
    return faulty.person()


@pytest.fixture(scope="module")
def color(faulty, eve):
    """A row with a number in every column, and one that refers to it."""
    row = {name: number for number, name in enumerate(NAMES)} | {"title": "red"}
    made = faulty.message("POST", "/my/object-create?table=color", eve, json=row)
    shade = {"color_id": made, "r": 7}
    faulty.message("POST", "/my/object-create?table=shade", eve, json=shade)
    return row | {"id": made}


READS = (
    "/my/object-read?table=color",
    "/public/object-read?table=color",
    "/my/rows/color?limit=1",
    "/my/object-read?table=color&cursor=",
    "/my/object-read?table=color&is_count=1",
    "/my/object-read?table=color&order=r,title",
    "/my/parent-read?table=shade&parent_table=color&parent_column=color_id",
)


@pytest.mark.parametrize("path", READS)
def test_no_name_of_a_column_meets_one_of_ours(faulty, eve, color, path):
    """A row is a row, whatever its columns are called (F2)."""
    (row,) = faulty.message("GET", path, eve)

    assert color == {name: row[name] for name in color}


def test_nor_in_filters(faulty, eve, color):
    """Each column is found by its value, also those called like a parameter."""
    for name in NAMES:
        asked = f"or=({name}==,{color[name]})&column={name}"
        (found,) = faulty.message("GET", f"/my/object-read?table=color&{asked}", eve)
        assert {name: color[name]} == found


def test_nor_in_writes(faulty, eve, color):
    """Changed one by one, in a list, by ids, and put again."""
    change = {"id": color["id"], **{name: color[name] for name in NAMES}}
    other = {name: number + 1 for number, name in enumerate(NAMES)}
    path = "/my/object-update?table=color"
    for body in (change | other, [change], change | other, change):
        faulty.message("PUT", path, eve, json=body)
        wanted = body[0] if isinstance(body, list) else body
        (row,) = faulty.message("GET", "/my/object-read?table=color", eve)
        assert wanted == {name: row[name] for name in wanted}
    for name in "rtx":
        body = {"table": "color", "ids": [color["id"]], "column": name}
        body["value"] = color[name]
        assert 1 == faulty.message("PUT", "/my/ids-update", eve, json=body)


def test_nor_in_relations_and_groups(faulty, eve, color):
    """From both sides; the row around has a column called r, too."""
    path = "/my/object-read?table=shade&relation=color_id(r,t)"
    (row,) = faulty.message("GET", path, eve)
    assert (7, {"r": color["r"], "t": color["t"]}) == (row["r"], row["color"])
    path = "/my/object-read?table=color&column=r&relation=shade(r),shade:count"
    (row,) = faulty.message("GET", path, eve)
    assert (color["r"], [{"r": 7}], 1) == (row["r"], row["shade"], row["shade_count"])
    (group,) = faulty.message("GET", "/my/object-read?table=color&group_by=r,t,g", eve)
    assert [color[name] for name in "rtg"] == [group[name] for name in "rtg"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select 1 as r", [{"r": 1}]),
        (
            "select 'x' as r, 2 as j, 3 as s, 4 as q",
            [{"r": "x", "j": 2, "s": 3, "q": 4}],
        ),
    ],
)
def test_nor_in_own_sql(faulty, query, rows):
    """Exported as JSON lines, and read by an admin."""
    path = "/root/postgres-export?format=jsonl"
    answer = faulty.call("POST", path, "root", json={"query": query})
    assert rows == [json.loads(line) for line in answer.text.splitlines()]
    admin = faulty.person(api_access="6")
    answer = faulty.call("POST", "/admin/db-runner", admin, json={"query": query})
    assert 200 == answer.status_code, answer.text
    assert rows == answer.json()["message"]


@pytest.mark.parametrize("order", ["mask", "mask desc", "code", "code desc"])
def test_pages_by_cursor_hold_each_row_once(faulty, eve, order):
    """By bits and blank-padded text too (F3)."""
    masks = ["0000", "0001", "1010", "1111"]
    there = faulty.message("GET", "/my/object-read?table=flagged&is_count=1", eve)
    if not there:
        rows = [
            {"mask": mask, "code": mask[:2] + str(n)} for n, mask in enumerate(masks)
        ]
        faulty.message("POST", "/my/object-create?table=flagged", eve, json=rows)
    seen, cursor = [], ""
    for _ in itertools.islice(itertools.count(), 8):
        path = f"/my/object-read?table=flagged&order={order}&limit=1&cursor={cursor}"
        answer = faulty.call("GET", path, eve).json()
        seen += [row["mask"] for row in answer["message"]]
        cursor = answer["next_cursor"]
        if not cursor:
            break

    assert sorted(masks) == sorted(seen)


@pytest.mark.parametrize("asked", ["ab", "ab   ", "ab "])
@pytest.mark.parametrize("how", ["=,{}", "in,{}|zz", "between,{}|ac"])
def test_blanks_at_the_end_of_a_char_do_not_count(faulty, eve, asked, how):
    """What is answered is found (F18)."""
    body = {"code": "ab", "mask": "0101"}
    made = faulty.message("POST", "/my/object-create?table=flagged", eve, json=body)
    path = f"/my/object-read?table=flagged&code={how.format(asked)}&id==,{made}"

    assert [made] == [row["id"] for row in faulty.message("GET", path, eve)]
    ids = {"table": "flagged", "ids": [made]}
    faulty.message("DELETE", "/my/ids-delete", eve, json=ids)


def test_a_bar_may_be_part_of_a_value(faulty, eve):
    """Of a list, escaped; and of an array, as JSON too (F10)."""
    ids = [
        faulty.message("POST", "/my/object-create?table=test", eve, json=row)
        for row in ({"title": "a|b", "tag": ["a|b"]}, {"title": "a", "tag": ["a", "b"]})
    ]
    for asked, found in (
        (r"title=in,a\\|b", ids[:1]),
        (r"title=in,a\\|b|a", ids),
        ("title=in,a|b", ids[1:]),
        (r"tag=overlap,a\\|b", ids[:1]),
        ('tag=overlap,["a|b"]', ids[:1]),
        ('tag=contains,["a","b"]', ids[1:]),
        ("tag=contains,a|b", ids[1:]),
    ):
        asked = asked.replace("\\\\", "\\")
        rows = faulty.message(
            "GET", f"/my/object-read?table=test&order=id&{asked}", eve
        )
        assert found == [row["id"] for row in rows], asked


def test_a_group_has_no_name_twice(faulty, eve):
    """A JSON reader would keep one of the two (F11)."""
    for asked in ("group_by=count", "group_by=sum_n&aggregate=sum:n"):
        answer = faulty.call("GET", f"/my/object-read?table=poll&{asked}", eve)
        assert 400 == answer.status_code, answer.text
    assert (
        "'count'"
        in faulty.call("GET", "/my/object-read?table=poll&group_by=count", eve).json()[
            "message"
        ]
    )


def test_tables_changed_by_another_tool_heal(faulty, eve):
    """The request that meets the change is answered from them as they are (F5)."""
    make = "/my/object-create?table=kept"
    read = "/my/object-read?table=kept&column=id,{}"
    faulty.message("POST", make, eve, json={"code": "x"})
    faulty.sql("alter table kept rename column code to slug")

    (row,) = faulty.message("GET", "/my/object-read?table=kept", eve)
    assert "x" == row["slug"] and "code" not in row
    faulty.sql("alter table kept rename column slug to label")
    time.sleep(0.3)  # unknown names are looked up again no more often
    faulty.message("POST", make, eve, json={"label": "y"})
    faulty.sql("alter table kept drop column label")
    faulty.sql("alter table kept add column more text")
    time.sleep(0.3)
    assert 400 == faulty.call("GET", read.format("label"), eve).status_code
    assert 200 == faulty.call("GET", read.format("more"), eve).status_code


def test_a_type_is_anybodys_word(faulty, eve):
    """In a table of one's own; in users it is not (N10)."""
    made = faulty.message(
        "POST", "/my/object-create?table=test", eve, json={"type": 1, "title": "x"}
    )
    (row,) = faulty.message("GET", f"/my/object-read?table=test&id==,{made}", eve)
    assert 1 == row["type"]
    body = {"id": eve.id, "type": 2}
    refused = faulty.call("PUT", "/my/object-update?table=users", eve, json=body)
    assert refused.status_code >= 400


def test_type_may_be_left_out_at_signup_and_login(faulty):
    """It is config_type_default then."""
    login = {"username": "without type", "password": "correct horse"}

    assert 200 == faulty.call("POST", "/auth/signup", json=login).status_code
    assert 200 == faulty.call("POST", "/auth/login-password", json=login).status_code
    (row,) = faulty.sql("select type from users where username = 'without type'")
    assert 1 == row["type"]
