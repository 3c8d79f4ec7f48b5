"""The keys of one-time codes."""

from collections.abc import Mapping
from typing import Any

from atom.config.parse import mapping, names
from atom.config.resolve import Key

TEMPLATE = frozenset({"message", "template_id", "entity_id", "sender_id"})
TEXT = "{otp} is your code{purpose}. It is good for 10 minutes. Do not share it."


def with_code(value: Any) -> str:
    """Parse the text of a message that has `{otp}` in it."""
    given = str(value).strip()
    if "{otp}" not in given:
        raise ValueError("expected a text with {otp}")
    return given


def templates(value: Any) -> tuple[Mapping[str, str], ...]:
    """Parse templates of text messages: each has message and the ids of a register."""
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of dicts")
    for one in value:
        if set(mapping(one)) != TEMPLATE:
            raise ValueError(f"expected {', '.join(sorted(TEMPLATE))} in each")
        with_code(one["message"])
    return tuple({name: str(part) for name, part in one.items()} for one in value)


OTP = (
    Key(
        "config_otp_text",
        with_code,
        TEXT,
        "Text of a message with a code; {purpose} is what it was asked for.",
    ),
    Key("config_otp_subject", str, "Your code", "Subject of a mail with a code."),
    Key(
        "config_otp_sender_list",
        names,
        (),
        "Addresses that mails with a code come from; the first unless asked otherwise.",
    ),
    Key(
        "config_sns_template_list",
        templates,
        (),
        "Templates that /public/otp-send-mobile-sns-template sends: dicts with message "
        "(`{otp}` in it), template_id, entity_id, sender_id.",
    ),
)
