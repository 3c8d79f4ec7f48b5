"""The config of accounts, typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """What config sets for sign-up, logins, tokens and the root user."""

    env: str
    port: int
    user_approval_flow: str
    account_link: str | None
    invitation_expire_sec: int
    email_verify_expire_sec: int
    password_reset_expire_sec: int
    is_signup: bool
    table: Mapping[str, Mapping[str, Any]]
    signup: Mapping[str, tuple[str, ...]]  # column, mandatory
    signup_type_list: tuple[int, ...]
    password_min_length: int
    is_password_check: bool
    is_password_old_check: bool
    password_memory_kib: int
    password_rounds: int
    password_lanes: int
    is_otp_verify: bool
    otp_text: str
    otp_subject: str
    otp_sender_list: tuple[str, ...]
    sns_template_list: tuple[Mapping[str, str], ...]
    key_jwt: str
    mfa: str
    key_mfa: str | None
    passkey_origin_list: tuple[str, ...]
    passkey_rp_id: str | None
    token_expire_sec: int
    token_refresh_expire_sec: int
    token_refresh_grace_sec: int
    session_expire_sec: int
    is_token_cookie: bool
    api_key_limit: int
    api_key_expire_sec: int
    token_key_list: tuple[str, ...]
    mode_check_api_access: str
    mode_check_is_active: str
    column_disabled_list: tuple[str, ...]
    column_secret_list: tuple[str, ...]
    root_username: str
    root_password: str | None

    @property
    def rp_id(self) -> str:
        """The domain that passkeys belong to."""
        first = self.passkey_origin_list[0] if self.passkey_origin_list else ""
        return self.passkey_rp_id or urlsplit(first).hostname or ""

    @property
    def mandatory(self) -> tuple[str, ...]:
        """The columns that sign-up demands."""
        given = self.signup["mandatory"]
        needs = self.user_approval_flow == "email_verification"
        return (*given, "email") if needs and "email" not in given else given
