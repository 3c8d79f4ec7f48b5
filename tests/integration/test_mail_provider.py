"""Mails by Resend and SES: what they get, and what their answers mean for a mail."""

from types import SimpleNamespace

import pytest

from atom.client import opened
from atom.client.http import HTTP, RESEND
from atom.config.keys import KEYS
from atom.event.envelope import Event
from atom.event.outbox import Claimed
from atom.event.relay import Away, Refused
from atom.mail.publish import mailer
from atom.mail.target import MailTarget
from tests import web
from tests.integration.test_aws import opened_aws
from tests.served import free_port

DEFAULTS = {key.name: key.default for key in KEYS}
LETTER = {"to": "ada@x.com", "subject": "Hé", "html": "<p>Hi</p>", "text": "Hi"}


def claimed(payload=LETTER):
    made = Event("e-1", "mail", "x", None, "2026-01-02T03:04:05+00:00", 1, {}, payload)
    return Claimed(1, "mail", 1, made)


def target(tmp_path, clients=None, aws=None, **values):
    config = {**DEFAULTS, "config_email_from": "shop@x.com", **values}
    config = {"config_email_from_name": 'Café "Söhne"', **config}
    config["config_email_from_name"] = 'Café "Söhne"'
    made = mailer(tmp_path, config)
    ports = SimpleNamespace(clients=clients or {}, aws=aws, mailer=made)
    return MailTarget(ports)


@pytest.fixture
def answers():
    """What Resend answers, in turn; without any it does as it does."""
    return []


@pytest.fixture
async def resend(tmp_path, answers):
    """Mails by Resend: the target, and what Resend was asked."""

    def answer(asked):
        return answers.pop(0) if answers else web.resend(asked)

    with web.web(answer) as service:
        values = {
            "config_resend_url": f"{service.url}/emails",
            "config_resend_key": web.KEY,
        }
        async with opened((HTTP, RESEND), {**DEFAULTS, **values}) as live:
            yield target(tmp_path, live, **values), service


async def test_resend_gets_each_mail_once(resend):
    """With the id as its idempotency key, so that another try sends nothing twice."""
    mails, service = resend
    await mails.deliver(claimed())

    (asked,) = service.asked
    assert {
        "from": '"Café \\"Söhne\\"" <shop@x.com>',
        "to": ["ada@x.com"],
        "subject": "Hé",
        "html": "<p>Hi</p>",
        "text": "Hi",
    } == asked.json
    assert "e-1" == asked.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (422, Refused),
        (400, Refused),
        (401, None),
        (403, None),
        (500, None),
        (429, Away),
        (503, Away),
    ],
)
async def test_what_an_answer_of_resend_means(resend, answers, status, kind):
    """Of the mail: dead. Of the key, or of the service: later. Busy: all wait."""
    mails, _ = resend
    answers += [(status, {"message": "no"})] * 2
    with pytest.raises(Exception) as caught:
        await mails.deliver(claimed())

    if kind is None:
        assert not isinstance(caught.value, Refused | Away)
    else:
        assert isinstance(caught.value, kind)
    assert web.KEY not in str(caught.value)


async def test_resend_that_is_away(tmp_path):
    """All mails wait."""
    url = f"http://127.0.0.1:{free_port()}"
    values = {"config_resend_url": url, "config_resend_key": web.KEY}
    async with opened((HTTP, RESEND), {**DEFAULTS, **values}) as live:
        with pytest.raises(Away):
            await target(tmp_path, live, **values).deliver(claimed())


async def test_ses_takes_a_mail_of_a_verified_sender(tmp_path, aws_url):
    """Another is dead at once, with what to verify."""
    values = {"config_ses_region_name": "eu-west-1"}
    async with opened_aws(aws_url) as aws:
        values["config_email_from"] = "not-verified@mail.example"
        with pytest.raises(Refused, match="Verify"):
            await target(tmp_path, aws=aws, **values).deliver(claimed())
        values["config_email_from"] = "mail@mail.example"
        await aws.call("ses", "verify_email_identity", EmailAddress="mail@mail.example")
        before = await aws.call("ses", "get_send_quota")
        await target(tmp_path, aws=aws, **values).deliver(claimed())
        after = await aws.call("ses", "get_send_quota")

    assert 1 == after["SentLast24Hours"] - before["SentLast24Hours"]


async def test_ses_that_is_away(tmp_path):
    """All mails wait."""
    values = {"config_ses_region_name": "eu-west-1"}
    async with opened_aws(f"http://127.0.0.1:{free_port()}") as aws:
        with pytest.raises(Away):
            await target(tmp_path, aws=aws, **values).deliver(claimed())


async def test_without_a_provider_in_production_mails_wait(tmp_path):
    """The log says what to set."""
    mails = target(tmp_path, config_env="production")
    with pytest.raises(Away, match="config_smtp_host"):
        await mails.deliver(claimed())


async def test_what_is_not_a_mail_is_dead(tmp_path):
    """It never will be one."""
    for payload in (None, [], {"to": "ada@x.com"}):
        with pytest.raises(Refused):
            await target(tmp_path).deliver(claimed(payload))
