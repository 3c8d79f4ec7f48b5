"""Values as SQL constants, and the catalog's spelling of the same."""

import pytest

from atom.schema.literal import default, literal, same

# declared value, canonical datatype, what pg_get_expr of PostgreSQL 18 shows of it
SHOWN = [
    (7, "smallint", "'7'::smallint"),
    (7, "integer", "7"),
    (-7, "integer", "'-7'::integer"),
    (7, "bigint", "(7)::bigint"),
    (1.5, "numeric(10,2)", "1.5"),
    ("1.50", "numeric(10,2)", "1.50"),
    (0.1, "real", "'0.1'::real"),
    (0.1, "double precision", "'0.1'::double precision"),
    (1e300, "double precision", "'1e+300'::double precision"),
    ("it's", "text", "'it''s'::text"),
    ("", "text", "''::text"),
    ("now()", "text", "'now()'::text"),
    ("a\\b", "character varying(9)", "'a\\b'::character varying(9)"),
    ("a", "character(3)", "'a'::bpchar"),
    (True, "boolean", "true"),
    (0, "boolean", "false"),
    ("2026-01-02", "date", "'2026-01-02'::date"),
    (
        "2026-01-02T03:04:05+00:00",
        "timestamp with time zone",
        "'2026-01-02 08:34:05+05:30'::timestamp with time zone",
    ),
    (
        "2026-01-02 03:04:05.5",
        "timestamp without time zone",
        "'2026-01-02 03:04:05.5'::timestamp without time zone",
    ),
    (
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "uuid",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
    ),
    ({"b": 1, "a": [1.0, "é"]}, "jsonb", '\'{"a": [1, "é"], "b": 1}\'::jsonb'),
    ("{}", "json", "'{}'::json"),
    ([], "text[]", "'{}'::text[]"),
    (["a b", "", None, 'q"\\'], "text[]", '\'{"a b","",NULL,"q\\"\\\\"}\'::text[]'),
    ([1, 2], "bigint[]", "'{1,2}'::bigint[]"),
    ("now()", "timestamp with time zone", "now()"),
    ("NOW()", "date", "now()"),
    ("current_date", "date", "CURRENT_DATE"),
    ("gen_random_uuid()", "uuid", "gen_random_uuid()"),
]


@pytest.mark.parametrize(("value", "datatype", "shown"), SHOWN)
def test_default_is_recognised_as_postgresql_shows_it(value, datatype, shown):
    """Otherwise every plan would set it anew."""
    assert same(default(value, datatype), shown, datatype)


@pytest.mark.parametrize(
    ("value", "datatype", "shown"),
    [
        (7, "integer", "8"),
        ("a", "text", "'b'::text"),
        ("a", "text", "upper('a'::text)"),
        ("a", "text", "('a'::text || 'b'::text)"),
        (1, "integer", "nextval('s'::regclass)"),
        (True, "boolean", "false"),
        ("now()", "date", "CURRENT_DATE"),
        ([], "text[]", "'{a}'::text[]"),
        (["a"], "text[]", "ARRAY['a'::text]"),
        ({}, "jsonb", "'[]'::jsonb"),
        ("a", "text", None),
    ],
)
def test_other_default_is_another(value, datatype, shown):
    """A value or an expression that is not what is declared is not taken for it."""
    assert not same(default(value, datatype), shown, datatype)


def test_no_default_is_recognised():
    """None declared is nothing in the catalog, and nothing else."""
    assert same("null", None, "text")
    assert not same("null", "'a'::text", "text")


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        (True, "smallint"),
        (40_000, "smallint"),
        (1.5, "integer"),
        ("1", "integer"),
        (float("nan"), "real"),
        ("abc", "numeric"),
        (1, "text"),
        ("a\0b", "text"),
        ("\ud800", "text"),
        (2, "boolean"),
        ("2026-13-01", "date"),
        ("2026-01-01", "timestamp with time zone"),
        ("2026-01-01T00:00:00Z", "timestamp without time zone"),
        ("x", "uuid"),
        ("{", "jsonb"),
        ({"a": "\0"}, "jsonb"),
        ("a", "text[]"),
        ([1], "text[]"),
        ("now()", "integer"),
        ("a", "bytea"),
    ],
)
def test_value_of_another_datatype_is_refused(value, datatype):
    """Before anything reaches the database."""
    with pytest.raises(ValueError):
        literal(value, datatype)
