"""One way to find the rows that are refused among many."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.postgres.bisect import first_refused, in_halves


class Refused(Exception):
    """What the table says of a bad row."""


BAD = st.sets(st.integers(1, 40))


def about_a_row(error):
    return isinstance(error, Refused)


@given(BAD, st.integers(1, 40))
def test_each_bad_one_is_found_and_the_others_are_written(bad, count):
    """In their order, each once."""
    written = []

    async def write(part):
        if bad & set(part):
            raise Refused
        written.extend(part)

    items = list(range(1, count + 1))
    refused = asyncio.run(in_halves(items, write, about_a_row))

    assert sorted(bad & set(items)) == [one for (one,), _ in refused]
    assert [each for each in items if each not in bad] == written


def test_too_many_failures_refuse_the_rest_in_parts():
    """A table that refuses everything costs a bounded number of statements."""
    calls = []

    async def write(part):
        calls.append(len(part))
        raise Refused

    refused = asyncio.run(in_halves(list(range(1000)), write, about_a_row, 20))

    assert 1000 == sum(len(part) for part, _ in refused)
    assert len(calls) < 40


def test_an_error_that_is_not_about_a_row_keeps_its_part_whole():
    """Or ends everything, when the judge raises it."""

    async def write(part):
        raise ConnectionError

    (refused,) = asyncio.run(in_halves([1, 2, 3], write, about_a_row))
    assert [1, 2, 3] == refused[0]

    def judge(error):
        raise error

    with pytest.raises(ConnectionError):
        asyncio.run(in_halves([1, 2], write, judge))


@given(BAD, st.integers(1, 40))
def test_the_first_bad_one_is_found(bad, count):
    """None where there is none; what comes before it has been written, in order."""
    written = []

    async def write(first, last):
        part = range(first, last + 1)
        if bad & set(part):
            raise Refused
        written.extend(part)

    found = asyncio.run(first_refused(count, write, about_a_row))
    there = [each for each in range(1, count + 1) if each in bad]

    assert (there[0] if there else None) == (found and found[0])
    assert list(range(1, there[0] if there else count + 1)) == written
