"""A request to the clinic, in words of neither HTTP nor SQL; and random ones."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from tests.acceptance.clinic import world

READS = ("list", "typed", "count", "group", "relation", "cursor", "single", "parents")
CREATES = ("create", "typed_create", "create_list", "many", "batch", "queue")
UPSERTS = ("merge", "ignore")
UPDATES = ("update", "typed_update", "update_list", "patch", "ids_update")
DELETES = ("ids_delete", "delete_any", "typed_delete", "delete_one")
PUBLIC = ("list", "typed", "count", "group", "relation", "cursor", "single")
BY_ADMINS = (
    *PUBLIC,
    *("create", "create_list", "update", "update_list", "ids_update", "ids_delete"),
)
WORKERS = ("desk_1", "desk_2", "desk_both", "doctor_1", "doctor_2", "doctor_desk")
RETIRED = "doctor_retired"
LIKELY = {  # who does such a thing, and to what
    READS: (world.PEOPLE, world.TABLES),
    CREATES: (
        (*WORKERS, RETIRED, "patient_1", "patient_both", "admin_1"),
        ("patient", "slot", "booking", "invoice", "note"),
    ),
    UPSERTS: (("desk_1", "desk_both", "doctor_desk"), ("slot",)),
    UPDATES: ((*WORKERS, RETIRED, "patient_both", "admin_2"), world.TABLES),
    DELETES: (
        (*WORKERS, RETIRED, "patient_1", "patient_both", "admin_1"),
        ("slot", "booking", "invoice", "note"),
    ),
}
LONG = 30  # ids drawn reach beyond every table
COLUMNS = {  # and what may be in them; a column of no one's to write, for each
    "clinic": {"id": "id", "name": "text", "city": "city", "phone": "digit"},
    "staff": {"id": "id", "clinic_id": "clinic", "user_id": "id", "role": "text"},
    "doctor": {
        "id": "id",
        "clinic_id": "clinic",
        "user_id": "id",
        "name": "text",
        "city": "city",
        "fee": "number",
        "is_listed": "flag",
    },
    "patient": {
        "id": "id",
        "clinic_id": "clinic",
        "user_id": "id",
        "name": "text",
        "phone": "digit",
        "created_by_id": "id",
    },
    "slot": {
        "id": "id",
        "clinic_id": "clinic",
        "doctor_id": "doctor",
        "starts_at": "time",
        "state": "state",
    },
    "booking": {
        "id": "id",
        "clinic_id": "clinic",
        "slot_id": "slot",
        "patient_id": "patient",
        "state": "state",
        "reason": "city",
        "is_deleted": "flag",
    },
    "invoice": {
        "id": "id",
        "clinic_id": "clinic",
        "booking_id": "id",
        "amount": "number",
        "created_by_id": "id",
    },
    "note": {
        "id": "id",
        "clinic_id": "clinic",
        "patient_id": "patient",
        "doctor_id": "doctor",
        "body": "city",
        "created_by_id": "id",
    },
}
NEEDED = {  # what a row cannot be without
    "clinic": ("name",),
    "staff": ("clinic_id", "user_id", "role"),
    "doctor": ("clinic_id", "name"),
    "patient": ("clinic_id", "name"),
    "slot": ("clinic_id", "doctor_id", "starts_at"),
    "booking": ("clinic_id", "slot_id", "patient_id"),
    "invoice": ("clinic_id",),
    "note": ("clinic_id", "patient_id", "doctor_id"),
}
WRITABLE = {  # what makes sense to send on /my; anything else is drawn now and then
    "clinic": ("city", "phone"),
    "doctor": ("city", "fee"),
    "patient": ("clinic_id", "name", "phone"),
    "slot": ("clinic_id", "doctor_id", "starts_at", "state"),
    "booking": ("state", "reason", "slot_id"),
    "invoice": ("clinic_id", "booking_id", "amount"),
    "note": ("body", "patient_id"),
}
PARENTS = {  # by table: a column that refers, and to what
    "staff": {"clinic_id": "clinic"},
    "doctor": {"clinic_id": "clinic"},
    "patient": {"clinic_id": "clinic"},
    "slot": {"clinic_id": "clinic", "doctor_id": "doctor"},
    "booking": {"clinic_id": "clinic", "slot_id": "slot", "patient_id": "patient"},
    "invoice": {"clinic_id": "clinic", "booking_id": "booking"},
    "note": {"clinic_id": "clinic", "patient_id": "patient", "doctor_id": "doctor"},
}

Filter = tuple[str, str, Any]


@dataclass(frozen=True)
class Ask:
    """A request: who, on which tier, what, and with which words."""

    who: str | None
    tier: str
    way: str
    table: str
    filters: tuple[Filter, ...] = ()
    columns: tuple[str, ...] = ()
    order: str = ""
    limit: int | None = None
    rows: tuple[dict[str, Any], ...] = ()
    ids: tuple[int, ...] = ()
    column: str = ""
    value: Any = None
    relation: tuple[str, str] | None = None  # the child table or parent column; shape
    other: str | None = None  # who the cursor comes from

    def __str__(self) -> str:
        shown = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]
        return f"Ask({', '.join(shown)})"

    def smaller(self) -> Iterator["Ask"]:
        """Yield this request with one thing less, for the smallest that still fails."""
        for name in ("filters", "columns", "rows", "ids"):
            given = getattr(self, name)
            keep = 1 if name in {"rows", "ids"} else 0
            if len(given) > keep:
                for at in range(len(given)):
                    yield replace(self, **{name: given[:at] + given[at + 1 :]})
        for at, row in enumerate(self.rows if self.way not in UPSERTS else ()):
            for key in row:
                if key != "id" and len(row) > 1 + ("id" in row):
                    less = {name: value for name, value in row.items() if name != key}
                    rows = (*self.rows[:at], less, *self.rows[at + 1 :])
                    yield replace(self, rows=rows)
        if self.order:
            yield replace(self, order="")
        if self.limit is not None and self.way != "cursor":
            yield replace(self, limit=None)


def value(random: Random, kind: str) -> Any:
    """Draw a value of a kind of column."""
    match kind:
        case "clinic":
            return random.choice(world.CLINICS)
        case "doctor":
            return random.randint(1, 7)
        case "patient":
            return random.randint(1, 9)
        case "slot":
            return random.randint(1, 18)
        case "id":
            return random.randint(1, LONG)
        case "time":
            return random.choice(world.TIMES)
        case "state":
            return random.choice(["open", "closed", "done", "lost"])
        case "city":
            return random.choice("abxyz")
        case "flag":
            return random.choice([0, 1])
        case "digit":
            return random.choice("012")
        case "number":
            return random.randint(0, 4)
        case _:
            return f"doctor {random.randint(0, 4)}"


def _filter(random: Random, table: str, *, parents: bool = True) -> Filter:
    kinds = dict(COLUMNS[table])
    name = random.choice([*kinds])
    kind = kinds[name]
    operator = random.choice(["=", "=", ">", "<=", "!=", "in", "is"])
    if parents and random.random() < 0.2 and table in PARENTS:  # through a parent
        column = random.choice([*PARENTS[table]])
        of = PARENTS[table][column]
        inner = random.choice([*COLUMNS[of]])
        name, kind = f"{column}.{inner}", COLUMNS[of][inner]
    if operator == "in":
        return name, operator, tuple(value(random, kind) for _ in range(3))
    if operator == "is":
        return name, operator, random.choice(["null", "not null"])
    return name, operator, value(random, kind)


def _row(random: Random, table: str, tier: str, *, create: bool) -> dict[str, Any]:
    kinds = COLUMNS[table]
    if create:
        names = [name for name in NEEDED[table] if random.random() < 0.93]
        names = names or [*NEEDED[table]]
        others = [name for name in kinds if name not in names and name != "id"]
        names += random.sample(others, min(len(others), random.choice([0, 0, 0, 1])))
    else:
        usual = list(WRITABLE.get(table, kinds) if tier == "my" else kinds)
        names = random.sample(usual, random.randint(1, min(2, len(usual))))
        if random.random() < 0.1:
            names.append(random.choice([*kinds]))
        names = [name for name in dict.fromkeys(names) if name != "id"] or [
            NEEDED[table][0]
        ]
    return {name: value(random, kinds.get(name, "clinic")) for name in names}


def draw(random: Random) -> Ask:
    """Draw a request."""
    if random.random() < 0.08:
        who = random.choice([None, *world.PEOPLE])
        return _filled(
            random,
            Ask(who, "public", random.choice(PUBLIC), random.choice(world.TABLES)),
        )
    ways = random.choice([READS, READS, READS, CREATES, UPDATES, DELETES, UPSERTS])
    way = random.choice(ways)
    people, tables = LIKELY[ways]
    if random.random() < 0.25:  # most of what is not likely is just refused
        people, tables = world.PEOPLE, world.TABLES
    who, table = random.choice(people), random.choice(tables)
    if ways is UPSERTS:
        table = "slot"
    if who in world.ADMINS and random.random() < 0.7 and way in BY_ADMINS:
        if way not in READS and table == "booking":
            table = "note"  # an admin may bring back what is deleted softly
        return _filled(random, Ask(who, "admin", way, table))
    return _filled(random, Ask(who, "my", way, table))


def _filled(random: Random, ask: Ask) -> Ask:
    table, tier, way = ask.table, ask.tier, ask.way
    filters = tuple(
        _filter(random, table) for _ in range(random.choice([0, 0, 0, 1, 1, 2]))
    )
    own = tuple(each for each in filters if "." not in each[0])
    ids = tuple(random.sample(range(1, LONG), random.choice([1, 1, 2, 3])))
    if way in READS:
        ask = replace(ask, filters=filters)
    match way:
        case "list" | "typed":
            columns: tuple[str, ...] = ()
            if random.random() < 0.4:
                columns = tuple(random.sample([*COLUMNS[table]], 2))
            order = random.choice(["", "", "id", "id desc"])
            return replace(
                ask, columns=columns, order=order, limit=random.choice([None, 2, 5])
            )
        case "group":
            return replace(ask, column=random.choice([*COLUMNS[table]]))
        case "relation":
            children = [name for name, has in PARENTS.items() if f"{table}_id" in has]
            shapes = [(name, shape) for name in children for shape in ("rows", "count")]
            shapes += [(column, "parent") for column in PARENTS.get(table, ())]
            return replace(ask, relation=random.choice(shapes))
        case "cursor":
            others = world.ADMINS if tier == "admin" else world.PEOPLE
            return replace(ask, other=random.choice(others), limit=2)
        case "single" | "delete_one":
            return replace(ask, ids=ids[:1], filters=())
        case "parents":
            if table not in PARENTS:
                return replace(ask, way="list")
            column = random.choice([*PARENTS[table]])
            return replace(ask, filters=(), column=column)
        case "create" | "typed_create" | "batch":
            return replace(ask, rows=(_row(random, table, tier, create=True),))
        case "create_list" | "many" | "queue":
            row = _row(random, table, tier, create=True)
            rows = [row]
            for _ in range(random.choice([1, 2, 3] if way != "queue" else [0, 1, 2])):
                kinds = COLUMNS[table]
                rows.append({name: value(random, kinds[name]) for name in row})
            return replace(ask, rows=tuple(rows[:3] if way == "many" else rows))
        case "merge" | "ignore":
            kinds = COLUMNS["slot"]
            names = NEEDED["slot"]
            rows = [
                {name: value(random, kinds[name]) for name in names}
                for _ in range(random.choice([1, 1, 2]))
            ]
            keys = {(row["doctor_id"], row["starts_at"]) for row in rows}
            return replace(
                ask, rows=tuple(rows if len(keys) == len(rows) else rows[:1])
            )
        case "update" | "typed_update" | "patch":
            row = _row(random, table, tier, create=False)
            return replace(ask, rows=({"id": ids[0], **row},))
        case "update_list":
            row = _row(random, table, tier, create=False)
            kinds = COLUMNS[table]
            rows = [
                {"id": id, **{name: value(random, kinds[name]) for name in row}}
                for id in ids
            ]
            return replace(ask, rows=tuple(rows))
        case "ids_update":
            ((column, given),) = list(_row(random, table, tier, create=False).items())[
                :1
            ]
            return replace(ask, ids=ids, column=column, value=given)
        case "ids_delete":
            return replace(ask, ids=ids)
        case _:  # delete_any, typed_delete
            drawn = _filter(random, table, parents=False)
            return replace(ask, filters=(drawn, *own))
