"""Whole tables in and out as CSV or JSON lines: /root/postgres-export and -import."""

from typing import Annotated

from extend import *
from fastapi import File, Form, Query, UploadFile
from pydantic import BaseModel, Field

from atom import mongodb, openapi, reply, transfer
from atom.client import needed
from atom.openapi import failures

router = APIRouter(tags=["Root data"])

MEDIA = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
SECONDS = config["config_transfer_timeout_sec"]


class Reading(BaseModel):
    """Body of postgres-export."""

    query: str = Field(
        description="One statement that reads.",
        examples=["select id, title from test order by id"],
    )


class CsvResponse(responses.StreamingResponse):
    """Sends an export as it comes; ends its query when the caller leaves."""

    def __init__(self, export: transfer.Export, file_format: str = "csv") -> None:
        named = f"attachment; filename=query_result.{file_format}"
        headers = {"Content-Disposition": named}
        super().__init__(export, media_type=MEDIA[file_format], headers=headers)
        self.export = export

    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.export.close()


@router.post(
    "/root/postgres-export",
    response_class=CsvResponse,
    status_code=200,
    responses={
        200: {
            "description": "The rows; lines end with CR LF. NULL is an empty cell, the "
            'empty text is `""`.',
            "content": {
                "text/csv": {"example": "id,title\r\n1,first\r\n"},
                "application/x-ndjson": {"example": '{"id":1,"title":"first"}\n'},
            },
        },
        **failures(400, 403, 503),
    },
)
async def route_root_postgres_export(
    request: Request,
    body: Reading,
    is_formula_safe: Annotated[
        bool, Query(description="Put ' before what a spreadsheet takes for a formula.")
    ] = False,
    file_format: Annotated[
        str, Query(alias="format", description="csv or jsonl: one object a line.")
    ] = "csv",
) -> responses.Response:
    """Stream the rows of one reading statement. Secret columns are refused.

    A fault in the middle of the stream breaks the connection off: an export that ends
    well is whole.
    """
    file_format = transfer.format_of(file_format, "")
    export = transfer.Export(
        request.app.state.ports.sandbox,
        body.query,
        seconds=SECONDS,
        is_formula_safe=is_formula_safe,
        file_format=file_format,
    )
    await export.start()
    return CsvResponse(export, file_format)


@router.post(
    "/root/postgres-import",
    responses=openapi.answers(openapi.COUNT, 400, 403, 404, 409, 422, 503),
)
async def route_root_postgres_import(
    request: Request,
    mode: Annotated[
        str,
        Form(description="create, update, upsert or delete.", examples=["create"]),
    ],
    table: Annotated[str, Form(examples=["test"])],
    file: Annotated[
        UploadFile,
        File(description="CSV with a header, or JSON lines; UTF-8, may end with .gz."),
    ],
    on_conflict: Annotated[
        str, Form(description="For upsert: the columns of a unique rule, a,b.")
    ] = "",
    existing: Annotated[
        str, Form(description="For upsert: merge (change the row) or ignore.")
    ] = "",
    hooks: Annotated[
        int, Form(ge=0, le=1, description="1: the hooks of the table run.")
    ] = 0,
    file_format: Annotated[
        str,
        Form(alias="format", description="csv or jsonl; else as the file's name ends."),
    ] = "",
) -> responses.Response:
    """Create, update, upsert or delete the rows a file holds: all of them or none.

    Update and delete find rows by the column id, upsert by `on_conflict`. An empty cell
    of CSV is NULL, `""` is the empty text; what a JSON line leaves out is its default,
    or stays. What cannot be read or is refused is named by line and column.
    """
    name, ports = file.filename or "", request.app.state.ports
    number = await transfer.import_file(
        ports.database,
        mode,
        table,
        transfer.unzipped(file.file, name),
        file_format=transfer.format_of(file_format, name, file.content_type or ""),
        on_conflict=on_conflict,
        existing=existing,
        seconds=SECONDS,
        hooked_by=ports.rules.trusted(None) if hooks else None,
    )
    return reply.success(number)


FILE = File(description="CSV with a header, or JSON lines; UTF-8, may end with .gz.")
FORMAT = Form(alias="format", description="csv or jsonl; else as the file's name ends.")
FAILS = (400, 409, 413, 422, 503)
COUNTS = {
    "type": "object",
    "properties": {
        name: {"type": "integer"}
        for name in ("inserted", "matched", "modified", "upserted")
    },
    "required": ["inserted", "matched", "modified", "upserted"],
}


@router.post("/root/mongodb-import", responses=openapi.answers(COUNTS, *FAILS))
async def route_root_mongodb_import(
    request: Request,
    database: Annotated[
        str, Form(description="One of config_mongodb_database_list.", examples=["atom"])
    ],
    table: Annotated[str, Form(description="The collection.", examples=["test"])],
    file: Annotated[UploadFile, FILE],
    key: Annotated[
        str, Form(description="Fields that find a document, a,b; empty: insert all.")
    ] = "",
    file_format: Annotated[str, FORMAT] = "",
) -> responses.Response:
    """Insert the rows of a file into a collection, or upsert them by `key`.

    Every row is checked before the first is written. A cell of CSV is text, an empty
    one is null.
    """
    name, choices = file.filename or "", config["config_mongodb_database_list"]
    async with function_mongodb(request, mongodb.listed(choices, database)) as db:
        counts = await transfer.import_mongodb(
            db,
            table,
            transfer.unzipped(file.file, name),
            file_format=transfer.format_of(file_format, name, file.content_type or ""),
            key_fields=[word.strip() for word in key.split(",") if word.strip()],
        )
    return reply.success(counts)


@router.post("/root/redis-import", responses=openapi.answers(openapi.DONE, *FAILS))
async def route_root_redis_import(
    request: Request,
    table: Annotated[str, Form(examples=["test"])],
    file: Annotated[UploadFile, FILE],
    expiry_sec: Annotated[
        int | None, Form(ge=1, le=10**9, description="Seconds they are kept.")
    ] = None,
    file_format: Annotated[str, FORMAT] = "",
) -> responses.Response:
    """Set `{table}_{id}` in Redis to each row of a file, as JSON.

    Every row is checked before the first is written.
    """
    name, clients = file.filename or "", request.app.state.ports.clients
    await transfer.import_redis(
        needed(clients, "client_redis", "config_redis_url"),
        table,
        transfer.unzipped(file.file, name),
        file_format=transfer.format_of(file_format, name, file.content_type or ""),
        expiry_sec=expiry_sec,
    )
    return reply.success("done")
