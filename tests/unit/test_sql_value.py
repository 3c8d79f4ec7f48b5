"""What a caller wrote, read by datatype."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.datatype import geography, value
from atom.datatype.datatype import FAMILY_OF, datatype
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn

DATATYPES = [
    *(name for name in FAMILY_OF),
    *("numeric(10,3)", "character varying(5)", "geography(Point,4326)", "mood"),
    *("text[]", "bigint[]", "jsonb[]", "timestamp(3) with time zone", "interval"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def nested(depth):
    """Return lists within lists."""
    made = []
    for _ in range(depth):
        made = [made]
    return made


def column(name):
    return LiveColumn("c", name)


@given(st.sampled_from(DATATYPES), JSON)
def test_json_is_read_or_refused(name, raw):
    """Whatever stands in a body: a value, or a 400 that names the column."""
    try:
        value.from_json(column(name), raw)
    except ApiError as error:
        assert (400, "value.unreadable") == (error.status, error.code)
        assert "'c'" in error.message


@given(st.sampled_from(DATATYPES), st.text())
def test_text_is_read_or_refused(name, raw):
    """Whatever stands in a query string: a value, or a 400 that names the column."""
    try:
        value.from_text(column(name), raw)
    except ApiError as error:
        assert (400, "value.unreadable") == (error.status, error.code)
        assert "'c'" in error.message


@given(st.integers())
def test_whole_numbers_are_those_that_fit(number):
    """Each integer type takes its own range, from JSON and from text alike."""
    for name, bits in [("smallint", 15), ("integer", 31), ("bigint", 63)]:
        if -(2**bits) <= number < 2**bits:
            assert number == value.from_json(column(name), number)
            assert number == value.from_text(column(name), str(number))
            continue
        with pytest.raises(ApiError):
            value.from_json(column(name), number)
        with pytest.raises(ApiError):
            value.from_text(column(name), str(number))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_numbers_keep_every_digit(number):
    """A number sent as text arrives as it was written."""
    assert number == value.from_text(column("numeric"), str(number))


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_times_survive_iso_8601(moment):
    """Without an offset a time is UTC; with one it is the same moment."""
    kind = column("timestamp with time zone")
    aware = moment.replace(tzinfo=UTC)

    assert aware.isoformat() == value.from_json(kind, moment.isoformat())
    assert aware.isoformat() == value.from_text(
        kind, aware.isoformat().replace("+", " ")
    )
    assert moment.isoformat() == value.from_json(
        column("timestamp without time zone"), aware.isoformat()
    )


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_kept_to_the_letter(text):
    """The empty text is a text; nothing is trimmed."""
    assert text == value.from_json(column("text"), text)


@given(JSON.filter(lambda raw: raw is not None))
def test_json_columns_take_any_value(raw):
    """What is kept is the same JSON."""
    try:
        kept = value.from_json(column("jsonb"), raw)
    except ApiError:
        assert "\0" in flat(raw) or orjson_safe(raw) is None
        return
    assert orjson.loads(kept) == orjson.loads(orjson.dumps(raw))


def flat(raw):
    """Return all texts of a value, names too, as one."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, dict):
        return flat([*raw, *raw.values()])
    return "".join(map(flat, raw)) if isinstance(raw, list) else ""


def orjson_safe(raw):
    """Return the JSON text of a value, or None when JSON cannot hold it."""
    try:
        return orjson.dumps(raw).decode()
    except TypeError:
        return None


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        *[("bigint", v) for v in (True, 1.0, "1.0", " 1", "0x1", "١", "", [])],
        *[("text", v) for v in (1, False, {}, "a\0")],
        *[("boolean", v) for v in (0, 1, "True", "yes", "")],
        *[
            ("numeric", v)
            for v in ("", "nan", "inf", "+Infinity", "1e401", "1" * 500, True)
        ],
        *[
            ("numeric", v)
            for v in ("1_000", "٣", " 1", "1 ", "0x1f", ".", "1e", "1.2.3")
        ],
        *[("numeric", Decimal(v)) for v in ("1e401", "-1e-401", "1" * 401)],
        *[("real", v) for v in (1e39, "1e39", "1e-50", "1_0", "٣")],
        *[("double precision", v) for v in ("1e-400", Decimal("1e-400"), "1_0")],
        *[("uuid", v) for v in ("0_1" + "0" * 29, "٣" * 32, "+" + "0" * 31)],
        *[("point", f"POINT({v} 0)") for v in ("1_0", "٣", "nan")],
        *[
            ("date", v)
            for v in (
                *(
                    "Infinity",
                    "0000-01-01",
                    "0000-01-01 BC",
                    "0001-02-29",
                    "0004-02-29 BC",
                ),
                *("5874898-01-01", "4714-11-23 BC", "10000-1-1", "10000-01-01T00:00"),
                *("10000-13-01", "10000-01-01 bc"),
            )
        ],
        *[
            ("timestamp with time zone", v)
            for v in (
                *("294277-01-01T00:00:00", "294276-12-31T23:59:59-00:01"),
                *("4714-11-24T00:00:00+00:01 BC", "10000-01-01T24:00:00"),
            )
        ],
        *[("time without time zone", v) for v in ("10:00+02:00", "10:00Z", "24:01")],
        *[("time with time zone", v) for v in ("10:00+16:00", "24:00:00.000001")],
        ("jsonb", "a\0"),
        ("jsonb", {"a\0": 1}),
        ("jsonb", [Decimal("1e401")]),
        ("jsonb", nested(300)),
        *[
            ("text[]", v)
            for v in ([["a"], "b"], [["a"], ["b", "c"]], [[[["a"]]], [[[]]]])
        ],
        ("text[]", [[[[[[["a"]]]]]]]),
        *[("bytea", v) for v in ("x", "AP8", r"\x0", "AP8=\n", "AP-_", 1)],
        *[("hstore", v) for v in ({"a": 1}, {"a": {}}, [], 1)],
        ("geography", {"type": "Point", "coordinates": [0]}),
    ],
)
def test_nothing_is_guessed(name, raw):
    """A near miss is a miss."""
    with pytest.raises(ApiError):
        value.from_json(column(name), raw)


