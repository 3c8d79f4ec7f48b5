"""The page that links in mails open, where a project has none of its own.

It shows a form, and nothing happens before someone sends it: programs that look into
mails open every link. The token is in the fragment, which no server or log ever sees.
"""

import base64
from hashlib import sha256
from html import escape

from extend import *

from atom.errors import NotFound

router = APIRouter(include_in_schema=False)

NAME = escape(config["config_app_name"])
# The title, the words of the button, and whether a password is asked for.
PAGES = {
    "email-verify": ("Confirm your e-mail address", "Confirm", False),
    "invitation-accept": ("Choose a password", "Accept", True),
    "password-reset": ("Set a new password", "Set it", True),
}
SCRIPT = """
const form = document.forms[0], out = document.querySelector("output");
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
history.replaceState(null, "", location.pathname);
form.onsubmit = async (event) => {
  event.preventDefault();
  out.textContent = "";
  const body = {token};
  for (const field of form.querySelectorAll("input")) body[field.name] = field.value;
  const answer = await fetch("../" + form.dataset.purpose, {
    method: "POST", headers: {"content-type": "application/json"},
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (answer.ok) form.replaceChildren("Done. You may close this page.");
  else out.textContent = found.message + (found.hint ? " " + found.hint : "");
};
"""
PASSWORD = (
    "<label>New password<input type=password name=password required"
    " autocomplete=new-password></label>"
)
PAGE = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>{title}</title><style>
body{{font:16px system-ui;max-width:24rem;margin:4rem auto;padding:0 1rem}}
input,button{{font:inherit;display:block;width:100%;box-sizing:border-box;
margin:.5rem 0;padding:.5rem}}
</style><h1>{title}</h1><p>{name}</p>
<form data-purpose="{purpose}">{fields}<button>{button}</button></form>
<output role=alert></output><script>{script}</script></html>"""
HASH = base64.b64encode(sha256(SCRIPT.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; connect-src 'self'; script-src 'sha256-{HASH}';"
        " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


@router.get("/auth/page/{purpose}")
async def route_auth_page(request: Request, purpose: str) -> responses.Response:
    """Show the form that uses a token up."""
    if purpose not in PAGES:
        raise NotFound("There is no such page.", code="page.missing")
    title, button, is_secret = PAGES[purpose]
    html = PAGE.format(
        title=title,
        name=NAME,
        purpose=purpose,
        fields=PASSWORD if is_secret else "",
        button=button,
        script=SCRIPT,
    )
    return responses.HTMLResponse(html, headers=HEADERS)
