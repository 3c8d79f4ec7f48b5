"""S3 for the operator: /root/s3-bucket-ops and /root/s3-url-delete."""

from extend import *
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from atom import aws, openapi, reply

router = APIRouter(tags=["Root files"])


class Operation(BaseModel):
    """Body of s3-bucket-ops."""

    model_config = ConfigDict(extra="forbid")

    mode: str = Field(
        description="create; public: anyone may read its files; empty: delete all of "
        "them; delete: the bucket itself.",
        json_schema_extra={"enum": list(aws.MODES)},
    )
    bucket: str = Field(examples=["atom-sample"])


class Deletion(BaseModel):
    """Body of s3-url-delete."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="URLs of files in buckets of config_s3_bucket_list, joined by "
        "`---`.",
        examples=["https://atom-sample.s3.eu-west-1.amazonaws.com/user_7/a.png"],
    )


@router.post(
    "/root/s3-bucket-ops",
    responses=openapi.answers(
        openapi.DONE, 400, 404, 409, 502, 503, optional={"count": openapi.COUNT}
    ),
)
async def route_root_s3_bucket_ops(request: Request, body: Operation) -> Response:
    """Create, open, empty or delete a bucket; `count` objects were deleted."""
    count = await aws.operate(request.app.state.ports.aws, body.mode, body.bucket)
    return reply.success("done", count=count)


@router.delete(
    "/root/s3-url-delete",
    responses=openapi.answers(
        openapi.DONE, 400, 403, 404, 502, 503, optional={"count": openapi.COUNT}
    ),
)
async def route_root_s3_url_delete(request: Request, body: Deletion) -> Response:
    """Delete exactly the files that the URLs name; `count` is how many."""
    count = await aws.delete_urls(request.app.state.ports.aws, body.url)
    return reply.success("done", count=count)
