"""Parameters and bodies of the row routes, as `/docs` shows them.

A parameter of a query string is described by its name, whatever route takes it; the
grammar in `atom.row.sql.query_string` reads it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FILTER = {
    "name": "filter",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "description": (
        "Any column: `<column>=<operator>,<value>`, repeatable, AND-ed. Operators: `=`"
        " `!=` `<>` `>` `<` `>=` `<=` `like` `ilike` `~` `~*` `in` and `not in` (joined"
        " by `|`) `between` (`a|b`) `is` (null, not null, true, false)"
        " `is distinct from` `contains` `overlap` `any` (arrays) `contains` `exists`"
        " (jsonb) `fts`. Alternatives: `or=(title=ilike,%a%;id=>,5)`, and within them"
        " `and=(…;…)` and `or=(…;…)`. Of the row that a column refers to:"
        " `slot_id.starts_at=>,2026-01-01`."
    ),
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "example": {"id": ">,0"},
}
TABLE = "Name of a table, exactly."


def _query(
    about: str, *examples: Any, required: bool = False, **schema: Any
) -> dict[str, Any]:
    """Describe a parameter; a default in words, or clients and /docs would send it."""
    schema = {"type": "string", **schema}
    if examples:
        schema["examples"] = list(examples)
    made = {"in": "query", "required": required, "description": about, "schema": schema}
    return {**made, "example": examples[0]} if required else made  # what /docs fills in


PARAMETERS = {
    "table": _query(TABLE, "test", required=True),
    "order": _query(
        "Columns: `created_at desc nulls last,id`. Default: `id desc`.",
        "id desc nulls last",
    ),
    "limit": _query(
        "At most config_limit_read_max. Default: `100`.", 10, type="integer", minimum=1
    ),
    "page": _query("Counts from 1. Default: `1`.", 2, type="integer", minimum=1),
    "column": _query("Columns to answer: `id,created_at`. Default: all.", "id"),
    "cursor": _query(
        "Pages at constant cost: empty for the first page, then `next_cursor` of the"
        " answer before. Not together with `page`.",
        "",
    ),
    "deleted": _query(
        "1: rows that are marked as deleted, too. On /admin alone.",
        "1",
        enum=["0", "1", "false", "true"],
    ),
    "is_count": _query(
        "1: `count` next to `message`. planned: above 10,000 an estimate; not on /my."
        " Default: `0`.",
        "1",
        enum=["0", "1", "false", "true", "planned"],
    ),
    "creator_key": _query(
        "`username,name` adds creator_username and creator_name.", "username,name"
    ),
    "location_filter": _query(
        "`long,lat,min_meter,max_meter`; adds `distance_meter`, which `order` may"
        " name.",
        "77.2,28.6,0,5000",
    ),
    "group_by": _query(
        "Columns, or the minute, hour, day, week, month, quarter or year of one:"
        " `type,created_at:month`. `order` takes what is answered: `count desc`."
    ),
    "timezone": _query(
        "`Europe/Berlin`: where the units of a timestamptz begin, in a `group_by`."
        " Default: `UTC`."
    ),
    "aggregate": _query("`count,sum(x),avg(x),min(x),max(x)`.", "count,max(id)"),
    "relation": _query(
        "Rows that refer to a row, how many, and what it refers to:"
        " `message(id,description):5,message:count,user_id(username)`."
    ),
    "parent_table": _query("Table of the parents.", "users", required=True),
    "parent_column": _query(
        "Column of `table` with their ids.", "created_by_id", required=True
    ),
    "on_conflict": _query("Columns of a unique rule: `a,b`. Together with `mode`."),
    "mode": _query("merge: change the row that is there; ignore: leave it alone."),
    "return": _query("row: answer the row as it is stored, if it may be read."),
    "queue": _query("batch, redis, rabbitmq, kafka, celery, mongodb_<database>."),
    "otp": _query("Code sent to a new e-mail or mobile."),
}


IDS = Field(
    description='Keys of rows: "1,2,3" or [1,2,3]; of text and uuid likewise.',
    examples=["1,2,3"],
)


class IdsDelete(BaseModel):
    """Body of ids-delete: several rows."""

    model_config = ConfigDict(strict=True, extra="forbid")

    table: str = Field(description=TABLE, examples=["test"])
    ids: str | list[int | str] = IDS


class IdsUpdate(IdsDelete):
    """Body of ids-update: one value for a column of several rows."""

    column: str = Field(examples=["title"])
    value: Any = Field(examples=["x"])
