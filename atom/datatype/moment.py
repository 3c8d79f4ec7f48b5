"""Moments, days, and times of day."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from atom.datatype.family import ORDERED, Family

# In a query string the + of an offset arrives as a space.
LOST_PLUS = re.compile(r"(.*[T ]\d\d:\d\d.*) (\d\d(?::?\d\d)?)")
# The calendar of PostgreSQL, in years as astronomers count them: 0 is 1 BC.
ENDS = frozenset({"infinity", "-infinity"})
FIRST_DAY, LAST_DAY_YEAR, LAST_MOMENT_YEAR = (-4713, 11, 24), 5_874_897, 294_276
FAR = re.compile(r"(\d{4,7})-(\d\d-\d\d)(?:[T ]([-+:.\d]+))?( BC)?", re.ASCII)
OFFSET_MAX = timedelta(hours=16)
TRAITS = ORDERED | {"ranked", "is"}


def parse_moment(datatype: str, raw: Any) -> str:
    """Parse a moment, sent as text: the driver writes the last one as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a time")
    if raw in ENDS:
        return raw
    lost = LOST_PLUS.fullmatch(raw)
    text = f"{lost[1]}+{lost[2]}" if lost else raw
    has_offset = datatype == "timestamp with time zone"
    try:
        moment = _in_utc(text)
    except (ValueError, OverflowError):
        return _far(text, LAST_MOMENT_YEAR, "+00:00" if has_offset else "")
    if has_offset:
        return moment.isoformat()
    return moment.replace(tzinfo=None).isoformat()


def _in_utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def parse_date(datatype: str, raw: Any) -> str:
    """Parse a day, sent as text: the driver writes 9999-12-31 as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a date")
    if raw in ENDS:
        return raw
    try:
        return date.fromisoformat(raw).isoformat()
    except ValueError:
        return _far(raw, LAST_DAY_YEAR)


def _far(text: str, last_year: int, offset: str | None = None) -> str:
    """Parse what is before Christ or after the year 9999; without an offset a day.

    Every 400 years the calendar is the same, so a year near 2000 takes its place.
    """
    found = FAR.fullmatch(text)
    if found is None or (found[3] and offset is None) or not int(found[1]):
        raise ValueError("not a date")
    cycle, year = divmod(1 - int(found[1]) if found[4] else int(found[1]), 400)
    near = _in_utc(f"{2000 + year}-{found[2]}T{found[3] or '00:00'}")
    year = near.year - 2000 + 400 * cycle
    if year > last_year or (year, near.month, near.day) < FIRST_DAY:
        raise ValueError("out of range")
    clock = "" if offset is None else f"{near:T%H:%M:%S.%f}{offset}"
    digits, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{digits:04d}-{near:%m-%d}{clock}{era}"


def moment_constant(datatype: str, value: Any) -> str | None:
    """Write a declared moment; it has an offset where the datatype has one."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    placed = moment.tzinfo is not None
    return moment.isoformat(" ") if placed == ("with time" in datatype) else None


def date_constant(datatype: str, value: Any) -> str:
    """Write a declared day."""
    return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()


def parse_time(datatype: str, raw: Any) -> str:
    """Parse a time of day, sent as text: the driver has no 24:00.

    Where a column keeps an offset, none is UTC; where it does not, one is refused: a
    time of day in another place may be one of the day before.
    """
    if not isinstance(raw, str):
        raise ValueError("not a time")
    is_end = raw.startswith("24:00")
    found = time.fromisoformat("00" + raw[2:] if is_end else raw)
    if is_end and found.replace(tzinfo=None) != time.min:
        raise ValueError("after the end of the day")
    offset = found.utcoffset()
    if datatype == "time with time zone":
        if offset is None:
            found = found.replace(tzinfo=UTC)
        elif abs(offset) >= OFFSET_MAX:
            raise ValueError("an offset of more than 15:59:59")
    elif offset is not None:
        raise ValueError("an offset")
    text = found.isoformat()
    return "24" + text[2:] if is_end else text


def describe_time(datatype: str) -> str:
    """Return what a datatype takes, in words."""
    if datatype == "time with time zone":
        return "a time such as 12:00:00"
    return "a time without an offset such as 12:00:00"


CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
# PostgreSQL takes none further away than 15:59.
OFFSET = r"[+-](?:0\d|1[0-5])(?::?[0-5]\d)?"
DAY = r"\d{4}-\d\d-\d\d"

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
    takes=describe_time,
    parse=parse_time,
    traits=TRAITS,
    sends_text=True,
    declared=dict.fromkeys(TIMES, INDEXES),
    also={"timetz": "time with time zone", "time": "time without time zone"},
    sizes=dict.fromkeys(TIMES, PRECISION),
    plain=dict.fromkeys(TIMES, CLOCK),
    schema={"type": "string"},
    example="10:00:00",
    filter_example=">,08:00",
)
