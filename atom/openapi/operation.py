"""Each route in /openapi.json: who may call it, its refusals, its name."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from atom.openapi.route import REASONS, REFUSAL
from atom.own_code import OWN
from atom.reply import JSON

if TYPE_CHECKING:
    from atom.http.policy import RoutePolicy
    from atom.http.policy_table import PolicyTable
    from atom.http.step import Step

ABOUT = """
Every success is `{"status": 1, "message": …}`, every failure `{"status": 0, "message",
"code", "hint", "request_id"}` with its true status. *Authorize* takes the token of
`/auth/signup` or `/auth/login-…` as **user**, and `config_key_root` as **root**. Routes
that write rows also take `?is_background=1`: they answer `added in background` at once.

Each table has typed routes of its own, `/my/rows/test` and so on, at the end. The
`/…/object-…` routes are the same for any table, named by `?table=`.
"""
SCHEMES = {
    "user": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token of /auth/signup or /auth/login-….",
    },
    "root": {
        "type": "http",
        "scheme": "bearer",
        "description": "The value of config_key_root.",
    },
}
FAILURE: dict[str, Any] = {
    "title": "Failure",
    "description": "Every refusal of every route.",
    "type": "object",
    "required": ["status", "message", "code", "hint", "request_id"],
    "properties": {
        "status": {"const": 0},
        "message": {"type": "string"},
        "code": {"type": "string", "examples": ["sql.unknown_column"]},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
        "detail": {"description": "FastAPI's own detail, for its own errors."},
    },
}
# Groups of the shipped routes, in the order of /docs; those of drop-ins come first.
TAGS = {
    "Auth": "Sign up, log in, refresh, log out.",
    "My account": "The caller's own row of users.",
    "My rows": "Rows that the caller made, of any table.",
    "My messages": "What users write to each other.",
    "Private": "Files of users.",
    "Public": "What anybody may know or ask for.",
    "Public rows": "Rows of the tables that config opens to anybody.",
    "Admin rows": "Rows of any table, for users with the api id of the route.",
    "Admin runner": "SQL, for users with the api id of the route.",
    "Root": "The operator's: schema, caches, explanations.",
    "Root data": "The operator's: whole tables in and out.",
    "Healthcheck": "Who answers, and whether all is well.",
}
# FastAPI's schemas of a validation error; here it has the shape of any failure.
REPLACED = ("HTTPValidationError", "ValidationError")
CONVERTOR = re.compile(r":\w+(?=})")
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
SUMMARY_MAX = 100
# The request is unreadable; a service or the database is away.
ANYWHERE = {400, 503, 504}

Operation = dict[str, Any]


def complete(document: dict[str, Any], policies: "PolicyTable") -> None:
    """Add to every operation what its policy asks for and how it may refuse."""
    document["info"].setdefault("description", ABOUT.strip())
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in REPLACED:
        schemas.pop(name, None)
    schemas["Failure"] = _failure()
    components["responses"] = {
        f"Failure{status}": {"description": reason, "content": REFUSAL}
        for status, reason in REASONS.items()
    }
    components.setdefault("securitySchemes", {}).update(SCHEMES)
    known = {CONVERTOR.sub("", policy.name): policy for policy in policies.policies()}
    for path, method, operation in operations(document):
        policy = known.get(f"{method.upper()} {path}")
        if policy is None:  # that of another route, or of the rows of a table
            policy = policies.shared(method.upper(), path)
        if policy is not None:
            _gate(operation, policy)
            _refusals(operation, policy, policies.steps)
    _name(document)
    document["tags"] = list(_tags(document))


def _failure() -> dict[str, Any]:
    """Describe every refusal, with the error codes of the project."""
    if not OWN:
        return FAILURE
    listed = [
        f"- `{code.name}` ({', '.join(map(str, code.statuses))}): {code.meaning}"
        for _, code in sorted(OWN.items())
    ]
    code = {
        "type": "string",
        "examples": [*sorted(OWN), "sql.unknown_column"],
        "description": "\n".join(["Of this project, next to those of Atom:", *listed]),
    }
    return {**FAILURE, "properties": {**FAILURE["properties"], "code": code}}


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    """Yield path, method and operation of every route."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _gate(operation: Operation, policy: "RoutePolicy") -> None:
    """Add which of the two keys opens this route, if it is locked."""
    if policy.tier == "root":
        operation.setdefault("security", [{"root": []}])
    elif policy.token_required:
        operation.setdefault("security", [{"user": []}])


def _refusals(
    operation: Operation, policy: "RoutePolicy", steps: Iterable["Step"]
) -> None:
    """Add the statuses the steps may answer, and the one shape to all of them."""
    possible = {status for step in steps for status in step.statuses(policy)}
    if "requestBody" not in operation:
        possible.discard(413)
    responses = operation.setdefault("responses", {})
    for status in sorted(possible | ANYWHERE):
        responses.setdefault(str(status), {"description": REASONS[status]})
    for status, response in responses.items():
        if status >= "400":
            if not _is_own(response):
                response["content"] = REFUSAL
            usual = {"description": REASONS.get(int(status)), "content": REFUSAL}
            if response == usual:  # worded like those of other routes
                ref = f"#/components/responses/Failure{status}"
                responses[status] = {"$ref": ref}
    operation["responses"] = dict(sorted(responses.items()))


def _is_own(response: Mapping[str, Any]) -> bool:
    """Whether a route describes a response schema of its own."""
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    return bool(schema) and not schema.get("$ref", "").endswith(REPLACED)


def _name(document: dict[str, Any]) -> None:
    """Name an operation after its function, and summarize it by its docstring.

    A client has a function for each operation: `my_profile`, where FastAPI has
    `route_my_profile_my_profile_get`. An id that a route has given itself stays.
    """
    names: dict[tuple[str, str], str] = {}
    for path, method, operation in operations(document):
        given = operation["operationId"]
        if (name := _function(given, path)) is None:
            names[path, method] = given
            continue
        names[path, method] = name.removeprefix("route_")
        if operation.get("summary") == name.replace("_", " ").title():
            _sum_up(operation, name.removeprefix("route_"))
    for longer in (lambda short, method, _: f"{short}_{method}", lambda *all: all[2]):
        often = Counter(names.values())
        for path, method, operation in operations(document):
            name = names[path, method]
            if often[name] > 1:
                names[path, method] = longer(name, method, operation["operationId"])
    for path, method, operation in operations(document):
        operation["operationId"] = names[path, method]


def _function(given: str, path: str) -> str | None:
    """Return the name of the function in an id of FastAPI's making.

    >>> _function("route_my_profile_my_profile_get", "/my/profile")
    'route_my_profile'
    """
    ending = re.sub(r"\W", "_", path)
    for method in METHODS:
        if given.endswith(f"{ending}_{method}"):
            return given.removesuffix(f"{ending}_{method}")
    return None


def _sum_up(operation: Operation, name: str) -> None:
    text = operation.pop("description", "")
    first, _, rest = text.partition("\n\n")
    first = " ".join(first.split()).removesuffix(".")
    if not first or len(first) > SUMMARY_MAX:
        first, rest = name.replace("_", " ").capitalize(), text
    operation["summary"] = first
    if rest:
        operation["description"] = rest


def _tags(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the groups: those of drop-ins as they come, then the shipped ones."""
    used = [tag for _, _, each in operations(document) for tag in each.get("tags", ())]
    for tag in dict.fromkeys(used):
        if tag not in TAGS:
            yield {"name": tag}
    for tag, about in TAGS.items():
        if tag in used:
            yield {"name": tag, "description": about}
