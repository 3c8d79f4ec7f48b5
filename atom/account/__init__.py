"""Users: sign-up, login, sessions, tokens, rights.

In reading order:

    config        AccountConfig: what config sets for all of these
    token         access tokens, encoded and decoded
    password      password hashes
    password_rule  which passwords are refused
    name          usernames and addresses in their normal form
    allow         which columns of users their user writes, at sign-up and later
    limit         how many messages an address is sent
    otp           one-time codes
    otp_send      the same, sent to their address
    otp_provider  what carries them
    security_event  logins, refusals and changes of rights, as they are kept
    access        the api ids a user holds
    claim         columns of users that rules take, as they are now
    role          `config_role`: questions to the database
    demand        who has to have a second factor, and has none
    session       refresh tokens, renewal, revocation
    session_list  the open ones, listed and ended
    mailed_token  tokens that are mailed, good once
    throttle      how often a password may be guessed
    totp          codes of an authenticator app
    recovery      codes that let a user in who has lost the other factor
    passkey       challenges, and what an authenticator answers
    vault         secrets, encrypted while they are stored
    mfa           the second step of a login
    login         the logins by password
    letter        links and notices by mail
    update        changes of one's own row
    pending       users who wait to be let in
    signup        new users
    otp_login     the login by a code
    id_token      ID tokens of a sign-in service
    google        the login by an ID token of Google
    oidc          the login by any service that speaks OpenID Connect
    profile       one's own row, and the time of the visit
    api_key       API keys of a user's programs
    root          the root user
    upgrade       rows that an older version wrote
    reset         a new password by a mailed link
    rights        rights and status of other users
    group         groups of users, which rules read
    factor        one's own second factors
    factor_passkey  one's own passkeys, and the login by one alone
    enrol         a second factor set up in the middle of a login
    factor_admin  those of another user, taken away
    invitation    users whom an admin invites
    deletion      the end of an account
    answer        what the routes of /auth answer
"""

from atom.account.access import require_too
from atom.account.answer import (
    BY_COOKIE,
    Challenged,
    Enrolled,
    Proof,
    Tokens,
    Waits,
    device,
    entered,
    me,
)
from atom.account.api_key import create_key, delete_key, read_keys
from atom.account.deletion import delete_account
from atom.account.enrol import (
    begin_first_passkey,
    begin_totp,
    end_first_passkey,
    end_totp,
)
from atom.account.factor import (
    confirm_totp,
    create_totp,
    delete_totp,
    read_factors,
    renew_codes,
)
from atom.account.factor_admin import take_factors
from atom.account.factor_passkey import (
    begin_passkey,
    confirm_passkey,
    create_passkey,
    delete_passkey,
    log_in_with_passkey,
    read_passkeys,
)
from atom.account.google import log_in_with_google
from atom.account.group import (
    add_member,
    create_group,
    delete_group,
    read_groups,
    read_members,
    remove_member,
    update_group,
)
from atom.account.invitation import accept, invitations, invite, withdraw
from atom.account.login import log_in
from atom.account.mfa import Given, log_in_with_factor
from atom.account.oidc import begin as begin_oidc
from atom.account.oidc import log_in_with_oidc
from atom.account.otp import Code, read_code
from atom.account.otp_login import log_in_with_otp, verify_throttled
from atom.account.otp_provider import (
    by_fast2sms,
    by_resend,
    by_ses,
    by_sns,
    by_sns_template,
)
from atom.account.otp_send import Wanted, send_otp
from atom.account.pending import confirm, resend
from atom.account.profile import read_profile
from atom.account.reset import ask_reset, reset_password
from atom.account.rights import update_rights
from atom.account.security_event import read_events, read_own_events
from atom.account.session import logout, renew, rotate
from atom.account.session_list import end_sessions, read_sessions
from atom.account.signup import sign_up, sign_up_bigint
from atom.account.throttle import LoginThrottle
from atom.account.update import update_account

__all__ = [
    "BY_COOKIE",
    "Challenged",
    "Code",
    "Enrolled",
    "Given",
    "LoginThrottle",
    "Proof",
    "Tokens",
    "Waits",
    "Wanted",
    "accept",
    "add_member",
    "ask_reset",
    "begin_first_passkey",
    "begin_oidc",
    "begin_passkey",
    "begin_totp",
    "by_fast2sms",
    "by_resend",
    "by_ses",
    "by_sns",
    "by_sns_template",
    "confirm",
    "confirm_passkey",
    "confirm_totp",
    "create_group",
    "create_key",
    "create_passkey",
    "create_totp",
    "delete_account",
    "delete_group",
    "delete_key",
    "delete_passkey",
    "delete_totp",
    "device",
    "end_first_passkey",
    "end_sessions",
    "end_totp",
    "entered",
    "invitations",
    "invite",
    "log_in",
    "log_in_with_factor",
    "log_in_with_google",
    "log_in_with_oidc",
    "log_in_with_otp",
    "log_in_with_passkey",
    "logout",
    "me",
    "read_code",
    "read_events",
    "read_factors",
    "read_groups",
    "read_keys",
    "read_members",
    "read_own_events",
    "read_passkeys",
    "read_profile",
    "read_sessions",
    "remove_member",
    "renew",
    "renew_codes",
    "require_too",
    "resend",
    "reset_password",
    "rotate",
    "send_otp",
    "sign_up",
    "sign_up_bigint",
    "take_factors",
    "update_account",
    "update_group",
    "update_rights",
    "verify_throttled",
    "withdraw",
]
