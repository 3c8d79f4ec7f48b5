"""The documentation: /openapi.json, and the pages /docs and /redoc that show it.

The scripts of the pages are served from here: they work on a machine without internet,
and no other script runs where the root key is typed. In production a browser reads them
after /docs/login.
"""

import base64
import re
import time
from hashlib import sha256
from hmac import compare_digest
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse

from extend import *

from atom import account, reply
from atom.errors import NotFound
from atom.http import DocsPass, is_docs_closed

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
IS_CLOSED = is_docs_closed(config["config_env"], config["config_is_docs"])
FORM = "application/x-www-form-urlencoded"
LOGIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
LOGIN_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>body {{ font: 16px sans-serif; max-width: 24em; margin: 15vh auto }}</style>
<h1>{name}</h1>
<form method="post">
<p><label>Root key<br><input type="password" name="key" autofocus required
autocomplete="current-password"></label>
<button>Open the documentation</button>
<p role="alert">{fault}
</form>
</html>
"""


@router.get("/openapi.json")
async def route_openapi(request: Request) -> responses.Response:
    """Describe every route, those of each table as well."""
    body = await request.app.state.document.body()
    if prefix := request.scope.get("root_path", "").rstrip("/"):
        body = b'{"servers":' + reply.dump([{"url": prefix}]) + b"," + body[1:]
    headers = {"Cache-Control": "private, no-cache"}  # a cookie may have opened it
    return responses.Response(body, media_type=reply.JSON, headers=headers)


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


@router.get("/docs/login")
async def route_docs_login(request: Request) -> responses.Response:
    """Ask for the root key where the documentation is closed."""
    if not IS_CLOSED:
        prefix = request.scope.get("root_path", "").rstrip("/")
        return responses.RedirectResponse(f"{prefix}/docs", 303)
    return login_page()


@router.post("/docs/login")
async def route_docs_login_check(request: Request) -> responses.Response:
    """Open the documentation to a browser that sends the root key."""
    if not IS_CLOSED:
        raise NotFound("There is no such page.", code="page.missing")
    ports, place = request.app.state.ports, request.state.client_address
    throttle = account.LoginThrottle.for_page(ports.counter, "docs", place)
    await throttle.check()
    if not compare_digest(await typed(request), ports.key_root.encode()):
        await throttle.fail()
        return login_page("That is not the root key.", 401)
    prefix = request.scope.get("root_path", "").rstrip("/")
    answer = responses.RedirectResponse(f"{prefix}/docs", 303)
    answer.set_cookie(
        DocsPass.COOKIE,
        DocsPass(ports.key_root).issue(int(time.time())),
        max_age=DocsPass.SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/docs/{file}")
async def route_docs_file(request: Request) -> responses.Response:
    """Serve what the pages need."""
    name = request.path_params["file"]
    if name not in MEDIA:
        raise NotFound("There is no such page.", code="page.missing")
    path = Path(str(files(SCRIPTS) / "static" / name))
    headers = {"Cache-Control": "private, max-age=86400"}
    return FileResponse(path, media_type=MEDIA[name], headers=headers)


async def typed(request):
    """Return the key of a form, empty where there is none."""
    if not request.headers.get("content-type", "").startswith(FORM):
        return b""
    keys = parse_qs((await request.body()).decode("latin-1")).get("key", [])
    return keys[0].encode() if len(keys) == 1 else b""


def login_page(fault="", status=200):
    """Return the page that asks for the root key; no script runs on it."""
    page = LOGIN_PAGE.format(name=NAME, fault=escape(fault))
    headers = {"Content-Security-Policy": LOGIN_POLICY, "Cache-Control": "no-store"}
    return responses.HTMLResponse(page, status, headers)


def guarded(page):
    """Allow the scripts of a page, and none that is slipped in."""
    hashes = (sha256(script).digest() for script in SCRIPT.findall(page.body))
    allowed = "".join(f" 'sha256-{base64.b64encode(h).decode()}'" for h in hashes)
    page.headers["Content-Security-Policy"] = POLICY.format(hashes=allowed)
    return page
