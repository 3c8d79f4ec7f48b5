"""Files of the caller on S3: /private/file-upload-s3-direct and -presigned."""

from extend import *
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from atom import aws, openapi, reply

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


@router.post(
    "/private/file-upload-s3-direct",
    responses=openapi.answers(URLS, 400, 403, 404, 413, 422, 502, 503),
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
        found = await aws.upload(ports.aws, me, form.bucket, form.files, form.keys)
    return reply.success(found)


class Wanted(BaseModel):
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
    request: Request, body: Wanted
) -> Response:
    """Return a form by which a browser sends one file straight to S3.

    POST it to `url` as multipart, all `fields` before the part `file`; it is then at
    `url_final`. S3 itself checks key, content type and size.
    """
    ports, me = request.app.state.ports, request.state.user["id"]
    form = await aws.presign(ports.aws, me, body.bucket, body.key)
    return reply.success(form)
