"""Groups by units of time, in the order of what is counted."""

import pytest

from tests.acceptance.conftest import serving

CONFIG = """
config_postgres_schema = {"table": {"visit": [
    "created_by_id-bigint-0-0", "kind-text-0-0", "at-timestamptz-0-0",
    "plain-timestamp-0-0", "day-date-0-0", "minutes-integer-0-0", "timezone-text-0-0",
]}, "query": {
    "odd": 'alter table visit add column if not exists "a,b" text,'
           ' add column if not exists "n:day" text',
}}
config_table = {"visit": {"my": "owner"}}
"""
ROWS = [
    ("a", "2025-12-31T23:30Z", 10),
    ("b", "2026-01-01T10:00Z", 20),
    ("b", "2026-01-31T23:30Z", 30),
    ("b", "2026-04-01T00:00Z", 1),
    ("c", None, 2),
    ("c", None, 4),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with a table of visits."""
    with serving(tmp_path_factory.mktemp("groups"), config_groups=CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def eve(api):
    """A user with visits."""
    eve = api.person()
    rows = [
        {
            "kind": kind,
            "at": at,
            "plain": at and at.removesuffix("Z"),
            "day": at and at[:10],
            "minutes": minutes,
            "timezone": kind,
            "a,b": kind,
            "n:day": kind,
        }
        for kind, at, minutes in ROWS
    ]
    api.message("POST", "/my/object-create?table=visit", eve, json=rows)
    return eve


def read(api, eve, query):
    return api.call("GET", f"/my/object-read?table=visit&{query}", eve)


def found(api, eve, query):
    answer = read(api, eve, query)
    assert 200 == answer.status_code, answer.text
    return [tuple(row.values()) for row in answer.json()["message"]]


def test_groups_in_the_order_of_what_is_answered(api, eve):
    """Counts, sums, and groups that are equal by their columns."""
    assert [("b", 3), ("c", 2), ("a", 1)] == found(
        api, eve, "group_by=kind&order=count desc"
    )
    query = "group_by=kind&aggregate=sum(minutes),count&order=sum_minutes,count"
    assert [("c", 6, 2), ("a", 10, 1), ("b", 51, 3)] == found(api, eve, query)
    query = "group_by=kind&aggregate=max(at)&order=max_at desc nulls last,kind desc"
    assert ["b", "a", "c"] == [row[0] for row in found(api, eve, query)]
    query = "group_by=minutes&order=count&limit=2&page=2"
    assert [(4, 1), (10, 1)] == found(api, eve, query)


@pytest.mark.parametrize(
    ("unit", "groups"),
    [
        ("minute", ["2025-12-31T23:30", "2026-01-01T10:00", "2026-01-31T23:30"]),
        ("hour", ["2025-12-31T23:00", "2026-01-01T10:00", "2026-01-31T23:00"]),
        ("day", ["2025-12-31", "2026-01-01", "2026-01-31"]),
        ("week", ["2025-12-29", "2026-01-26", "2026-03-30"]),
        ("month", ["2025-12-01", "2026-01-01", "2026-04-01"]),
        ("quarter", ["2025-10-01", "2026-01-01", "2026-04-01"]),
        ("year", ["2025-01-01", "2026-01-01"]),
    ],
)
def test_units_of_time(api, eve, unit, groups):
    """Each is named after its column and itself; null is a group of its own."""
    query = f"group_by=at:{unit}&at=is,not null"
    answer = read(api, eve, query).json()["message"]
    assert {f"at_{unit}", "count"} == set(answer[0])
    assert groups == [row[f"at_{unit}"][: len(groups[0])] for row in answer][:3]
    assert (None, 2) == found(api, eve, f"group_by=at:{unit}")[-1]
    plain = found(api, eve, f"group_by=plain:{unit}&at=is,not null")
    assert groups == [row[0][: len(groups[0])] for row in plain][:3]
    if unit not in {"minute", "hour"}:
        days = found(api, eve, f"group_by=day:{unit}&at=is,not null")
        assert groups == [row[0] for row in days][:3]


def test_units_begin_where_the_time_zone_is(api, eve):
    """New year's eve in London is January in Berlin."""
    query = "group_by=at:month&at=is,not null&order=at_month"
    assert [1, 2, 1] == [row[1] for row in found(api, eve, query)]
    query += "&timezone=Europe/Berlin&aggregate=count,sum(minutes)&is_count=1"
    answer = read(api, eve, query).json()
    assert 3 == answer["count"]
    assert [
        {"at_month": "2025-12-31T23:00:00+00:00", "count": 2, "sum_minutes": 30},
        {"at_month": "2026-01-31T23:00:00+00:00", "count": 1, "sum_minutes": 30},
        {"at_month": "2026-03-31T22:00:00+00:00", "count": 1, "sum_minutes": 1},
    ] == answer["message"]
    ordered = found(api, eve, query.replace("order=at_month", "order=at:month desc"))
    assert [1, 1, 2] == [row[1] for row in ordered]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("group_by=at:mont", "minute, hour, day, week, month, quarter, year"),
        ("group_by=day:hour", "day, week, month, quarter, year"),
        ("group_by=kind:day", "does not hold times"),
        ("group_by=absent:day", "no column 'absent'"),
        ("group_by=at:day,at:day&order=minutes", "ordered by 'minutes'"),
        ("group_by=kind&order=total", "no column 'total'"),
        ("group_by=at:day&timezone=Mars/Olympus", "'timezone' takes"),
        ("group_by=at:day&at=>,2090-01-01&timezone=Mars/Olympus", "'timezone' takes"),
        ("group_by=at:day&timezone='", "'timezone' takes"),
        ("group_by=kind&timezone=UTC", "'timezone' goes with"),
        ("timezone=UTC", "'timezone' goes with"),
        ("group_by=at:day&order=count&cursor=", "'cursor' goes with"),
    ],
)
def test_what_is_refused(api, eve, query, word):
    """By name, whatever rows there are."""
    answer = read(api, eve, query)
    assert 400 == answer.status_code, answer.text
    assert word in answer.json()["message"], answer.text


def test_columns_with_separators_in_their_names(api, eve):
    """A backslash before a comma makes it part of a name; a column may be called like a
    unit or a parameter."""
    assert [("a", 1), ("b", 3), ("c", 2)] == found(api, eve, "group_by=a\\,b")
    assert [("a", 1), ("b", 3), ("c", 2)] == found(api, eve, "group_by=n:day")
    assert [("c",)] == found(api, eve, "column=a\\,b&order=a\\,b desc&limit=1")
    assert [("a",)] == found(api, eve, "column=kind&timezone==,a")
