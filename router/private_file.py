"""Files of the caller, on S3 or in a folder: /private/file-…"""

from extend import *
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from atom import aws, file, openapi, reply

router = APIRouter(tags=["Private files"])

URL = "https://atom-sample.s3.eu-west-1.amazonaws.com/user_7/a.png"
URLS = {
    "type": "object",
    "additionalProperties": openapi.TEXT,
    "examples": [{"a.png": URL}],
}
FORM = {
    "type": "object",
    "required": ["bucket", "file"],
    "properties": {
        "bucket": {
            "type": "string",
            "description": "One of config_s3_bucket_list.",
            "examples": ["atom-sample"],
        },
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "The files; the parts may have any name.",
        },
        "key": {
            "type": "string",
            "description": "Where they go in your folder, one for each file, joined by "
            "`---`. Without: new keys are made.",
            "examples": ["trip/a.png---trip/b.png"],
        },
    },
}
POSTED = {
    "type": "object",
    "required": ["url", "fields", "url_final"],
    "properties": {
        "url": openapi.TEXT,
        "fields": {"type": "object", "additionalProperties": openapi.TEXT},
        "url_final": openapi.TEXT,
    },
}

LINK = {
    "type": "object",
    "required": ["url", "expires_at"],
    "properties": {
        "url": openapi.TEXT,
        "expires_at": {"type": "string", "format": "date-time"},
    },
    "examples": [{"url": URL, "expires_at": "2026-01-31T09:00:00+00:00"}],
}


LOOSE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": FORM["properties"]["file"]},
}
UPLOADED = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "name", "media_type", "size"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "name": openapi.TEXT,
            "media_type": openapi.TEXT,
            "size": openapi.COUNT,
        },
    },
}


@router.post(
    "/private/file-upload",
    responses=openapi.answers(UPLOADED, 400, 413, 422, 502, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": LOOSE}},
        }
    },
)
async def route_private_file_upload(request: Request) -> Response:
    """Store files for columns of rows. Return the id of each, in order.

    Write the id into a column of datatype `file`; a file that no row holds is deleted
    after `config_file_orphan_sec`.
    """
    ports, me = request.app.state.ports, request.state.user["id"]
    async with aws.read_form(request, ports.aws.config, only=()) as form:
        return reply.success(await ports.files.upload_loose(me, form.files))


@router.post(
    "/private/file-upload-s3-direct",
    responses=openapi.answers(URLS, 400, 403, 404, 409, 413, 422, 502, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": FORM}},
        }
    },
)
async def route_private_file_upload_s3_direct(request: Request) -> Response:
    """Store files in the caller's folder `user_{id}/`. Return the URL of each.

    All are checked before the first is stored: bucket, key, ending, beginning, size.
    """
    ports, me = request.app.state.ports, request.state.user["id"]
    async with aws.read_form(request, ports.aws.config) as form:
        base, bucket = file.address(request), form.fields["bucket"]
        keys = form.fields["key"]
        found = await ports.files.upload(base, me, bucket, form.files, keys)
    return reply.success(found)


class Presigned(BaseModel):
    """Body of file-upload-s3-presigned."""

    model_config = ConfigDict(extra="forbid")

    bucket: str = Field(
        description="One of config_s3_bucket_list.", examples=["atom-sample"]
    )
    key: str = Field(description="Where it goes in your folder.", examples=["a.png"])


@router.post(
    "/private/file-upload-s3-presigned",
    responses=openapi.answers(POSTED, 400, 403, 502, 503),
)
async def route_private_file_upload_s3_presigned(
    request: Request, body: Presigned
) -> Response:
    """Return a form by which a browser sends one file straight to its store.

    POST it to `url` as multipart, all `fields` before the part `file`; it is then at
    `url_final`. S3 itself checks key, content type and size.
    """
    files, me = request.app.state.ports.files, request.state.user["id"]
    bucket = files.bucket(body.bucket)
    if files.config.store == "s3":
        form = await aws.presign(files.aws, me, bucket, body.key)
    else:
        form = files.presign(file.address(request), me, bucket, body.key)
    return reply.success(form)


class Named(BaseModel):
    """Body of file-link and file-delete."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="A URL of a file in your folder, as an upload answered it; a link "
        "that has ended will do.",
        max_length=8192,
        examples=[URL],
    )


@router.post("/private/file-link", responses=openapi.answers(LINK, 400, 403, 422, 503))
async def route_private_file_link(request: Request, body: Named) -> Response:
    """Return a new link of a file in the caller's folder.

    It opens the file to who has it, until `expires_at`.
    """
    files, me = request.app.state.ports.files, request.state.user["id"]
    return reply.success(await files.own_link(file.address(request), me, body.url))


@router.post(
    "/private/file-delete",
    responses=openapi.answers(openapi.DONE, 400, 403, 404, 422, 502, 503),
)
async def route_private_file_delete(request: Request, body: Named) -> Response:
    """Delete a file in the caller's folder."""
    files, me = request.app.state.ports.files, request.state.user["id"]
    await files.delete_own(me, body.url)
    return reply.success("done")
