"""The answers of `config_rpc`, typed as PostgreSQL understands the statements."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from atom.openapi import shape
from atom.openapi.route import COUNT, success

if TYPE_CHECKING:
    from atom.rpc.statement import Statements


def described(paths: Mapping[str, Any], statements: "Statements") -> dict[str, Any]:
    """Return the paths of a document with the columns of each answer."""
    found = dict(paths)
    for rpc in statements.routes:
        path, verb = re.sub(r":\w+(?=})", "", rpc.path), rpc.method.lower()
        operation = dict(found[path][verb])
        columns = statements.columns(rpc)
        properties = {each.name: shape.response_schema(each) for each in columns}
        one = {"type": "object", "required": [*properties], "properties": properties}
        rows = {"type": "array", "items": one}
        answer = {"200": success(rows if columns else COUNT)}
        operation["responses"] = {**operation["responses"], **answer}
        found[path] = {**found[path], verb: operation}
    return found
