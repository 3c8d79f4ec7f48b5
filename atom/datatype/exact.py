"""JSON read and written without losing a digit of a number.

A double keeps 15 digits, and orjson reads every fraction, and every whole number of
more than 64 bits, as a double. So a text that holds a longer number is read by the
standard library, longer numbers as `Decimal`. To look for one costs a quarter of
reading.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

DIGITS_MAX = 400
WHOLE_DIGITS = 18  # of any length up to this a whole number has less than 64 bits
# Digits and points become nines, so that finding many in a row is a search for bytes.
NINES = bytes.maketrans(b"0123456789.E", b"99999999999e")
LONG = b"9" * 16
TINY = b"9e-999"
# What those two found, unless it is part of a text or is a whole number of 64 bits.
INEXACT = re.compile(
    rb"(?:\A|[\s:,\[])-?"
    rb"(?:[0-9]{19}|(?=[0-9.]{16})[0-9]+[.eE]|[0-9][0-9.]*[eE][+-]?[0-9]{3})"
)
HUGE = re.compile(rb"[0-9][eE]\+?[0-9]{3}")


def is_inexact(text: bytes) -> bool:
    """Whether a JSON text may hold a number that a double does not keep.

    >>> is_inexact(b'{"a": 0.10000000000000000001}')
    True
    >>> is_inexact(b'{"a": 123456789012345678, "b": 0.1}')
    False
    """
    nines = text.translate(NINES)
    if LONG not in nines and TINY not in nines:
        return False
    return INEXACT.search(text) is not None


def read(text: bytes) -> Any:
    """Read JSON; a number that a double does not keep is a Decimal.

    Raises:
        ValueError: when it is not JSON, with the reason of orjson if it has one.
    """
    if is_inexact(text):
        return _read(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if HUGE.search(text) is None:
            raise
    return _read(text)


def _read(text: bytes) -> Any:
    try:
        found = _decoder.decode(text.decode())
        if b"\\u" in text:  # half of a surrogate pair is not a character
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except (RecursionError, InvalidOperation) as error:
        raise ValueError("JSON that is too deep, or a number too large") from error
    return found


def _whole(text: str) -> int | Decimal:
    if len(text) <= WHOLE_DIGITS:
        return int(text)
    number = Decimal(text)
    return int(number) if -(2**63) <= number < 2**64 else number


def _number(text: str) -> float | Decimal:
    short = float(text)
    number = Decimal(text)
    return short if Decimal(repr(short)) == number else number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_decoder = json.JSONDecoder(
    parse_int=_whole, parse_float=_number, parse_constant=_refuse
)


def write(value: Any) -> str:
    """Write JSON, every digit of a Decimal.

    Raises:
        TypeError: when it is too deep, or holds what is neither JSON nor a number of
            at most 400 digits.

    >>> write({"a": Decimal("12345678901234567890.5")})
    '{"a":12345678901234567890.5}'
    """
    return orjson.dumps(value, default=_spelt).decode()


def _spelt(value: Any) -> orjson.Fragment:
    if not isinstance(value, Decimal) or not fits(value):
        raise TypeError("not a number")
    return orjson.Fragment(str(value))


def fits(number: Decimal) -> bool:
    """Whether a number is finite and has at most 400 digits.

    An exponent may be short to write and gigabytes to send.
    """
    return (
        number.is_finite()
        and len(number.as_tuple().digits) <= DIGITS_MAX
        and abs(number.adjusted()) <= DIGITS_MAX
    )
