"""The documentation: /openapi.json, and the pages /docs and /redoc that show it.

The scripts of the pages are served from here: they work on a machine without internet,
and no other script runs where the root key is typed.
"""

import base64
import re
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse

from extend import *

from atom import reply
from atom.errors import NotFound

router = APIRouter(include_in_schema=False)

NAME = escape(config["config_app_name"])
SCRIPTS = "fastapi_offline"  # the package that brings them
MEDIA = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}
# Closed groups, because there is one for each table; tokens outlive a reload only
# where nothing is at stake.
SHOWN = {
    "docExpansion": "none",
    "filter": True,
    "displayRequestDuration": True,
    "persistAuthorization": config["config_env"] == "development",
}
SCRIPT = re.compile(rb"<script>(.*?)</script>", re.S)
POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self' data:; img-src 'self'"
    " data: blob:; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline';"
    " worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/openapi.json")
async def route_openapi(request: Request) -> responses.Response:
    """Describe every route, those of each table as well."""
    body = await request.app.state.document.body()
    if prefix := request.scope.get("root_path", "").rstrip("/"):
        body = b'{"servers":' + reply.dump([{"url": prefix}]) + b"," + body[1:]
    return responses.Response(body, media_type=reply.JSON)


@router.get("/docs")
async def route_docs(request: Request) -> responses.Response:
    """Show the routes, and try them."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title=NAME,
        swagger_js_url=f"{prefix}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters=SHOWN,
    )
    return guarded(page)


@router.get("/redoc")
async def route_redoc(request: Request) -> responses.Response:
    """Show the routes, to be read."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    page = get_redoc_html(
        openapi_url=f"{prefix}/openapi.json",
        title=NAME,
        redoc_js_url=f"{prefix}/docs/redoc.standalone.js",
        redoc_favicon_url="data:,",
        with_google_fonts=False,
    )
    return guarded(page)


@router.get("/docs/{file}")
async def route_docs_file(request: Request) -> responses.Response:
    """Serve what the pages need."""
    name = request.path_params["file"]
    if name not in MEDIA:
        raise NotFound("There is no such page.", code="page.missing")
    path = Path(str(files(SCRIPTS) / "static" / name))
    headers = {"Cache-Control": "private, max-age=86400"}
    return FileResponse(path, media_type=MEDIA[name], headers=headers)


def guarded(page):
    """Allow the scripts of a page, and none that is slipped in."""
    hashes = (sha256(script).digest() for script in SCRIPT.findall(page.body))
    allowed = "".join(f" 'sha256-{base64.b64encode(h).decode()}'" for h in hashes)
    page.headers["Content-Security-Policy"] = POLICY.format(hashes=allowed)
    return page
