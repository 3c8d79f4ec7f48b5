"""Row routes as each table has them: typed by the catalog, `/my/rows/test` and so on.

`/my/rows/{table}` is `/my/object-…?table={table}` under another path: same
code, same policy. OpenAPI cannot type a route by one of its parameters, so these
paths are written out, one for each table a tier reaches.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from atom.datatype.datatype import PLACES
from atom.errors import ApiError
from atom.openapi import file, shape
from atom.openapi.route import EXTRA, success
from atom.postgres.catalog import Catalog, LiveColumn, Table
from atom.reply import JSON
from atom.row.payload import is_given
from atom.row.sql.query_string import FIXED
from atom.row.sql.statement import OWNER

if TYPE_CHECKING:
    from atom.row.scope import RowConfig, RowScope

# verb: method, what it is an action of
VERBS = {
    "read": ("get", "object-read"),
    "create": ("post", "object-create"),
    "update": ("put", "object-update"),
    "delete": ("delete", "object-delete-any"),
}
# of one row: method, the route with its policy, what it needs
ONE = {
    "read_one": ("get", "object-read", "read"),
    "change": ("patch", "object-update", "update"),
    "delete_one": ("delete", "ids-delete", "delete"),
}
WORD = re.compile(r"[A-Za-z0-9_]+")
REF = "#/components/"
# What a route of one row takes of the parameters of the other.
WITH = {
    "read_one": {"column", "creator_key", "relation", "deleted", "Prefer"},
    "change": {"return"},
    "stream": {"column", "Prefer"},
}
EXAMPLE_COLUMNS = 3
OWNERS = {"public": "public", "my": "my", "admin": "anyone's"}
CALLERS = {"public": "Anyone", "my": "A user, own rows", "admin": "An admin, all rows"}
STREAM = "text/event-stream"
EVENTS = """
Events, as `EventSource` reads them: `ready` (from here on nothing is missed), `row` (as
it is read), `delete` (its key), `reset` (read the rows again), and at last `end` with
the code of the reason. Each part has an `id`, the position after it.
"""
EXAMPLE = (
    'event: ready\ndata: {}\n\nid: 868\n\nevent: row\ndata: {"id":1}\n\nid: 870\n\n'
)
LAST = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The last `id` that came: what has changed since is sent first.",
    "schema": {"type": "string", "examples": ["868"]},
}
LEFT_OUT = {"table", "filter", "otp"}  # in the path; one a column; of users alone


def expanded(
    plain: dict[str, Any],
    catalog: Catalog,
    rules: "RowConfig",
    streamed: Collection[str] = (),
) -> dict[str, Any]:
    """Return a document with the typed paths of every table that some tier reaches.

    `streamed` names the tables that may be followed.
    """
    components = {kind: dict(parts) for kind, parts in plain["components"].items()}
    components["schemas"]["Point"] = shape.POINT
    paths = dict(plain["paths"])
    tags = list(plain.get("tags", ()))
    taken = {one["operationId"] for each in paths.values() for one in each.values()}
    for name in sorted(name for name in catalog.tables if "/" not in name):
        texts = []
        for scope in (rules.public(), rules.my(0), rules.admin(0)):
            place = _Place(components, scope, catalog, name)
            typed = dict(_operations(place, catalog, paths, taken))
            if typed:
                path = f"/{scope.tier}/rows/{quote(name, safe='')}"
                paths[path] = typed
                if one := dict(_on_one(place, catalog, paths, taken)):
                    paths[path + "/{id}"] = one
                for column in rules.policy.files.get(name, ()) if "get" in one else ():
                    if column in place.view.columns:
                        linked = file.operation(one["get"], column)
                        paths[f"{path}/{{id}}/file/{column}"] = {"get": linked}
                if name in streamed and "get" in typed and place.shows_key:
                    written = _stream(place, typed["get"], paths)
                    paths[path + "/stream"] = {"get": written}
                verbs = [verb for verb, (how, _) in VERBS.items() if how in typed]
                texts.append(f"{CALLERS[scope.tier]}: {', '.join(verbs)}.")
        if texts:
            about = f"Rows of {name}. {' '.join(texts)}"
            tags.append({"name": f"Table {name}", "description": about})
    return {**plain, "paths": paths, "components": components, "tags": tags}


def _operations(
    place: "_Place", catalog: Catalog, paths: dict[str, Any], taken: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield method and operation of each thing a tier may do with a table."""
    for verb, (method, action) in VERBS.items():
        original = paths.get(f"/{place.tier}/{action}", {})
        if method in original and _is_open(place.scope, catalog, place.name, verb):
            written = _operation(place, verb, original[method])
            if written["operationId"] in taken:  # a drop-in's function is called so
                written["operationId"] += "_typed"
            yield method, written


