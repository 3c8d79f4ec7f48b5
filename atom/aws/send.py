"""A text message by SNS, a mail by SES, a message to a topic of SNS."""

import re
from collections.abc import Mapping
from typing import Any

from atom.aws.call import Aws, AwsRefused
from atom.errors import ApiError

UNREADABLE = "identity.unreadable"
INTERNATIONAL = re.compile(r"\+[1-9]\d{6,14}")
NONE: Mapping[str, str] = {}
# What India's register of senders wants of a text message.
REGISTERED = {
    "sender_id": "AWS.SNS.SMS.SenderID",
    "entity_id": "AWS.MM.SMS.EntityId",
    "template_id": "AWS.MM.SMS.TemplateId",
}


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in values.items()
    }


async def send_sms(
    aws: Aws, mobile: str, text: str, registered: Mapping[str, str] = NONE
) -> str:
    """Send a text message. Return its id.

    `registered` is sender_id, entity_id, template_id, where a country wants them.

    Raises:
        ApiError: `identity.unreadable` for a number without its country.
        AwsRefused: when SNS refuses it.
        Unavailable: when it does not answer.
    """
    if not INTERNATIONAL.fullmatch(mobile):
        raise ApiError(
            f"'{mobile[:20]}' is not a number with its country.",
            code=UNREADABLE,
            hint="Write it as +911234567890.",
        )
    values = {"AWS.SNS.SMS.SMSType": "Transactional"}
    values |= {REGISTERED[name]: value for name, value in registered.items() if value}
    try:
        answer = await aws.call(
            "sns",
            "publish",
            PhoneNumber=mobile,
            Message=text,
            MessageAttributes=_attributes(values),
        )
    except AwsRefused as error:
        if error.reason in {"InvalidParameter", "InvalidParameterValue"}:
            raise ApiError(
                f"SNS does not take the number '{mobile[:20]}'.", code=UNREADABLE
            ) from error
        raise
    return str(answer["MessageId"])


async def send_email(
    aws: Aws,
    sender: str,
    to: str,
    subject: str,
    text: str,
    html: str | None = None,
) -> str:
    """Send a mail as text, and as HTML if there is one. Return its id.

    Raises:
        ApiError: `identity.unreadable` for an address that SES does not take.
        AwsRefused: for a sender that is not verified.
        Unavailable: when SES does not answer.
    """
    body = {"Text": {"Data": text, "Charset": "UTF-8"}}
    if html is not None:
        body["Html"] = {"Data": html, "Charset": "UTF-8"}
    try:
        answer = await aws.call(
            "ses",
            "send_email",
            Source=sender,
            Destination={"ToAddresses": [to]},
            Message={"Subject": {"Data": subject, "Charset": "UTF-8"}, "Body": body},
        )
    except AwsRefused as error:
        if error.reason == "InvalidParameterValue":
            raise ApiError(
                f"SES does not take the address '{to[:60]}'.", code=UNREADABLE
            ) from error
        if error.reason in {"MessageRejected", "MailFromDomainNotVerifiedException"}:
            error.hint = (
                f"Verify {sender} or its domain in SES, in the region of "
                "config_ses_region_name; while the account is in SES's sandbox, the "
                "recipient too."
            )
        raise
    return str(answer["MessageId"])


async def publish(
    aws: Aws,
    topic: str,
    body: str,
    attributes: Mapping[str, str] = NONE,
    *,
    key: str | None = None,
    message_id: str = "",
) -> str:
    """Publish to a topic, by its ARN. Return the id that SNS gives the message.

    Of a FIFO topic `key` is the group that keeps its order, and `message_id` is sent
    once within five minutes.

    Raises:
        AwsRefused: when SNS refuses it.
        Unavailable: when it does not answer.
    """
    order: dict[str, Any] = {}
    if topic.endswith(".fifo"):
        order["MessageGroupId"] = key or message_id
        order["MessageDeduplicationId"] = message_id
    answer = await aws.call(
        "sns",
        "publish",
        TopicArn=topic,
        Message=body,
        MessageAttributes=_attributes(attributes),
        **order,
    )
    return str(answer["MessageId"])
