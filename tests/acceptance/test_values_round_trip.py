"""What is answered or exported for a value is taken back, and means the same.

Every datatype by every way in: filters, writes, cursors and files. The text of an
answer is sent again as it came, digit by digit, so nothing of this test reads it.
"""

import asyncio
import csv
import io
import itertools
import json

import asyncpg
import pytest

from tests.acceptance.conftest import opened
from tests.database import postgres
from tests.served import serve

FAR = ("infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "9999-12-31")
NUMBERS = ("0", "NaN", "-1.5", "100")
TEXTS = (
    *("", " ", "a", "a|b", "a,b", "a;b)", "a\\", "\\N", '"', "'", "NULL", "null"),
    *(
        "é",
        "\U0001f600",
        "a\nb\r\nc\td",
        "infinity",
        "{a}",
        "[1]",
        '["a"]',
        "=1",
        "\x01",
    ),
)
# The datatype and its values, as PostgreSQL reads them from text.
KINDS = {
    "text": TEXTS,
    "character varying(5)": ("", "a", "a|b,", "     ", "{}"),
    "character(5)": ("", "a", "ab  c", "|", "é"),
    "citext": ("", "A", "b|B"),
    "name": ("", "a"),
    '"char"': ("a", "|", "é"[:0]),
    "smallint": ("0", "-32768", "32767"),
    "integer": ("0", "-2147483648", "2147483647"),
    "bigint": ("0", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
    "numeric": (
        *("NaN", "Infinity", "-Infinity", "0", "1.5", "-0.000001"),
        *("12345678901234567890.123456789012345678", "1" + "0" * 300, "1e-300"),
    ),
    "numeric(6,2)": ("NaN", "0", "-9999.99", "1.5"),
    "numeric(3,-2)": ("NaN", "0", "-99900", "100"),
    "real": ("NaN", "Infinity", "-Infinity", "0.1", "3.4028235e38", "1e-45", "-1.5"),
    "double precision": (
        *("NaN", "Infinity", "-Infinity", "0.1", "1.7976931348623157e308"),
        *("5e-324", "-1.5", "1e15"),
    ),
    "boolean": ("true", "false"),
    "date": (*FAR, "4714-11-24 BC", "5874897-12-31", "0001-01-01", "2024-02-29"),
    "timestamp with time zone": (
        *FAR,
        *("4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00"),
        *("2024-02-29 12:00:00.000001+05:30", "0001-01-01 00:00:00+00"),
        *("0001-01-01 00:00:00+14", "9999-12-31 23:59:59.999999-14"),
    ),
    "timestamp without time zone": (
        *FAR,
        *("4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999"),
        *("2024-02-29 12:00:00.000001", "0001-01-01 00:00:00"),
    ),
    "timestamp(0) without time zone": ("infinity", "2024-02-29 12:00:00"),
    "time without time zone": ("24:00", "00:00", "23:59:59.999999"),
    "time with time zone": (
        *("24:00+05", "00:00-15:59", "12:00:00.000001+05:30", "12:00+00"),
        *("12:00:00+15:59:59", "24:00-00:00:01"),
    ),
    "interval": (
        *("0", "1 year 2 mons -3 days 04:05:06.789", "-1 mons +1 day", "infinity"),
        *("-infinity", "-00:00:00.000001", "178000000 years"),
    ),
    "bit(4)": ("0000", "1010", "1111"),
    "bit varying": ("", "1", "1010"),
    "bit varying(8)": ("", "1", "10101010"),
    "uuid": (
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ),
    "jsonb": (
        *('{"a": [1, null, 1.5], "b|": "x,y"}', "[]", '""', '"null"', "true", "0"),
        '{"n": 123456789012345678901234567890.5}',
    ),
    "json": ('{"a": [1, null, 1.5]}', "[]", '"x"', "0"),
    "bytea": ("", "\\x00", "\\x00ff10", "\\x" + "fb" * 100, "\\x5c7830"),
    "inet": ("::1", "10.0.0.1/8", "192.0.2.1", "::ffff:1.2.3.4"),
    "cidr": ("10.0.0.0/8", "2001:db8::/32"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:ff:fe:01:02:03",),
    "money": ("0", "-12.50", "1234567.89", "-92233720368547758.08"),
    "tsvector": ("", "'a':1A 'b':2,3", "'it''s' '\\\\x'"),
    "tsquery": ("'a' & !'b' | 'c':*A", "'a' <-> 'b'"),
    "int4range": ("empty", "(,)", "[1,5)", "(,5)", "[1,)"),
    "int8range": ("[-9223372036854775808,9223372036854775807)",),
    "numrange": ("empty", "[1.5,2.5]", "(,NaN]", "[-Infinity,Infinity]"),
    "daterange": ("[infinity,infinity]", "[-infinity,2024-01-01)", "(,0044-03-15 BC)"),
    "tsrange": ('["2024-01-01 00:00:00","2024-01-01 00:00:01"]', "[,infinity]"),
    "tstzrange": ('["2024-01-01 00:00:00+00","10000-01-01 00:00:00+00")', "(,)"),
    "int4multirange": ("{}", "{[1,5),[7,9)}", "{(,)}"),
    "nummultirange": ("{[1.5,2.5],(3,NaN)}",),
    "datemultirange": ("{(,0044-03-15 BC),[2024-01-01,infinity)}",),
    "int8multirange": ("{[-9223372036854775808,0),[5,9223372036854775807)}",),
    "tsmultirange": ('{[-infinity,"0044-03-15 00:00:00 BC")}', "{}"),
    "tstzmultirange": ('{["2024-01-01 00:00:00+00",infinity)}',),
    "point": ("(1,2)", "(-180,90)", "(0.1,-0.1)"),
    "box": ("(3,4),(1,2)",),
    "circle": ("<(1,2),3>",),
    "line": ("{1,-1,0}",),
    "lseg": ("[(1,2),(3,4)]",),
    "path": ("[(1,2),(3,4)]", "((1,2),(3,4))"),
    "polygon": ("((1,2),(3,4),(5,6))",),
    "oid": ("0", "4294967295"),
    "xid8": ("0", "18446744073709551615"),
    "pg_lsn": ("16/B374D848",),
    "jsonpath": ('$."a"?(@ > 1)',),
    "hstore": ("", '"a"=>"b", "c,|"=>NULL', '"q\\"\\\\"=>""'),
    "ltree": ("a.b.c", ""),
    "cube": ("(1, 2),(3, 4)", "(0)"),
    "vector": ("[1,2,3]", "[0.1,-1e-10,3]"),
    "vector(2)": ("[1,2]",),
    "halfvec(2)": ("[1,0.5]", "[-65504,6e-08]"),
    "sparsevec(5)": ("{1:1,3:-2.5}/5", "{}/5"),
    "regclass": ("pg_class",),
    "interval second(2)": ("00:00:01.25", "-infinity"),
    "time(0) with time zone": ("24:00+05",),
    "mood": ("sad, | ok", "happy"),
    '"Odd Mood"': ("x",),
    "evens": ("0", "2"),
    "shortened": ("ab", ""),
    "document": ('{"a": [1]}', "[]", '"x"'),
    "several": ("{1,2}", "{}", "{{1,2},{3,NULL}}"),
    "raw": ("\\x00ff",),
    "later": ("infinity", "2024-01-01"),
    "pair": ('(1,"a, ""b""")', "(,)", '(-1,"")'),
    "text[]": (
        *("{}", "{a,NULL}", '{"NULL","a,b","{","\\"","\\\\",""}', "{{a,b},{c,NULL}}"),
        '{"[1]"}',
    ),
    "character varying(3)[]": ("{abc,NULL}", "{{a},{b}}"),
    "character(3)[]": ("{a,NULL}",),
    "smallint[]": ("{-32768,NULL}",),
    "integer[]": ("{}", "{1,NULL}", "{{1,2},{3,4}}", "{{{1},{2}},{{3},{4}}}"),
    "bigint[]": ("{9223372036854775807}",),
    "numeric[]": ("{NaN,Infinity,1.5,NULL}", "{{1,NaN}}"),
    "real[]": ("{NaN,0.1,1e-45}",),
    "double precision[]": ("{NaN,-Infinity,0.1,NULL}",),
    "boolean[]": ("{t,f,NULL}", "{{t},{f}}"),
    "date[]": ('{infinity,"0044-03-15 BC",2024-01-01}', "{{2024-01-01}}"),
    "timestamp with time zone[]": ('{infinity,"10000-01-01 00:00:00+00",NULL}',),
    "time without time zone[]": ("{24:00:00,10:00:00}",),
    "time with time zone[]": ("{24:00:00+05}",),
    "interval[]": ('{"1 year",infinity}',),
    "bit(4)[]": ("{1010,0000}",),
    "bit varying[]": ('{1,""}',),
    "uuid[]": ("{00000000-0000-0000-0000-000000000000,NULL}",),
    "jsonb[]": ('{"{\\"a\\": 1}",NULL,1}',),
    "bytea[]": ('{"\\\\x00ff",NULL,"\\\\x"}',),
    "inet[]": ("{::1,10.0.0.0/8}",),
    "macaddr[]": ("{08:00:2b:01:02:03,NULL}",),
    "cidr[]": ("{10.0.0.0/8}",),
    "money[]": ("{-12.50,NULL}",),
    "citext[]": ("{A,NULL}",),
    "tsvector[]": ("{\"'a':1A 'b':2,3\",NULL}",),
    "vector[]": ('{"[1,2,3]",NULL}',),
    "later[]": ("{infinity,NULL}",),
    "raw[]": ('{"\\\\x00ff",NULL}',),
    "daterange[]": ('{"[2024-01-01,2024-02-01)",NULL}',),
    "int4multirange[]": ('{"{[1,5),[7,9)}"}',),
    "hstore[]": ('{"\\"a\\"=>\\"b\\""}',),
    "mood[]": ('{"sad, | ok",happy}',),
    "evens[]": ("{0,2}",),
    "pair[]": ('{"(1,\\"a, \\"\\"b\\"\\"\\")",NULL}',),
    "point[]": ('{"(1,2)"}',),
}
MARK = "\x02"
TYPES = """
create extension if not exists citext; create extension if not exists hstore;
create extension if not exists ltree; create extension if not exists cube;
create extension if not exists vector;
create type mood as enum ('sad, | ok', 'happy'); create type "Odd Mood" as enum ('x');
create domain evens as integer check (value % 2 = 0);
create domain short as character varying(5); create domain shortened as short;
create domain document as jsonb; create domain several as integer[];
create domain raw as bytea; create domain later as timestamp with time zone;
create type pair as (n integer, t text);
"""
# Two texts of these may mean the same.
AS = {
    "json": "::jsonb::text",
    "document": "::jsonb::text",
    "real": "::numeric::text",
    "character(5)": "::text",
}
VALUES = frozenset({"json", "jsonb", "document"})  # of JSON, texts in quotes too
NAMES = {kind: f"kind_{number}" for number, kind in enumerate(KINDS)}
every = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def kinds():
    """A server with a table for each datatype, each with a row for each hard value.

    Statements past the server share one connection: there are thousands of them.
    """
    with (
        postgres() as url,
        serve({"config_postgres_url": url}) as served,
        asyncio.Runner() as runner,
    ):
        running = opened(served)
        running.message("POST", "/root/postgres-init", "root")
        connection = runner.run(asyncpg.connect(url, statement_cache_size=0))
        running.script = lambda text: runner.run(connection.execute(text))
        running.sql = lambda text, *values: [
            dict(row) for row in runner.run(connection.fetch(text, *values))
        ]
        running.script(TYPES)
        for kind, values in KINDS.items():
            name = NAMES[kind]
            running.script(
                f"create table {name} (id bigint generated by default as identity"
                f" primary key, code text unique, v {kind})"
            )
            running.sql(
                f"insert into {name} (code, v) select 's' || n, case when x is not null"
                f" then x::{kind} end from unnest($1::text[]) with ordinality u(x, n)",
                [*values, None],
            )
        running.message("POST", "/root/reset-global", "root")
        running.admin = running.person(api_access="1,2,3,4,5,6")
        yield running
        running.http.close()
        runner.run(connection.close())


def sources(kinds, kind):
    """Return the rows, and the text of each value as it is answered."""
    rows = kinds.sql(
        f"select id, code from {NAMES[kind]} where code like 's%' order by id"
    )
    found = {}
    for row in rows:
        path = f"/admin/object-read?table={NAMES[kind]}&column=v&id==,{row['id']}"
        text = kinds.call("GET", path, kinds.admin).text
        assert text.startswith('{"status":1,"message":[{"v":'), text
        found[row["id"]] = text.removeprefix('{"status":1,"message":[{"v":')[:-3]
    return found


def same(kinds, kind, prefix):
    """Check that each copy means the same as its source, and remove the copies."""
    name, shown = NAMES[kind], AS.get(kind, "::text")
    pairs = kinds.sql(
        f"select s.code, s.v::text as was, c.v::text as is, s.v{shown} is not distinct"
        f" from c.v{shown} as same from {name} s left join {name} c"
        f" on c.code = '{prefix}' || s.code where s.code like 's%'"
    )
    assert pairs
    kinds.sql(f"delete from {name} where code not like 's%'")
    assert not [pair for pair in pairs if not pair["same"]]


def spare(kinds, kind, prefix):
    """Add a row without a value for each source; return the ids of both."""
    return kinds.sql(
        f"with made as (insert into {NAMES[kind]} (code) select '{prefix}' || code"
        f" from {NAMES[kind]} where code like 's%' returning id, code)"
        f" select s.id as source, m.id, m.code from made m"
        f" join {NAMES[kind]} s on m.code = '{prefix}' || s.code"
    )


def send(kinds, method, path, body):
    """Send a body as it is written."""
    answer = kinds.call(
        *(method, path, kinds.admin),
        content=body.encode(),
        headers={"content-type": "application/json"},
    )
    assert 200 == answer.status_code, f"{body}: {answer.text}"
    return answer.json()["message"]


@every
def test_every_value_is_answered(kinds, kind):
    """No column is left out."""
    assert len(KINDS[kind]) + 1 == len(sources(kinds, kind))


@every
def test_what_is_answered_can_be_asked_for(kinds, kind):
    """By `=`, `in`, `>=` and `is distinct from`."""
    name = NAMES[kind]
    for number, text in sources(kinds, kind).items():
        if text == "null":
            continue
        word = json.loads(text) if text[0] == '"' and kind not in VALUES else text
        base = {"table": name, "column": "id", "limit": 100}
        answer = kinds.call(
            *("GET", "/admin/object-read", kinds.admin),
            params=base | {"v": f"=,{word}"},
        )
        if "does not suit" in answer.text:
            continue  # no datatype without equality can be compared
        assert 200 == answer.status_code, f"{word!r}: {answer.text}"
        found = {row["id"] for row in answer.json()["message"]}
        assert number in found, word
        (right,) = kinds.sql(
            f"select array_agg(id) as ids from {name} where v = (select v from {name}"
            f" where id = $1)",
            number,
        )
        assert set(right["ids"]) == found, word
        if not text.startswith("[") and "\\" not in word:
            escaped = word.replace("|", "\\|")
            for asked in (f"in,{escaped}|{escaped}", f">=,{word}", f"<=,{word}"):
                answer = kinds.call(
                    *("GET", "/admin/object-read", kinds.admin),
                    params=base | {"v": asked},
                )
                if "does not suit" not in answer.text:
                    assert 200 == answer.status_code, f"{asked}: {answer.text}"
                    ids = [row["id"] for row in answer.json()["message"]]
                    assert number in ids, asked


@every
def test_what_is_answered_can_be_created(kinds, kind):
    """Row by row, and in a list."""
    name, texts = NAMES[kind], sources(kinds, kind)
    for number, (_, text) in enumerate(texts.items(), 1):
        body = f'{{"code": "as{number}", "v": {text}}}'
        send(kinds, "POST", f"/admin/object-create?table={name}", body)
    same(kinds, kind, "a")
    rows = [f'{{"code":"bs{n}","v":{t}}}' for n, t in enumerate(texts.values(), 1)]
    body = f"[{','.join(rows)}]"
    send(kinds, "POST", f"/admin/object-create?table={name}", body)
    same(kinds, kind, "b")


@every
def test_what_is_answered_can_be_written(kinds, kind):
    """By an update, by a list of updates, by ids, and by an upsert."""
    name, texts = NAMES[kind], sources(kinds, kind)
    path = f"/admin/object-update?table={name}"
    for row in spare(kinds, kind, "c"):
        send(kinds, "PUT", path, f'{{"id":{row["id"]},"v":{texts[row["source"]]}}}')
    same(kinds, kind, "c")
    rows = [
        f'{{"id":{row["id"]},"v":{texts[row["source"]]}}}'
        for row in spare(kinds, kind, "d")
    ]
    send(kinds, "PUT", path, f"[{','.join(rows)}]")
    same(kinds, kind, "d")
    for row in spare(kinds, kind, "e"):
        body = f'{{"table":"{name}","ids":[{row["id"]}],"column":"v","value":'
        body += f"{texts[row['source']]}}}"
        send(kinds, "PUT", "/admin/ids-update", body)
    same(kinds, kind, "e")
    rows = [
        f'{{"code":"{row["code"]}","v":{texts[row["source"]]}}}'
        for row in spare(kinds, kind, "f")
    ]
    path = f"/admin/object-create?table={name}&on_conflict=code&mode=merge"
    send(kinds, "POST", path, f"[{','.join(rows)}]")
    same(kinds, kind, "f")


@every
@pytest.mark.parametrize("order", ["v", "v desc", "v nulls first", "v desc nulls last"])
def test_a_cursor_passes_every_value_once(kinds, kind, order):
    """In the order of a read without one."""
    base = {"table": NAMES[kind], "column": "id", "order": order, "limit": 100}
    answer = kinds.call("GET", "/admin/object-read", kinds.admin, params=base)
    if "cannot be ordered" in answer.text:
        return
    assert 200 == answer.status_code, answer.text
    wanted = [row["id"] for row in answer.json()["message"]]
    seen, cursor = [], ""
    for _ in itertools.islice(itertools.count(), 30):
        params = base | {"limit": 1, "cursor": cursor}
        answer = kinds.call("GET", "/admin/object-read", kinds.admin, params=params)
        assert 200 == answer.status_code, answer.text
        seen += [row["id"] for row in answer.json()["message"]]
        if (cursor := answer.json()["next_cursor"]) is None:
            break
    assert wanted == seen


def exported(kinds, kind, columns, form):
    """Return an export of the sources."""
    kinds.sql(f"delete from {NAMES[kind]} where (code like 's%') is not true")
    query = f"select {columns} from {NAMES[kind]} where code like 's%' order by id"
    path = f"/root/postgres-export?format={form}"
    answer = kinds.call("POST", path, "root", json={"query": query})
    assert 200 == answer.status_code, answer.text
    return answer.content


def imported(kinds, kind, content, form, **fields):
    """Import a file."""
    answer = kinds.call(
        *("POST", "/root/postgres-import", "root"),
        data={"table": NAMES[kind], "format": form, **fields},
        files={"file": (f"rows.{form}", content)},
    )
    assert 200 == answer.status_code, answer.text
    assert len(KINDS[kind]) + 1 == answer.json()["message"]


@every
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_exported_can_be_imported(kinds, kind, form):
    """In modes create, update and upsert."""
    columns = "'g' || code as code, v"
    imported(kinds, kind, exported(kinds, kind, columns, form), form, mode="create")
    same(kinds, kind, "g")
    content = exported(kinds, kind, "id, v", form)
    ids = {row["source"]: row["id"] for row in spare(kinds, kind, "h")}
    content = renumbered(content, form, ids)
    imported(kinds, kind, content, form, mode="update")
    same(kinds, kind, "h")
    content = exported(kinds, kind, "'i' || code as code, v", form)
    spare(kinds, kind, "i")
    imported(kinds, kind, content, form, mode="upsert", on_conflict="code")
    same(kinds, kind, "i")


def renumbered(content, form, ids):
    """Return a file with other ids, its other cells as they were written."""
    text = content.decode()
    for was, now in ids.items():
        if form == "jsonl":
            text = text.replace(f'{{"id":{was},', f'{{"id":{MARK}{now},')
        else:
            text = text.replace(f"\r\n{was},", f"\r\n{MARK}{now},")
    return text.replace(MARK, "").encode()


@every
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_of_one_column_keeps_every_row(kinds, kind, form):
    """Its NULL too (F12)."""
    name, shown = NAMES[kind], AS.get(kind, "::text")
    imported(kinds, kind, exported(kinds, kind, "v", form), form, mode="create")
    counts = (
        f"select v{shown} as v, count(*) as n from {name}"
        f" where (code is null) = $1 group by 1 order by 1"
    )
    copies, originals = kinds.sql(counts, True), kinds.sql(counts, False)
    kinds.sql(f"delete from {name} where code is null")
    assert originals == copies


# Values that may be the key of a row: two that are equal are one.
KEYS = {
    "numeric": ("NaN", "Infinity", "1.5", "0"),
    "double precision": ("NaN", "-Infinity", "0.1"),
    "date": ("infinity", "0044-03-15 BC", "10000-01-01"),
    "timestamp with time zone": ("-infinity", "0044-03-15 00:00:00+00 BC"),
    "time without time zone": ("24:00", "00:00"),
    "time with time zone": ("24:00+05", "00:00-15:59"),
    "bytea": ("\\x00ff", "\\x"),
    "interval": ("1 day", "-infinity"),
    "character(5)": ("ab", ""),
    "citext": ("a", ""),
    "inet": ("::1", "10.0.0.1/8"),
    "bit(4)": ("1010", "0000"),
    "int4range": ("[1,5)", "empty"),
    "text[]": ("{a,NULL}", "{{a},{b}}", "{}"),
    "uuid": ("ffffffff-ffff-ffff-ffff-ffffffffffff",),
    "hstore": ('"a"=>"b"', ""),
    "evens": ("0", "2"),
    "pair": ("(1,a)",),
}


@pytest.fixture(scope="module")
def keyed(kinds):
    """The same with tables of rows that are found by their value."""
    for number, (kind, values) in enumerate(KEYS.items()):
        name = f"keyed_{number}"
        kinds.script(
            f"create table {name} (id bigint generated by default as identity"
            f" primary key, title text, v {kind} unique)"
        )
        kinds.sql(
            f"insert into {name} (v) select x::{kind} from unnest($1::text[]) x",
            list(values),
        )
    kinds.message("POST", "/root/reset-global", "root")
    return kinds


@pytest.mark.parametrize("kind", KEYS)
def test_a_row_is_found_by_the_value_it_was_answered_with(keyed, kind):
    """By an upsert of one and of all, and by files of both formats."""
    name = f"keyed_{list(KEYS).index(kind)}"
    path = f"/admin/object-read?table={name}&column=id,v&order=id&limit=100"
    text = keyed.call("GET", path, keyed.admin).text
    rows = text.removeprefix('{"status":1,"message":[{')[:-3].split("},{")
    ids = [int(row.partition(",")[0].removeprefix('"id":')) for row in rows]
    values = [row.partition(',"v":')[2] for row in rows]
    assert len(KEYS[kind]) == len(values)
    path = f"/admin/object-create?table={name}&on_conflict=v&mode=merge"
    for number, value in zip(ids, values, strict=True):
        made = send(keyed, "POST", path, f'{{"title":"one","v":{value}}}')
        assert number == made, value
    body = ",".join(f'{{"title":"all","v":{value}}}' for value in values)
    assert ids == send(keyed, "POST", path, f"[{body}]")
    twice = f'[{{"v":{values[0]}}},{{"v":{values[0]}}}]'
    answer = keyed.call(
        *("POST", path, keyed.admin),
        content=twice,
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in {400, 409}, answer.text
    for form in ("csv", "jsonl"):
        query = f"select v, '{form}' as title from {name} order by id"
        answer = keyed.call(
            *("POST", f"/root/postgres-export?format={form}", "root"),
            json={"query": query},
        )
        count = keyed.message(
            *("POST", "/root/postgres-import", "root"),
            data={"table": name, "mode": "upsert", "on_conflict": "v", "format": form},
            files={"file": (f"rows.{form}", answer.content)},
        )
        assert len(values) == count
        found = keyed.sql(f"select id, title from {name} order by id")
        assert [{"id": one, "title": form} for one in ids] == found


LISTS = [
    kind
    for kind in KINDS
    if kind.endswith("[]") and kind not in {"jsonb[]", "point[]", "vector[]"}
]


@pytest.mark.parametrize("kind", LISTS)
def test_items_that_are_answered_can_be_asked_for(kinds, kind):
    """One by `any`, several by `contains` and `overlap`."""
    for number, text in sources(kinds, kind).items():
        raw = json.loads(text, parse_float=str, parse_int=str) if text != "null" else []
        for item in flat(raw):
            word = item if isinstance(item, str) else json.dumps(item)
            bar = word.replace("|", "\\|")
            for asked in (f"any,{word}", f"contains,{bar}", f"overlap,{bar}"):
                if ("\\" in word or word in {"", "[1]"}) and not asked.startswith(
                    "any"
                ):
                    continue
                answer = kinds.call(
                    *("GET", "/admin/object-read", kinds.admin),
                    params={"table": NAMES[kind], "column": "id", "v": asked},
                )
                assert 200 == answer.status_code, f"{asked}: {answer.text}"
                ids = [row["id"] for row in answer.json()["message"]]
                assert number in ids, asked


def flat(items):
    """Return the items of lists in lists that are not null."""
    if isinstance(items, list):
        return [one for each in items for one in flat(each)]
    return [] if items is None else [items]


def test_own_sql_answers_the_same(kinds):
    """By an admin; and an export that is safe to open in a spreadsheet has it too."""
    query = (
        "select '\\x00ff'::bytea as raw, row(1, 'a')::pair as one,"
        " array[row(1, 'a')::pair] as many, 'a=>b'::hstore as keyed,"
        " '\\x00ff'::raw as below"
    )
    rows = kinds.message("POST", "/admin/db-runner", kinds.admin, json={"query": query})
    wanted = {"raw": "AP8=", "one": "(1,a)", "many": ["(1,a)"], "keyed": {"a": "b"}}
    assert [{**wanted, "below": "AP8="}] == rows
    path = "/root/postgres-export?format=csv&is_formula_safe=1"
    answer = kinds.call("POST", path, "root", json={"query": query})
    assert ["AP8=", "AP8="] == [
        row
        for row in next(itertools.islice(csv.reader(io.StringIO(answer.text)), 1, 2))
        if row.startswith("AP8")
    ]


def test_bounds_are_not_answered_and_not_needed(kinds):
    """A list has none; CSV keeps them."""
    text = "[0:1]={1,2}"
    kinds.sql(
        f"insert into {NAMES['integer[]']} (code, v) values ('s9', $1::text::int[])",
        text,
    )
    try:
        params = {"table": NAMES["integer[]"], "column": "code,v", "v": "=,[1,2]"}
        found = kinds.message("GET", "/admin/object-read", kinds.admin, params=params)
        assert [{"code": "s9", "v": [1, 2]}] == found
        query = f"select v from {NAMES['integer[]']} where code = 's9'"
        path = "/root/postgres-export?format=csv"
        answer = kinds.call("POST", path, "root", json={"query": query})
        kinds.message(
            *("POST", "/root/postgres-import", "root"),
            data={"table": NAMES["integer[]"], "mode": "create"},
            files={"file": ("rows.csv", answer.content)},
        )
        query = f"select v::text from {NAMES['integer[]']} where code is null"
        assert [{"v": text}] == kinds.sql(query)
    finally:
        kinds.sql(f"delete from {NAMES['integer[]']} where code is null or code = 's9'")


def test_a_value_that_only_postgresql_reads_is_refused_by_name(kinds):
    """Whatever it has against it."""
    for kind, wrong in (("tsquery", "a b"), ("jsonpath", "$["), ("hstore", "a")):
        answer = kinds.call(
            *("POST", f"/admin/object-create?table={NAMES[kind]}", kinds.admin),
            json={"v": wrong},
        )
        assert (400, "value.unreadable") == (
            answer.status_code,
            answer.json()["code"],
        ), answer.text
        assert "'v'" in answer.json()["message"]


def test_rows_of_csv_are_rows_of_json(kinds):
    """Both answer bytes in base64."""
    lines = exported(kinds, "bytea", "v", "jsonl").decode().splitlines()
    rows = list(csv.reader(io.StringIO(exported(kinds, "bytea", "v", "csv").decode())))
    assert [json.loads(line)["v"] or "" for line in lines] == [
        "".join(row) for row in rows[1:]
    ]
