"""What anybody may know of this server, and its pages: /public/info, /public/page."""

import asyncio
import base64
import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from extend import *
from fastapi import Path as Named

from atom import openapi, operation, reply
from atom.errors import NotFound
from atom.openapi import failures
from function import ROOT

router = APIRouter(tags=["Public"])

PAGES = ROOT / "static"
PAGE = re.compile(r"[A-Za-z0-9_-]{1,100}")
SCRIPT = re.compile(rb"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script", re.S | re.I)
POLICY = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)


@router.get(
    "/public/info",
    responses=openapi.answers(
        {
            "type": "object",
            "required": ["api_list", "postgres_schema"],
            "properties": {"api_list": openapi.LIST, "postgres_schema": openapi.OBJECT},
        }
    ),
)
async def route_public_info(request: Request) -> responses.Response:
    """List the routes and what each needs, and the tables open to the public."""
    state = request.app.state
    return reply.success(
        {
            "api_list": described(state.policies.policies()),
            "postgres_schema": operation.public_tables(state.ports),
        }
    )


def described(policies):
    """Return one entry a path: its methods, its tier and what a caller needs."""
    found = {}
    for policy in policies:
        method, _, path = policy.name.partition(" ")
        if policy.tier == "root" or method == "HEAD":
            continue
        entry = found.setdefault(
            path,
            {
                "path": path,
                "methods": [],
                "tier": policy.tier,
                "is_token": int(policy.token_required),
                "is_active_check": int(policy.active_required),
                "id": policy.id,
            },
        )
        entry["methods"] = sorted({*entry["methods"], method})
    return list(found.values())


@router.get(
    "/public/page/{filename}",
    response_class=responses.HTMLResponse,
    responses=failures(404),
)
async def route_public_page(
    request: Request, filename: Annotated[str, Named(examples=["welcome"])]
) -> responses.Response:
    """Serve a page of the project: static/{filename}.html."""
    page = await asyncio.to_thread(page_of, filename)
    if page is None:
        raise NotFound("There is no such page.", code="page.missing")
    headers = {"Content-Security-Policy": security_policy(page)}
    return responses.HTMLResponse(page, headers=headers)


def page_of(filename: str) -> bytes | None:
    """Read a page, None when it is not a file of the folder itself."""
    if not PAGE.fullmatch(filename):
        return None
    folder: Path = PAGES.resolve()
    file = (folder / f"{filename}.html").resolve()
    if file.parent != folder or not file.is_file():
        return None
    return file.read_bytes()


def security_policy(page: bytes) -> str:
    """Allow the scripts of the page, and none that is slipped in."""
    hashes = (sha256(script).digest() for script in SCRIPT.findall(page))
    scripts = "".join(f" 'sha256-{base64.b64encode(h).decode()}'" for h in hashes)
    return POLICY.format(scripts=scripts)