@pytest.mark.parametrize("name", sorted(DATATYPES))
def test_null_is_null_for_every_datatype(name):
    """JSON null is SQL's NULL."""
    assert value.from_json(column(name), None) is None


@pytest.mark.parametrize(
    ("name", "raw", "read"),
    [
        ("bigint", "7", 7),
        ("bigint", "-7", -7),
        ("numeric", 1.1, Decimal("1.1")),
        *[("numeric", v, Decimal(v)) for v in ("+1", "1.", ".5", "1E5", "-1.5e-7")],
        (
            "numeric",
            Decimal("0.10000000000000000001"),
            Decimal("0.10000000000000000001"),
        ),
        ("jsonb", [Decimal("12345678901234567890.5")], "[12345678901234567890.5]"),
        ("jsonb", r"\u0000", r'"\\u0000"'),
        ("money", Decimal("12345678901234.56"), "12345678901234.56"),
        ("date", "0001-01-01", "0001-01-01"),
        ("date", "9999-12-31", "9999-12-31"),
        ("boolean", "false", False),
        ("text[]", "", []),
        ("text[]", "a,b", ["a", "b"]),
        ("bigint[]", ["1", 2, None], [1, 2, None]),
        ("point", "point( 1  2 )", "(1.0,2.0)"),
        ("geography", "POINT(1 2)", "SRID=4326;POINT(1.0 2.0)"),
        ("mood", "glad", "glad"),
        ("interval", "1 day", "1 day"),
    ],
)
def test_forms_that_are_taken(name, raw, read):
    """Numbers as text, arrays as comma text, places as text: read, not kept."""
    assert read == value.from_json(column(name), raw)


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_places_survive(longitude, latitude):
    """A place comes back with every digit."""
    assert (longitude, latitude) == geography.read(f"POINT({longitude!r} {latitude!r})")


@given(st.floats(), st.floats())
def test_places_are_on_earth(longitude, latitude):
    """Longitude and latitude in range, or refused."""
    try:
        east, north = geography.place(longitude, latitude)
    except ValueError:
        return
    assert -180 <= east <= 180
    assert -90 <= north <= 90


@pytest.mark.parametrize(
    ("name", "cast", "listed"),
    [
        ("bigint", "$1::bigint", "$1::bigint[]"),
        ("numeric(10,3)", "$1::numeric", "$1::numeric[]"),
        ("character varying(5)", "$1::text", "$1::text[]"),
        ("citext", "$1::text::citext", "$1::text[]::citext[]"),
        ("jsonb", "$1::text::jsonb", "$1::text[]::jsonb[]"),
        ("mood", "$1::text::mood", "$1::text[]::mood[]"),
        (
            "timestamp(3) with time zone",
            "$1::text::timestamp with time zone",
            "$1::text[]::timestamp with time zone[]",
        ),
    ],
)
def test_parameters_arrive_as_their_datatype(name, cast, listed):
    """Without a length, since casting to one would cut a text silently."""
    assert (cast, listed) == (datatype(name).cast("$1"), datatype(name).cast_list("$1"))


@pytest.mark.parametrize(
    ("name", "cast"),
    [
        ("text[]", "$1::text[]"),
        ("character varying(5)[]", "$1::text[]::character varying[]"),
        ("jsonb[]", "$1::text[]::jsonb[]"),
        ("bigint[]", "$1::bigint[]"),
    ],
)
def test_arrays_arrive_as_their_datatype(name, cast):
    """An array of varchar is no array of text to PostgreSQL."""
    assert cast == datatype(name).cast("$1")
