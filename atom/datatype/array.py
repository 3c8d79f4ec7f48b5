"""Arrays: lists of items that another datatype parses."""

from atom.datatype.family import EQUAL, Family

ARRAY = Family(
    "array",
    (),
    takes=lambda _: "a list",
    parse=None,  # value.py parses the items
    traits=EQUAL | {"array", "sorted", "is"},
)
