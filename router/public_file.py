"""Local files, by signed links: /public/file and /public/file-receive."""

from extend import *
from fastapi import Query, Response

from atom import aws, openapi, reply
from atom.errors import Forbidden

router = APIRouter(tags=["Public files"])

FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "key": {"type": "string", "description": "As it was answered."},
        "file": {"type": "string", "format": "binary"},
    },
}
TOKEN = Query(
    description="The word of a link, as it was answered.",
    max_length=8192,
    examples=["eyJ1bnRpbCI6MH0.c2lnbmF0dXJl"],
)
BYTES = {
    "description": "The file.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    },
}


@router.head("/public/file", include_in_schema=False)
@router.get(
    "/public/file",
    response_class=Response,
    responses={200: BYTES, 206: BYTES, **openapi.failures(403, 404, 422)},
)
async def route_public_file(request: Request, token: str = TOKEN) -> Response:
    """Send the file that a link opens, or one range of its bytes."""
    return await request.app.state.ports.files.answer(token)


@router.post(
    "/public/file-receive",
    status_code=200,
    responses=openapi.answers(openapi.DONE, 400, 403, 409, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": FORM}},
        }
    },
)
async def route_public_file_receive(request: Request, token: str = TOKEN) -> Response:
    """Store one file by the form of /private/file-upload-s3-presigned, once."""
    ports = request.app.state.ports
    user_id, bucket, key = ports.files.may_write(token)  # before a byte is read
    user = await ports.users.state(user_id)
    if user is None or not user.is_active:
        raise Forbidden("user not active", code="active.inactive")
    async with aws.read_form(request, ports.aws.config, only=()) as form:
        places = aws.placed(ports.aws.config, user_id, form.files, key)
        await ports.files.put(user_id, bucket, form.files, places, is_kept=True)
    return reply.success("done")
