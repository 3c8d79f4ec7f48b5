"""Whole numbers, exact numbers, and floating-point numbers."""

import re
import struct
from decimal import Decimal, localcontext
from math import inf, isfinite
from typing import Any

from atom.datatype import exact
from atom.datatype.family import ORDERED, Family, Limit

INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
# From the first on a number becomes infinity, up to the second zero.
FLOATS = {"real": (2.0**128 - 2.0**103, 2.0**-150), "double precision": (inf, 0.0)}
WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
# As PostgreSQL reads them; Python takes 1_000 and the digits of every script.
DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
SIZED = re.compile(r"numeric\((\d+),(-?\d+)\)")
INDEXES = "btree hash brin"
PLAIN = r"[+-]?\d{1,300}(?:\.\d{1,300})?"
NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})  # as PostgreSQL writes them
TRAITS = ORDERED | {"summed", "ranked", "is"}


def parse_integer(datatype: str, raw: Any) -> int:
    """Parse a whole number in the range of its datatype."""
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError("not a whole number")
    if isinstance(raw, str) and not WHOLE.fullmatch(raw):
        raise ValueError("not a whole number")
    number, bound = int(raw), INTEGERS[datatype]
    if not -bound <= number < bound:
        raise ValueError("out of range")
    return number


def parse_number(datatype: str, raw: Any) -> Decimal:
    """Parse a number, every digit of it, or NaN or an infinity."""
    if isinstance(raw, str):
        if raw in NOT_FINITE:
            return Decimal(raw)
        if len(raw) > exact.DIGITS_MAX or not DECIMAL.fullmatch(raw):
            raise ValueError("not a number")
        number = Decimal(raw)
        if abs(number.adjusted()) > exact.DIGITS_MAX:
            raise ValueError("out of range")
        return number
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)):
        raise ValueError("not a number")
    number = raw if isinstance(raw, Decimal) else Decimal(str(raw))
    if type(raw) is float and isfinite(raw):
        return number
    if not exact.fits(number):
        raise ValueError("out of range")
    return number


def parse_float(datatype: str, raw: Any) -> float:
    """Parse a number that its datatype does not turn into infinity or zero."""
    if isinstance(raw, str) and raw in NOT_FINITE:
        return float(raw)
    given = raw if type(raw) is float else parse_number(datatype, raw)
    number, (most, least) = float(given), FLOATS[datatype]
    if not abs(number) < most:
        raise ValueError("out of range")
    if abs(number) <= least and given:
        raise ValueError("too near to zero")
    return number


def _is_number(value: Any, *types: type) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


def integer_constant(datatype: str, value: Any) -> str | None:
    """Write a declared whole number."""
    edge = INTEGERS[datatype]
    return str(value) if _is_number(value, int) and -edge <= value < edge else None


def number_constant(datatype: str, value: Any) -> str | None:
    """Write a declared number, every digit of it."""
    if not _is_number(value, int, float, Decimal, str):
        return None
    number = Decimal(str(value))
    return f"{number:f}" if number.is_finite() else None


def float_constant(datatype: str, value: Any) -> str | None:
    """Write a declared floating-point number."""
    plain = _is_number(value, int, float) and isfinite(value)
    return repr(float(value)) if plain else None


def shown_float(datatype: str, text: str) -> float | bytes:
    """Return what a column keeps of a number."""
    number = float(text)
    return struct.pack("f", number) if datatype == "real" else number


def describe_integer(datatype: str) -> str:
    """Return the range of a whole number, in words."""
    bound = INTEGERS[datatype]
    return f"a whole number from {-bound} to {bound - 1}"


def limit(datatype: str) -> Limit | None:
    """Return the largest number a column of some precision accepts."""
    if (found := SIZED.fullmatch(datatype)) is None:
        return None
    digits, scale = int(found[1]), int(found[2])
    bound = Decimal(10) ** (digits - scale)
    with localcontext(prec=2100):  # PostgreSQL's own maximum is 1000 digits
        # From here on it is rounded up to a number of one more digit.
        least = bound - Decimal(5).scaleb(-scale - 1)
    return (
        lambda v: v.is_nan() or v.copy_abs() < least
    ), f"numbers smaller than {bound:f}"


INTEGER = Family(
    "integer",
    tuple(INTEGERS),
    takes=describe_integer,
    parse=parse_integer,
    traits=TRAITS,
    declared=dict.fromkeys(INTEGERS, INDEXES),
    also={"int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint"},
    plain=dict.fromkeys(INTEGERS, r"[+-]?\d{1,19}"),
    constant=integer_constant,
    shown=lambda _, text: Decimal(text),
    schema={"type": "integer"},
    formats={"smallint": "int32", "integer": "int32", "bigint": "int64"},
    example=1,
    filter_example=">,0",
)
NUMBER = Family(
    "number",
    ("numeric",),
    takes=lambda _: "a number such as 4.5",
    parse=parse_number,
    traits=TRAITS,
    limit=limit,
    declared={"numeric": INDEXES},
    also={"decimal": "numeric", "dec": "numeric"},
    sizes={"numeric": ((1, 1000), (0, 1000))},
    plain={"numeric": PLAIN},
    constant=number_constant,
    shown=lambda _, text: Decimal(text),
    schema={"type": "number"},
    example=1.5,
    filter_example=">,0",
)
FLOAT = Family(
    "float",
    tuple(FLOATS),
    takes=lambda _: "a number such as 4.5",
    parse=parse_float,
    traits=TRAITS,
    declared=dict.fromkeys(FLOATS, INDEXES),
    also={
        "float4": "real",
        "float": "double precision",
        "float8": "double precision",
    },
    # Longer ones of `real` PostgreSQL rounds once, where the driver rounds twice.
    plain={"real": r"[+-]?\d{1,8}(?:\.\d{1,7})?", "double precision": PLAIN},
    constant=float_constant,
    shown=shown_float,
    schema={"type": "number"},
    example=1.5,
    filter_example=">,0",
)
