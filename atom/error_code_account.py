"""Error codes of accounts, a part of the one table."""

from atom.errors import Code

ACCOUNT = (
    Code("account.closed", 403, "Signup is off.", "`config_is_signup=1`."),
    Code(
        "account.unknown_type",
        400,
        "The `type` is not one a client may choose.",
        "See `config_signup_type_list`.",
    ),
    Code("account.exists", 409, "The username is taken.", "Choose another, or log in."),
    Code(
        "account.wrong_password",
        401,
        "Wrong login or wrong password, without showing which. Also a wrong "
        "`password_old`.",
    ),
    Code(
        "token.used",
        409,
        "The refresh token was used a moment ago, by another tab perhaps.",
        "Go on with the pair that its first use got.",
    ),
    Code("session.missing", 404, "You have no open session with this id."),
    Code("key.missing", 404, "You have no API key with this id."),
    Code(
        "key.limit",
        409,
        "You have as many API keys as `config_api_key_limit` allows.",
        "Delete one that is not used any more.",
    ),
    Code(
        "key.unknown_route",
        400,
        "A path or verb in `route` is not of a route that takes API keys.",
        "Write the path as `/docs` has it, `GET /my/rows/{table}`; see the hint.",
    ),
    Code(
        "account.unconfirmed",
        403,
        "The e-mail of the sign-up is not confirmed yet.",
        "Open the link of the mail; `/auth/email-verify-resend` sends another.",
    ),
    Code(
        "account.unapproved",
        403,
        "An admin has not approved the sign-up yet.",
        "Wait for the mail that the account is open.",
    ),
    Code(
        "account.missing",
        (401, 404),
        "The user, of the token or of the request, was deleted.",
    ),
    Code(
        "account.wrong_id",
        (400, 403),
        "`/my/object-update?table=users` changes one's own row alone.",
        "Send your own `id`.",
    ),
    Code("account.nothing", 400, "The body names nothing to change."),
    Code(
        "account.not_alone",
        400,
        "A password is changed alone; e-mail and mobile one at a time.",
        "Send them one after the other.",
    ),
    Code(
        "account.no_password_old",
        400,
        "A change of password needs the old one.",
        "Add `password_old`, or `config_is_password_old_check=0`.",
    ),
    Code(
        "account.managed_column",
        400,
        "A column of `users` that its user does not write.",
        "An admin may.",
    ),
    Code("account.unknown_mode", 400, "`mode` is neither `soft` nor `hard`."),
    Code(
        "account.has_access",
        403,
        "A user with `api_access` cannot delete the account.",
        "An admin takes it away first.",
    ),
    Code(
        "rights.own",
        403,
        "No one changes their own rights or status, or those of user 1.",
        "Ask another admin.",
    ),
    Code(
        "rights.exceeded",
        403,
        "The user holds, or would be granted, an api id, a role or a group that the "
        "caller lacks.",
        "Ask an admin who holds it, or user 1.",
    ),
    Code("group.exists", 409, "There is a group of this name.", "Choose another."),
    Code(
        "notification.unreadable",
        400,
        "The text of a notification is too long, or its link could be run.",
        "See the hint: `function_notify` in your code gave it.",
    ),
    Code("account.protected", 403, "The user is protected, or is user 1."),
    Code(
        "identity.unreadable",
        400,
        "Not a valid username, e-mail or mobile.",
        "See the message.",
    ),
    Code("password.too_short", 400, "Shorter than `config_password_min_length`."),
    Code(
        "password.common",
        400,
        "One of the most common passwords.",
        "Choose another; `config_is_password_check=0` allows it.",
    ),
    Code(
        "password.own_name",
        400,
        "The username, or the name of the e-mail, is in the password.",
        "Choose another; `config_is_password_check=0` allows it.",
    ),
    Code("password.too_long", 400, "Longer than 1,000 characters."),
    Code(
        "password.busy",
        503,
        "Too many passwords are being hashed.",
        "Try again after `Retry-After`.",
    ),
    Code(
        "otp.missing",
        400,
        "Changing e-mail or mobile needs a code sent to the new address.",
        "Add `?otp=…`, or `config_is_otp_verify=0`.",
    ),
    Code(
        "account_token.invalid",
        401,
        "The token of a mail, or of the second step of a login, is wrong, used, too "
        "old, or for something else.",
        "Ask for a new mail; log in again.",
    ),
    Code(
        "mfa.off",
        403,
        "There are no second factors here.",
        "`config_mfa=optional`.",
    ),
    Code(
        "mfa.invalid",
        401,
        "The code of the app, or the recovery code, is wrong or was used.",
        "Wait for the next code, or take another recovery code.",
    ),
    Code(
        "mfa.unproven",
        400,
        "The request proves neither the password nor a second factor.",
        "Send `password`, `code` or `recovery_code`.",
    ),
    Code(
        "mfa.stale",
        403,
        "You have neither password nor second factor, and logged in more than 10 "
        "minutes ago.",
        "Log in again.",
    ),
    Code(
        "mfa.missing",
        404,
        "You have no authenticator app, or none that waits for its first code.",
        "`/my/totp-create`.",
    ),
    Code(
        "mfa.required",
        (401, 403),
        "`config_mfa` demands a second factor: a session without one does not go on, "
        "and the last one is not taken away.",
        "Log in again, and set one up.",
    ),
    Code(
        "passkey.off",
        403,
        "There are no passkeys here.",
        "`config_passkey_origin_list`.",
    ),
    Code(
        "passkey.invalid",
        401,
        "What the authenticator answered is for another page, user or challenge, or "
        "was used.",
        "Begin again: a challenge is good once, for 5 minutes.",
    ),
    Code("passkey.exists", 409, "The passkey is known already."),
    Code("passkey.too_many", 400, "A user has 20 passkeys at most.", "Delete one."),
    Code("passkey.missing", 404, "You have no passkey with this id."),
    Code(
        "mfa.unreadable",
        503,
        "The key that encrypted the secret of the app is not in config any more.",
        "Give it back to `config_key_mfa`, as the second; a recovery code works.",
    ),
    Code(
        "account.too_often",
        429,
        "Too many mails to one address, or for one caller.",
        "Try again after `Retry-After`.",
    ),
    Code(
        "account.no_mail",
        503,
        "A mail with a link cannot be sent: there is no provider, or no page to link.",
        "`config_email_from` with a provider, and `config_account_link`.",
    ),
    Code(
        "oidc.unknown",
        400,
        "`config_oidc` has no sign-in service of that name.",
        "Send one of its names.",
    ),
    Code(
        "oidc.redirect",
        400,
        "The service of `config_oidc` does not list that `redirect_uri`.",
        "Add it there, and at the service.",
    ),
    Code(
        "oidc.invalid",
        401,
        "A sign-in that was begun elsewhere, more than 10 minutes ago, or is finished; "
        "or an ID token that is not valid.",
        "Begin again with `/auth/oidc-begin`.",
    ),
    Code(
        "google.invalid",
        401,
        "The ID token of Google is wrong, too old, or for another client id.",
        "Have the person log in at Google again.",
    ),
    Code(
        "otp.not_listed",
        403,
        "A sender or template of messages that the operator has not listed.",
        "`config_otp_sender_list`, `config_sns_template_list`.",
    ),
    Code(
        "otp.too_often",
        429,
        "Too many codes for one address, or for one caller.",
        "Try again after `Retry-After`.",
    ),
    Code(
        "otp.invalid",
        401,
        "The code is wrong, used, too old (10 minutes) or was tried 5 times.",
        "Ask for a new one.",
    ),
    Code(
        "inbox.unknown_mode",
        400,
        "`mode` of a bulk delete is not all, created or received.",
    ),
)
