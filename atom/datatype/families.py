"""The families of datatypes, a name for each file that declares them."""

from atom.datatype.array import ARRAY
from atom.datatype.binary import BYTES
from atom.datatype.boolean import BOOLEAN
from atom.datatype.hstore import HSTORE
from atom.datatype.json import JSON
from atom.datatype.moment import DATE, MOMENT, TIME
from atom.datatype.number import FLOAT, INTEGER, NUMBER
from atom.datatype.other import OTHER
from atom.datatype.place import GEOGRAPHY, POINT
from atom.datatype.text import TEXT
from atom.datatype.uuids import UUID

FAMILIES = (
    *(INTEGER, NUMBER, FLOAT),
    TEXT,
    BOOLEAN,
    *(MOMENT, DATE, TIME),
    UUID,
    *(JSON, HSTORE),
    *(POINT, GEOGRAPHY),
    BYTES,
    ARRAY,
    OTHER,  # every datatype that no other family names
)
BY_NAME = {family.name: family for family in FAMILIES}

DECLARED = {name: how for each in FAMILIES for name, how in each.declared.items()}
ALSO = {name: whole for each in FAMILIES for name, whole in each.also.items()}
SIZES = {name: sizes for each in FAMILIES for name, sizes in each.sizes.items()}
FUNCTIONS = frozenset(name for each in FAMILIES for name in each.functions)
EXTENSIONS = {name: by for each in FAMILIES for name, by in each.extensions.items()}


def having(trait: str) -> frozenset[str]:
    """Return the names of the families that have a trait."""
    return frozenset(family.name for family in FAMILIES if trait in family.traits)
