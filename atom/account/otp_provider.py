"""Providers of one-time codes: SNS, Fast2SMS, SES, Resend.

The sender of a mail and the template of a text message are those the operator lists.
"""

from collections.abc import Mapping

from atom.account.otp import PURPOSES
from atom.account.otp_send import Send
from atom.aws import send_email, send_sms
from atom.client import http as services
from atom.client import needed
from atom.errors import Forbidden
from atom.port import Ports


def by_sns(ports: Ports, purpose: str | None) -> Send:
    """Return what sends a text message by SNS."""

    async def send(mobile: str, code: str) -> None:
        await send_sms(ports.aws, mobile, _text(ports, code, purpose))

    return send


def by_sns_template(ports: Ports, message: str, ids: Mapping[str, str]) -> Send:
    """Return what sends a template by SNS; `ids` are those of a register of senders.

    Raises:
        Forbidden: `otp.not_listed`.
    """
    if {"message": message, **ids} not in ports.account.sns_template_list:
        raise _not_listed("The template", "It must be one of config_sns_template_list.")

    async def send(mobile: str, code: str) -> None:
        await send_sms(ports.aws, mobile, message.replace("{otp}", code), ids)

    return send


def by_fast2sms(ports: Ports) -> Send:
    """Return what sends a text message by Fast2SMS.

    Raises:
        Unavailable: `client.missing`.
    """
    keys = ", ".join(services.FAST2SMS_KEYS)
    service = needed(ports.clients, services.FAST2SMS.name, keys)

    async def send(mobile: str, code: str) -> None:
        await services.send_sms(service, mobile, code)

    return send


def by_ses(ports: Ports, purpose: str | None, sender: str | None) -> Send:
    """Return what sends a mail by SES.

    Raises:
        Forbidden: `otp.not_listed`.
    """
    source, subject = _sender(ports, sender), ports.account.otp_subject

    async def send(email: str, code: str) -> None:
        text = _text(ports, code, purpose)
        await send_email(ports.aws, source, email, subject, text)

    return send


def by_resend(ports: Ports, purpose: str | None, sender: str | None) -> Send:
    """Return what sends a mail by Resend.

    Raises:
        Forbidden: `otp.not_listed`.
        Unavailable: `client.missing`.
    """
    source, subject = _sender(ports, sender), ports.account.otp_subject
    keys = ", ".join(services.RESEND_KEYS)
    service = needed(ports.clients, services.RESEND.name, keys)

    async def send(email: str, code: str) -> None:
        text = _text(ports, code, purpose)
        await services.send_mail(service, email, subject, sender=source, plain=text)

    return send


def _text(ports: Ports, code: str, purpose: str | None) -> str:
    about = PURPOSES[purpose] if purpose else ""
    return ports.account.otp_text.replace("{purpose}", about).replace("{otp}", code)


def _sender(ports: Ports, wanted: str | None) -> str:
    listed = ports.account.otp_sender_list
    if (wanted is None and listed) or wanted in listed:
        return wanted or listed[0]
    raise _not_listed("The sender", "It must be one of config_otp_sender_list.")


def _not_listed(what: str, hint: str) -> Forbidden:
    return Forbidden(
        f"{what} is not listed.",
        code="otp.not_listed",
        hint=hint,
    )