def _on_one(
    place: "_Place", catalog: Catalog, paths: dict[str, Any], taken: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield method and operation of what a tier may do with one row by its key."""
    for verb, (method, action, needs) in ONE.items():
        methods = paths.get(f"/{place.tier}/{action}", {})
        original = methods.get(method) or methods.get("put")
        if place.tier == "public":  # where many rows are neither changed nor deleted
            original = paths.get("/public/object-read", {}).get("get")
        if original and _is_open(place.scope, catalog, place.name, needs):
            written = _one(place, verb, original)
            if written["operationId"] in taken:
                written["operationId"] += "_typed"
            yield method, written


def _one(place: "_Place", verb: str, original: dict[str, Any]) -> dict[str, Any]:
    """Write one operation on one row."""
    word_of = verb.removesuffix("_one").capitalize()
    key = shape.request_schema(replace(place.key, not_null=True))
    path = {"name": "id", "in": "path", "required": True, "schema": key}
    path["description"] = f"Its {place.key.name}."
    written: dict[str, Any] = {
        "tags": [f"Table {place.name}"],
        "summary": f"{word_of} one row of {place.name} by its {place.key.name}",
        "operationId": f"{place.tier}_{word(place.name)}_{verb}",
        "parameters": [path],
        "responses": dict(original["responses"]),
    }
    if "security" in original:
        written["security"] = original["security"]
    if verb == "read_one":
        written["parameters"] += list(_parameters(place, verb, original))
        written["responses"]["200"] = success(place.row())
    elif verb == "change":
        written["parameters"] += list(_parameters(place, verb, original))
        written["responses"]["200"] = success({"anyOf": [key, place.row()]})
        body = {"schema": _body(place, "change")}
        written["requestBody"] = {"required": True, "content": {JSON: body}}
    else:
        written["responses"]["200"] = success({"const": 1})
    return written


def _stream(
    place: "_Place", read: dict[str, Any], paths: dict[str, Any]
) -> dict[str, Any]:
    """Write the operation that follows the rows that a tier reads."""
    original = paths[f"/{place.tier}/object-read"]["get"]
    events = {"schema": {"type": "string"}, "examples": {"row": {"value": EXAMPLE}}}
    written = {
        **read,
        "summary": f"Follow {OWNERS[place.tier]} rows of {place.name}",
        "description": f"{EVENTS.strip()}\n\nThe data of `row` is as in the answer of"
        f" `/{place.tier}/rows/{place.name}`.",
        "operationId": f"{place.tier}_{word(place.name)}_stream",
        "parameters": [
            *_parameters(place, "stream", original),
            place.keep("parameters", "stream-Last-Event-ID", LAST),
        ],
    }
    answers: dict[str, Any] = {
        **read["responses"],
        "200": {"description": "Changes.", "content": {STREAM: events}},
        "429": {"$ref": f"{REF}responses/Failure429"},
    }
    return {**written, "responses": dict(sorted(answers.items()))}


def _is_open(scope: "RowScope", catalog: Catalog, name: str, verb: str) -> bool:
    try:
        if verb == "read":
            scope.readable(catalog, name)
        elif verb == "create":
            scope.creatable(catalog, name)
        else:
            scope.changeable(catalog, name, verb)
    except ApiError:
        return False
    return verb != "create" or not _lacks(scope, catalog, name)


def _lacks(scope: "RowScope", catalog: Catalog, name: str) -> bool:
    """Whether rows need a column that is not shown, because it is secret."""
    view = scope.visible_columns(catalog, name)
    return any(
        column.not_null and column.default is None and column.name not in view.columns
        for column in catalog.table(name).columns.values()
    )


def word(name: str) -> str:
    """Return a name that can stand in a component's name; two never become one.

    >>> word("report_user")
    'report_user'
    """
    if WORD.fullmatch(name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"{plain}_{blake2b(name.encode(), digest_size=4).hexdigest()}"


class _Place:
    """One table on one tier, and the components it puts its parts into."""

    def __init__(
        self, components: dict[str, Any], scope: "RowScope", catalog: Catalog, name: str
    ) -> None:
        self.components = components
        self.scope = scope
        self.tier = scope.tier
        self.name = name
        self.table = catalog.table(name)
        self.view: Table = scope.visible_columns(catalog, name)
        self.key = self.table.columns.get(self.table.key) or LiveColumn("id", "bigint")

    @property
    def shows_key(self) -> bool:
        """Whether the tier reads the key of a row."""
        return self.table.key in self.view.columns

    def keep(self, kind: str, name: str, part: dict[str, Any]) -> dict[str, Any]:
        """Put a part among the components. Return the reference to it."""
        self.components.setdefault(kind, {})[name] = part
        return {"$ref": f"{REF}{kind}/{name}"}

    def shown(self, column: LiveColumn) -> dict[str, Any]:
        """Describe a column as it is read, and whether no tier can write it."""
        read = shape.response_schema(column)
        read = file.described(read, self.scope.rules, self.name, column.name)
        admin = self.scope.rules.admin(0)
        if any(self._takes(admin, column, create=way) for way in (True, False)):
            return read
        return {**read, "readOnly": True}

    def row(self) -> dict[str, Any]:
        """Describe a row as it is read. Return the reference to it."""
        called = f"{word(self.name)}_row"
        if called in self.components["schemas"]:  # by a tier before: all see the same
            return {"$ref": f"{REF}schemas/{called}"}
        columns = self.view.columns.values()
        schema = {
            "type": "object",
            "description": f"A row of {self.name}. `column=` leaves out what is not"
            " named; options of a read add their fields.",
            "properties": {each.name: self.shown(each) for each in columns},
        }
        return self.keep("schemas", called, schema)

    def suits(self, parameter: str) -> bool:
        """Whether the table has what a parameter of reads is about."""
        if parameter == "creator_key":
            return OWNER in self.table.columns
        if parameter == "location_filter":
            kinds = (each.kind for each in self.view.columns.values())
            return any(kind.family in PLACES for kind in kinds)
        if parameter == "deleted":
            marked = self.scope.rules.policy.declared.soft_delete
            return self.tier == "admin" and self.name in marked
        return True

    def writable(self, *, create: bool) -> Iterator[LiveColumn]:
        """Yield the columns this tier may write, but secret ones."""
        for column in self.table.columns.values():
            is_secret = column.name.casefold() in self.scope.rules.secret
            if not is_secret and self._takes(self.scope, column, create=create):
                yield column

    def _takes(self, scope: "RowScope", column: LiveColumn, *, create: bool) -> bool:
        if column.generated:
            return False
        if column.name == self.table.key:
            return create and is_given(self.table)
        return scope.sends(self.name, column.name, create=create)


def _operation(place: _Place, verb: str, original: dict[str, Any]) -> dict[str, Any]:
    """Write one operation: as the original, with this table's types."""
    written: dict[str, Any] = {
        "tags": [f"Table {place.name}"],
        "summary": f"{verb.capitalize()} {OWNERS[place.tier]} rows of {place.name}",
        "description": f"{original.get('summary', '')}.\n\nThe same as"
        f" `/{place.tier}/{VERBS[verb][1]}?table={place.name}`.",
        "operationId": f"{place.tier}_{word(place.name)}_{verb}",
        "parameters": list(_parameters(place, verb, original)),
        "responses": dict(original["responses"]),
    }
    if "security" in original:
        written["security"] = original["security"]
    if verb == "read":
        written["responses"]["200"] = _rows(place)
    if verb in {"create", "update"}:
        key = shape.request_schema(replace(place.key, not_null=True))
        some = [{"type": "array", "items": each} for each in (key, place.row())]
        written["responses"]["200"] = success({"anyOf": [key, place.row(), *some]})
        one = _body(place, verb)
        many = {"type": "array", "items": one, "minItems": 1}
        written["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": {"oneOf": [one, many]}}},
        }
    return written


