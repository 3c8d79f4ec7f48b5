"""Templates of mails with sample values, in development: /email-preview."""

from html import escape

from extend import *

from atom.errors import NotFound
from atom.mail import MailError, is_shown, shown

router = APIRouter(include_in_schema=False)

# A template is shown as a mail program does: no script, no form, nothing framed.
POLICY = (
    "default-src 'none'; img-src https: data:; style-src 'unsafe-inline';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)


def page(html, *, media="text/html"):
    """Return a page that runs nothing."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return responses.Response(html, media_type=media, headers=headers)


if is_shown(config):

    @router.get("/email-preview")
    async def route_email_preview(request: Request) -> responses.Response:
        """List the templates."""
        names = request.app.state.ports.mailer.templates.names()
        lines = (
            f'<li><a href="email-preview/{escape(name)}">{escape(name)}</a>'
            f' (<a href="email-preview/{escape(name)}?part=text">text</a>)</li>'
            for name in names
        )
        return page(f"<!doctype html><title>Mails</title><ul>{''.join(lines)}</ul>")

    @router.get("/email-preview/{name}")
    async def route_email_preview_one(
        request: Request, name: str, part: str = "html"
    ) -> responses.Response:
        """Show a template with its sample values."""
        try:
            found = await shown(request.app.state.ports.mailer.templates, name)
        except MailError as error:
            raise NotFound(str(error), code="page.missing") from error
        if part == "text":
            words = f"Subject: {found.subject}\n\n{found.text}"
            return page(words, media="text/plain")
        return page(found.html)
