"""The keys of accounts: sign-up, passwords, and links that are mailed."""

from typing import Any

from atom.config.parse import flag, integers, one_of, taken, text, whole
from atom.config.resolve import Key

DAY = 86_400


def link(value: Any) -> str | None:
    """Parse the address of a page with `{purpose}` and `{token}` in it.

    >>> link("https://shop.example/{purpose}#token={token}")
    'https://shop.example/{purpose}#token={token}'
    """
    given = text(value)
    if given and not (
        given.startswith(("https://", "http://"))
        and "{purpose}" in given
        and "{token}" in given
    ):
        raise ValueError(
            "expected a link such as https://shop.example/{purpose}#token={token}"
        )
    return given


ACCOUNT = (
    Key("config_is_signup", flag, True, "Whether unknown people may sign up."),
    Key("config_signup_type_list", integers, (1,), "User types a client may choose."),
    Key(
        "config_signup",
        taken,
        {"column": (), "mandatory": ()},
        "Columns of users that sign-up takes as well, and those it demands.",
    ),
    Key(
        "config_type_default",
        whole(-32768, 32767),
        1,
        "User type where a caller leaves `type` out at signup or login.",
    ),
    Key("config_password_min_length", whole(1, 1000), 8, "Shortest password."),
    Key(
        "config_is_password_check",
        flag,
        True,
        "Whether common passwords, and those with the user's own name, are refused.",
    ),
    Key(
        "config_password_memory_kib",
        whole(1024, 4_194_304),
        19_456,
        "KiB of memory of a password hash (Argon2id). A hash that was made with other "
        "parameters is replaced at the next login.",
    ),
    Key("config_password_rounds", whole(1, 1000), 4, "Rounds of a password hash."),
    Key("config_password_lanes", whole(1, 64), 1, "Lanes of a password hash."),
    Key(
        "config_is_password_old_check",
        flag,
        True,
        "Whether a change of password needs password_old.",
    ),
    Key(
        "config_is_otp_verify",
        flag,
        True,
        "Whether a change of e-mail or mobile needs an OTP.",
    ),
    Key(
        "config_user_approval_flow",
        one_of("none", "email_verification", "admin_approval"),
        "none",
        "What lets a new user in: nothing more, the link of a mail to their address, "
        "or an admin by /admin/user-rights-update.",
    ),
    Key(
        "config_email_verify_expire_sec",
        whole(60, 30 * DAY),
        DAY,
        "Seconds that a link to confirm an e-mail is good for.",
    ),
    Key(
        "config_account_link",
        link,
        None,
        "Page that links in mails open; {purpose} is email-verify, password-reset or "
        "invitation-accept. Unset: in development the page of Atom at config_port; "
        "elsewhere such mails are off.",
        example="https://api.shop.example/auth/page/{purpose}#token={token}",
    ),
    Key(
        "config_password_reset_expire_sec",
        whole(60, 30 * DAY),
        DAY,
        "Seconds that a link to set a new password is good for.",
    ),
    Key(
        "config_invitation_expire_sec",
        whole(60, 30 * DAY),
        3 * DAY,
        "Seconds that an invitation is good for.",
    ),
)