def _parameters(
    place: _Place, verb: str, original: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the route, and one for each column that filters."""
    for parameter in original.get("parameters", ()):
        if verb in WITH and parameter["name"] not in WITH[verb]:
            continue
        if parameter["name"] not in LEFT_OUT and place.suits(parameter["name"]):
            yield place.keep("parameters", f"{verb}-{parameter['name']}", parameter)
    if verb not in {"read", "delete", "stream"}:
        return
    for column in place.view.columns.values():
        if column.name in FIXED or column.name == "or":
            continue  # the grammar's own word wins
        kind = column.kind.name.replace(" ", "_").replace("[]", "_array")
        # Tables share the filters of columns that are alike: there may be thousands.
        name = f"{word(column.name)}.{word(kind)}"
        if name not in place.components.setdefault("parameters", {}):
            place.keep("parameters", name, shape.filtered(column))
        yield {"$ref": f"{REF}parameters/{name}"}


def _rows(place: _Place) -> dict[str, Any]:
    """Describe the answer to a read: rows, and the fields next to them."""
    response = success({"type": "array", "items": place.row()}, EXTRA)
    content: dict[str, Any] = response["content"][JSON]
    called = f"{word(place.name)}_rows"
    content["schema"] = place.keep("schemas", called, content["schema"])
    return response


def _body(place: _Place, kind: str) -> dict[str, Any]:
    """Describe a row as it is written; an admin may write more, so has its own."""
    create = kind == "create"
    columns = list(place.writable(create=create))
    rules, name = place.scope.rules, place.name
    properties = {
        each.name: file.described(shape.request_schema(each), rules, name, each.name)
        for each in columns
    }
    required = [
        each.name for each in columns if create and each.not_null and not each.default
    ]
    key = place.key
    if kind == "update":
        schema = shape.request_schema(replace(key, not_null=True))
        properties = {key.name: schema, **properties}
        required = [key.name]
    body: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        body["required"] = required
    if place.tier != "admin":
        body["additionalProperties"] = False
    body["minProperties"] = 2 if kind == "update" else 1
    if kind == "update":
        columns = [key, *columns]
    body["examples"] = [_example(columns, required)]
    prefix = "" if place.tier == "my" else f"{place.tier}_"
    return place.keep("schemas", f"{prefix}{word(place.name)}_{kind}", body)


def _example(columns: list[LiveColumn], required: list[str]) -> dict[str, Any]:
    """Write a row as it might be: what is mandatory, then texts, flags at the end."""
    found = {each.name: shape.example(each) for each in columns}
    chosen = {name: found[name] for name in required if name in found}
    ranked = sorted(
        found, key=lambda name: (name.startswith("is_"), not _is_text(found[name]))
    )
    for name in ranked:
        if len(chosen) < EXAMPLE_COLUMNS and found[name] is not None:
            chosen.setdefault(name, found[name])
    return chosen


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
