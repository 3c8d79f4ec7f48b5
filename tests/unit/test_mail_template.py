"""Templates of mails: built from their sources, filled in, and what is refused."""

import pytest

from atom.config.keys import KEYS
from atom.config.view import view
from atom.mail.build import build, sources
from atom.mail.config import MailConfig, faults, is_shown
from atom.mail.letter import encoded, named
from atom.mail.template import SHIPPED, MailError, Templates

DEFAULTS = {key.name: key.default for key in KEYS}


@pytest.fixture
def templates(tmp_path):
    """The templates of a project that has none yet."""
    (tmp_path / "email").mkdir()
    return Templates(tmp_path, {"app_name": "Shop"}, is_fixed=True)


@pytest.mark.parametrize("path", sources(SHIPPED), ids=lambda path: path.stem)
class TestShipped:
    """The templates of Atom."""

    def test_the_html_is_what_its_source_builds(self, path):
        """`python main.py email build atom/mail/template` has nothing to do."""
        built = build(path, (SHIPPED,))

        assert built == path.with_suffix(".html").read_text()
        assert "googleapis" not in built

    def test_its_sample_fills_it(self, path, templates):
        """In a subject, a text and an HTML without a rest of the template."""
        found = templates.filled(path.stem, templates.sample(path.stem))

        assert "Shop" in found.text
        for part in (found.subject, found.html, found.text):
            assert not {"{{", "{%", "{#", "Built from"} & set(part.split())
            assert "{{" not in part and "Built from" not in part
        assert "style" not in found.text

    def test_what_is_put_in_is_escaped(self, path, templates):
        """Every value, in HTML and in a link."""
        evil = '"><script>alert(1)</script>'
        sample = templates.sample(path.stem)
        values = {
            name: evil if isinstance(value, str) else value
            for name, value in sample.items()
        }

        assert "<script" not in templates.filled(path.stem, values).html


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<mj-body><mj-txt>x</mj-txt></mj-body>", "line 1: unknown tag mj-txt. Did"),
        ('<mj-body><mj-include path="../secret.mjml" /></mj-body>', "cannot include"),
        ('<mj-body><mj-include path="gone.mjml" /></mj-body>', "cannot include"),
        ('<mj-body><mj-include path="x.mjml" /></mj-body>', "cannot include"),
        ("<mj-head><mj-title>{{ 1 < 2 }}</mj-title></mj-head>", "a is lt b"),
    ],
)
def test_a_source_with_a_fault_is_named(tmp_path, source, words):
    """The compiler alone would write an unknown tag as it is."""
    path = tmp_path / "x.mjml"
    path.write_text(f"<mjml>{source}</mjml>")
    with pytest.raises(MailError, match=words):
        build(path, (tmp_path, SHIPPED))


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>x</p>", "it has no subject"),
        ("<title> {{ '' }} </title>", "it has no subject"),
        ("<title>{{ gone }}</title>", "'gone' is undefined"),
        ("<title>{% if %}</title>", "line 1"),
        ("<title>{{ ''.__class__ }}</title>", "unsafe"),
    ],
)
def test_a_template_with_a_fault_is_named(templates, html, words):
    """With its file."""
    (templates.folders[0] / "mine.html").write_text(html)
    with pytest.raises(MailError, match=words) as caught:
        templates.filled("mine", {})

    assert "email/mine.html" in str(caught.value)


def test_a_file_of_the_project_goes_before_one_of_atom(templates):
    """By its name."""
    (templates.folders[0] / "code.html").write_text("<title>Mine {{ code }}</title>")

    assert "Mine 7" == templates.filled("code", {"code": 7}).subject


def test_what_no_database_can_hold_is_left_out(templates):
    """A NUL and half of a pair."""
    (templates.folders[0] / "mine.html").write_text("<title>{{ x }}</title>{{ x }}")
    found = templates.filled("mine", {"x": "a\0b\ud800"})

    assert ("a b", "ab?") == (found.subject, found.html.partition("</title>")[2])


def test_a_name_cannot_add_a_header():
    """That of the shop either."""
    sender = ("Shop\r\nBcc: eve@x.com", "shop@x.com")

    assert "\n" not in str(named(sender)) + encoded(sender)


def test_the_provider_is_the_first_that_is_configured():
    """With an address to send from; without any, development keeps mails."""

    def provider(**values):
        return view(MailConfig, {**DEFAULTS, **values}).provider

    sender = {"config_email_from": "a@x.com"}
    smtp, resend = {"config_smtp_host": "h"}, {"config_resend_key": "k"}
    ses, production = {"config_ses_region_name": "r"}, {"config_env": "production"}
    assert "log" == provider() == provider(**resend) == provider(**ses)
    assert "" == provider(**production)
    assert "smtp" == provider(**sender, **smtp, **resend, **ses, **production)
    assert "resend" == provider(**sender, **resend, **ses)
    assert "ses" == provider(**sender, **ses)
    assert "log" == provider(**sender, **smtp, config_email_provider="log")


def test_what_a_provider_lacks_stops_the_start():
    """With the key to set."""
    assert [] == faults(DEFAULTS)
    (one,) = faults({**DEFAULTS, "config_smtp_host": "h"})
    assert one.startswith("config_email_from: ")
    found = faults({**DEFAULTS, "config_email_provider": "resend"})
    assert ["config_resend_key", "config_email_from"] == [
        next(
            word for word in ("config_resend_key", "config_email_from") if word in each
        )
        for each in found
    ]


def test_templates_are_shown_in_development_alone():
    """The page is not a route of production."""
    assert is_shown(DEFAULTS)
    for env in ("production", "staging"):
        assert not is_shown({**DEFAULTS, "config_env": env})
