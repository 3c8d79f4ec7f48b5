"""Moments, days, and times of day."""

import re
from datetime import UTC, date, datetime, time
from typing import Any

from atom.datatype.family import ORDERED, Family

# In a query string the + of an offset arrives as a space.
LOST_PLUS = re.compile(r"(.*[T ]\d\d:\d\d.*) (\d\d(?::?\d\d)?)")
TRAITS = ORDERED | {"ranked", "is"}


def parse_moment(datatype: str, raw: Any) -> str:
    """Parse a moment, sent as text: the driver writes the last one as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a time")
    lost = LOST_PLUS.fullmatch(raw)
    moment = datetime.fromisoformat(f"{lost[1]}+{lost[2]}" if lost else raw)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    if datatype == "timestamp with time zone":
        return moment.isoformat()
    return moment.replace(tzinfo=None).isoformat()


def parse_date(datatype: str, raw: Any) -> str:
    """Parse a day, sent as text: the driver writes 9999-12-31 as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a date")
    return date.fromisoformat(raw).isoformat()


def moment_constant(datatype: str, value: Any) -> str | None:
    """Write a declared moment; it has an offset where the datatype has one."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    placed = moment.tzinfo is not None
    return moment.isoformat(" ") if placed == ("with time" in datatype) else None


def date_constant(datatype: str, value: Any) -> str:
    """Write a declared day."""
    return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()


def parse_time(datatype: str, raw: Any) -> time:
    """Parse a time of day; without an offset it is UTC."""
    if not isinstance(raw, str):
        raise ValueError("not a time")
    found = time.fromisoformat(raw)
    if datatype == "time without time zone":
        return found.replace(tzinfo=None)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
# PostgreSQL takes none further away than 15:59.
OFFSET = r"[+-](?:0\d|1[0-5])(?::?[0-5]\d)?"
DAY = r"\d{4}-\d\d-\d\d"
LATER = r"(?:[T ][\d:.+-]+)?"
NO_END = rf"-?infinity|\d{{5,6}}-\d\d-\d\d{LATER}|\d{{4}}-\d\d-\d\d{LATER} BC"

INDEXES = "btree hash brin"
PRECISION = ((0, 6),)
MOMENTS = ("timestamp with time zone", "timestamp without time zone")
TIMES = ("time with time zone", "time without time zone")
MOMENT = Family(
    "moment",
    MOMENTS,
    takes=lambda _: "an ISO 8601 time such as 2026-01-31T12:00:00Z",
    parse=parse_moment,
    traits=TRAITS,
    sends_text=True,
    declared=dict.fromkeys(MOMENTS, INDEXES),
    also={
        "timestamptz": "timestamp with time zone",
        "timestamp": "timestamp without time zone",
    },
    sizes=dict.fromkeys(MOMENTS, PRECISION),
    plain={
        # Of the calendar's ends an offset may lead beyond it.
        MOMENTS[0]: rf"(?!0001|9999){DAY}[T ]{CLOCK}(?:Z|{OFFSET})?",
        # PostgreSQL would pass over an offset here.
        MOMENTS[1]: rf"{DAY}[T ]{CLOCK}",
    },
    exported=NO_END,
    constant=moment_constant,
    shown=lambda _, text: datetime.fromisoformat(text),
    functions=("now()", "clock_timestamp()", "current_date"),
    schema={"type": "string"},
    formats={"timestamp with time zone": "date-time"},
    example="2026-01-31T10:00:00+00:00",
    filter_example=">,2020-01-01",
)
DATE = Family(
    "date",
    ("date",),
    takes=lambda _: "a date such as 2026-01-31",
    parse=parse_date,
    traits=TRAITS,
    sends_text=True,
    declared={"date": INDEXES},
    plain={"date": DAY},
    exported=NO_END,
    constant=date_constant,
    shown=lambda _, text: date.fromisoformat(text),
    functions=("now()", "current_date"),
    schema={"type": "string", "format": "date"},
    example="2026-01-31",
    filter_example=">,2020-01-01",
)
TIME = Family(
    "time",
    TIMES,
    takes=lambda _: "a time such as 12:00:00",
    parse=parse_time,
    traits=TRAITS,
    declared=dict.fromkeys(TIMES, INDEXES),
    also={"timetz": "time with time zone", "time": "time without time zone"},
    sizes=dict.fromkeys(TIMES, PRECISION),
    plain=dict.fromkeys(TIMES, CLOCK),
    exported=rf"24:00:00(?:{OFFSET})?",
    schema={"type": "string"},
    example="10:00:00",
    filter_example=">,08:00",
)
