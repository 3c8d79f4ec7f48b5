"""Mail: written with the work it is about, sent by a relay, shown in development.

In reading order:

    config      what config sets, and which provider it goes by
    text        the text part, made of the HTML
    template    the templates of a project, filled in
    build       their HTML, built from MJML
    letter      one mail to one address
    publish     a mail put into the queue, on the caller's transaction
    target      SMTP, Resend, SES, or a folder
    queue       the statements of `python main.py email`
"""

from atom.mail.build import remarks
from atom.mail.config import faults, is_shown
from atom.mail.template import MailError, shown

__all__ = ["MailError", "faults", "is_shown", "remarks", "shown"]
