"""The columns that hold files, and the routes of their links."""

from typing import TYPE_CHECKING, Any

from atom.openapi.route import TEXT, success
from atom.schema.entry_file import FileRule

if TYPE_CHECKING:
    from atom.row.scope import RowConfig

LINK = {
    "type": "object",
    "required": ["url", "expires_at", "name", "media_type", "size"],
    "properties": {
        "url": TEXT,
        "expires_at": {"type": "string", "format": "date-time"},
        "name": TEXT,
        "media_type": TEXT,
        "size": {"type": "integer"},
    },
}


def described(
    schema: dict[str, Any], rules: "RowConfig", table: str, column: str
) -> dict[str, Any]:
    """Return the schema of a column; of one that holds a file, with what it takes."""
    rule: FileRule | None = rules.policy.files.get(table, {}).get(column)
    if rule is None:
        return schema
    about = "The id of a file: one of /private/file-upload that no row has had."
    return {**schema, "description": f"{about} {rule.words}".rstrip()}


def operation(read: dict[str, Any], column: str) -> dict[str, Any]:
    """Write the operation that answers a link, from the one that reads the row."""
    written = {
        **read,
        "summary": f"{read['summary']}: a link of the file in {column}",
        "description": "The link opens the file to who has it, until `expires_at`.",
        "operationId": f"{read['operationId']}_file_{column}",
        "parameters": read["parameters"][:1],  # the key
        "responses": {**read["responses"], "200": success(LINK)},
    }
    return written
