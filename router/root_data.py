"""Whole tables in and out as CSV: /root/postgres-export and /root/postgres-import."""

from typing import Annotated

from extend import *
from fastapi import File, Form, Query, UploadFile
from pydantic import BaseModel, Field

from atom import reply
from atom.feature import transfer_in, transfer_out
from atom.openapi import failures

router = APIRouter(tags=["Root data"])

ATTACHED = {"Content-Disposition": "attachment; filename=query_result.csv"}
SECONDS = config["config_transfer_timeout_sec"]


class Reading(BaseModel):
    """Body of postgres-export."""

    query: str = Field(
        description="One statement that reads.",
        examples=["select id, title from test order by id"],
    )


class CsvResponse(responses.StreamingResponse):
    """Sends an export as it comes; ends its query when the caller leaves."""

    def __init__(self, export: transfer_out.Export) -> None:
        super().__init__(export, media_type="text/csv", headers=ATTACHED)
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
            "content": {"text/csv": {"example": "id,title\r\n1,first\r\n"}},
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
) -> responses.Response:
    """Stream the rows of one reading statement as CSV. Secret columns are refused.

    A fault in the middle of the stream breaks the connection off: an export that ends
    well is whole.
    """
    ports = request.app.state.ports
    export = transfer_out.Export(
        ports.database,
        body.query,
        secret=ports.rules.secret,
        seconds=SECONDS,
        is_formula_safe=is_formula_safe,
    )
    await export.start()
    return CsvResponse(export)


@router.post("/root/postgres-import", responses=failures(400, 403, 404, 409, 422, 503))
async def route_root_postgres_import(
    request: Request,
    mode: Annotated[str, Form(description="create, update or delete.")],
    table: Annotated[str, Form(examples=["test"])],
    file: Annotated[UploadFile, File(description="CSV, UTF-8, with a header.")],
) -> responses.Response:
    """Create, update or delete the rows a CSV file holds: all of them or none.

    Update and delete find rows by the column id. An empty cell is NULL, `""` is the
    empty text. What cannot be read or is refused is named by line and column.
    """
    database = request.app.state.ports.database
    number = await transfer_in.load(database, mode, table, file.file, seconds=SECONDS)
    return reply.success(number)
