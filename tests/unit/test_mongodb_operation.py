"""Upserts as data, without a server: keys, names, duplicates, chunks."""

from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128

from atom.client.mongodb import unique_indexes
from atom.errors import ApiError, TooLarge
from atom.mongodb import write
from atom.mongodb.document import storable
from atom.mongodb.operation import build

BY_EMAIL = {"key_fields": "email"}


def lowered(row):
    """Return the key of a person."""
    return {"email": row["email"].strip().lower()}


def test_a_key_finds_and_the_rest_is_set():
    """The key is never a `$set`, and an operator never a value."""
    rows = [{"org": 1, "code": "a", "name": "x", "_id": 7}]
    [upsert] = build(rows, key_fields=["org", "code"])

    assert {"org": {"$eq": 1}, "code": {"$eq": "a"}} == upsert.filter
    assert {"$set": {"name": "x"}, "$setOnInsert": {"org": 1, "code": "a"}} == (
        upsert.update
    )


def test_the_value_of_key_func_is_stored():
    """Not the row's, which would not be found again."""
    [upsert] = build([{"email": "  A@X.com  ", "n": 1}], key_func=lowered)

    assert {"$set": {"n": 1}, "$setOnInsert": {"email": "a@x.com"}} == upsert.update


def test_a_row_wins_over_set_on_insert():
    """MongoDB refuses one field in both."""
    more = {"n": 0, "email": "other", "created": "now", "_id": 3}
    [upsert] = build([{"email": "a", "n": 1}], **BY_EMAIL, set_on_insert=more)

    assert {"n": 1} == upsert.update["$set"]
    assert {"created": "now", "email": "a"} == upsert.update["$setOnInsert"]


def test_of_duplicates_the_last_wins():
    """One operation a key: unordered ones are written in any order."""
    rows = [{"email": "a", "n": 1, "m": 1}, {"email": "b"}, {"email": "a", "n": 2}]
    first, second = build(rows, **BY_EMAIL)

    assert ({"n": 2, "m": 1}, {}) == (first.fields, second.fields)
    assert "$set" not in second.update


def test_true_is_not_one():
    """They are equal in Python, and not in MongoDB; 1 and 1.0 are in both."""
    assert 2 == len(build([{"k": 1}, {"k": True}, {"k": 1.0}], key_fields=["k"]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"n": 1}, "Missing key field 'email' in document"),
        ({"email": None}, "Null key field 'email' in document"),
        ({"email": {"$gt": ""}}, "Key field 'email' in document is not a single value"),
        ({"email": ["a"]}, "Key field 'email' in document is not a single value"),
        ("a", "A row is not an object."),
        ({"email": "a", "$where": "1"}, "Field name '$where'"),
        ({"email": "a", "n": {"$inc": 1}}, "Field name '$inc'"),
        ({"email": "a", "n": [{"x": {"$ne": 1}}]}, "Field name '$ne'"),
        ({"email": "a", "b.c": 1}, "Field name 'b.c' holds a '.'"),
        ({"email": "a", "b\0": 1}, "Field name 'b\0'"),
        ({"email": "a", 3: 1}, "The name of a field is text, not int."),
        ({"email": "a", "n": 2**63}, "Field 'n' holds a value of type int"),
        ({"email": "a", "n": object()}, "Field 'n' holds a value of type object"),
    ],
)
def test_a_fault_names_field_and_row(row, message):
    """All is found before anything is sent."""
    with pytest.raises(ApiError) as raised:
        build([{"email": "z"}, row], **BY_EMAIL)

    assert raised.value.message.startswith(message)
    assert 1 == raised.value.position


def test_key_func_without_its_field():
    """As any other key."""
    with pytest.raises(ApiError, match="^Missing key field 'email' in document$"):
        build([{"n": 1}], key_func=lowered)
    with pytest.raises(ApiError, match="^Null key field 'k' in document$"):
        build([{"n": 1}], key_func=lambda row: {"k": row.get("k")})


def test_one_kind_of_key():
    """Neither and both are faults of the program."""
    for wrong in ({}, {"key_fields": ["a"], "key_func": lowered}):
        with pytest.raises(TypeError, match="key_fields or key_func"):
            build([{"a": 1}], **wrong)


def test_numbers_keep_their_digits():
    """A Decimal is what a number of JSON is that a double does not keep."""
    document, _ = storable({"n": Decimal("0.10000000000000000001"), "m": [Decimal(1)]})

    assert {
        "n": Decimal128("0.10000000000000000001"),
        "m": [Decimal128("1")],
    } == document


def test_size_and_depth_are_bounded():
    """As MongoDB bounds them; a cycle ends too."""
    cycle = {}
    cycle["again"] = cycle

    with pytest.raises(TooLarge):
        storable({"text": "x" * 2**24})
    with pytest.raises(ApiError, match="nested too deeply"):
        storable(cycle)


def test_chunks_are_bounded_by_number_and_by_bytes():
    """Nothing is lost between them."""
    rows = [{"k": number, "text": "x" * 2**20} for number in range(20)]
    upserts = build(rows, key_fields=["k"])
    by_bytes = list(write.chunks(upserts, 1000))

    assert [4] * 5 == [len(chunk) for chunk in write.chunks(upserts, 4)]
    assert upserts == [each for chunk in by_bytes for each in chunk]
    assert 8 > max(map(len, by_bytes)) > 5


def test_indexes_are_checked_before_the_start():
    """A typing error is a problem of config."""
    declared = {"shop": {"user": ["email", ["org", "code"]]}}

    assert {"shop": {"user": (("email",), ("org", "code"))}} == unique_indexes(declared)
    for wrong in ("x", {"shop": []}, {"shop": {"user": "email"}}, {"s": {"u": [[]]}}):
        with pytest.raises(ValueError):
            unique_indexes(wrong)
