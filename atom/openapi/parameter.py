"""Parameters and bodies of the row routes, as `/docs` shows them.

Nothing validates with those of a query string: the row grammar in `atom/sql` does.
"""

from typing import Any, Literal

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
        " `and=(…;…)` and `or=(…;…)`."
    ),
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "example": {"id": ">,0"},
}


class Page(BaseModel):
    """Which rows of all that are meant."""

    order: str = Field(
        "id desc",
        description="Columns: `created_at desc nulls last,id`.",
        examples=["id desc nulls last"],
    )
    limit: int = Field(
        100, ge=1, description="At most config_limit_read_max.", examples=[10]
    )
    page: int = Field(1, ge=1, description="Counts from 1.", examples=[2])


class Table(BaseModel):
    """The one parameter every row route has."""

    table: str = Field(description="Name of a table, exactly.", examples=["test"])


class Read(Page, Table):
    """Parameters of every object-read."""

    column: str = Field(
        "",
        description="Columns to answer: `id,created_at`. Default: all.",
        examples=["id"],
    )
    cursor: str = Field(
        "",
        description="Pages at constant cost: empty for the first page, then"
        " `next_cursor` of the answer before. Not together with `page`.",
        examples=[""],
    )
    is_count: Literal["0", "1", "false", "true", "planned"] = Field(
        "0",
        description="1: `count` next to `message`. planned: above 10,000 an estimate;"
        " not on /my.",
        examples=["1"],
    )
    creator_key: str = Field(
        "",
        description="`username,name` adds creator_username and creator_name.",
        examples=["username,name"],
    )
    location_filter: str = Field(
        "",
        description="`long,lat,min_meter,max_meter`; adds `distance_meter`, which"
        " `order` may name.",
        examples=["77.2,28.6,0,5000"],
    )
    group_by: str = Field("", description="Columns: `type,title`.")
    aggregate: str = Field(
        "",
        description="`count,sum(x),avg(x),min(x),max(x)`.",
        examples=["count,max(id)"],
    )
    relation: str = Field(
        "",
        description="Rows that refer to a row, how many, and what it refers to:"
        " `message(id,description):5,message:count,user_id(username)`.",
    )


class Parents(Page, Table):
    """Parameters of parent-read."""

    parent_table: str = Field(description="Table of the parents.", examples=["users"])
    parent_column: str = Field(
        description="Column of `table` with their ids.", examples=["created_by_id"]
    )


class Nothing(BaseModel):
    """Parameters of a route that has none."""


class Upsert(Table):
    """Parameters of a create that may meet rows that are there already."""

    on_conflict: str = Field(
        "", description="Columns of a unique rule: `a,b`. Together with `mode`."
    )
    mode: str = Field(
        "", description="merge: change the row that is there; ignore: leave it alone."
    )


class Create(Upsert):
    """Parameters of /my/object-create."""

    queue: str = Field(
        "", description="batch, redis, rabbitmq, kafka, celery, mongodb_<database>."
    )


class Update(Table):
    """Parameters of /my/object-update."""

    otp: str = Field("", description="Code sent to a new e-mail or mobile.")


IDS = Field(description='"1,2,3" or [1,2,3].', examples=["1,2,3"])


class IdsDelete(Table):
    """Body of ids-delete: several rows."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ids: str | list[int] = IDS


class IdsUpdate(IdsDelete):
    """Body of ids-update: one value for a column of several rows."""

    column: str = Field(examples=["title"])
    value: Any = Field(examples=["x"])
