"""Problems of config as a whole, which no single value shows."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from atom.config import table
from atom.config.key_mfa import ANDROID, PASSKEY_PACKAGE
from atom.config.key_mfa import PACKAGE as MFA_PACKAGE
from atom.config.resolve import Config, is_production
from atom.errors import ConfigError
from atom.postgres.errors import wordings
from atom.schema.declaration import Declaration

PLACEHOLDERS = ("change", "example", "secret", "placeholder", "password", "xxxx")


def validate(config: Mapping[str, Any]) -> list[str]:
    """Return what two or more values together make impossible or unsafe."""
    problems = []
    root, signing = config["config_key_root"] or "", config["config_key_jwt"] or ""
    if len(root) < 16:
        problems.append("config_key_root: set it to 16 characters or more")
    parts = [part.strip() for part in signing.split(",")]
    if min(len(part.encode()) for part in parts) < 32:
        problems.append("config_key_jwt: set it to 32 bytes or more")
    if len(parts) > 2:
        problems.append("config_key_jwt: at most two keys, the new one first")
    if root and root in parts:
        problems.append("config_key_root: must differ from config_key_jwt")
    if config["config_cors_allow_credentials"] and (
        "*" in config["config_cors_origin_list"]
    ):
        problems.append(
            "config_cors_allow_credentials: not with origin *; list the origins in "
            "config_cors_origin_list"
        )
    if (
        config["config_postgres_min_connection"]
        > (config["config_postgres_max_connection"])
    ):
        problems.append(
            "config_postgres_min_connection: larger than config_postgres_max_connection"
        )
    if "id" not in config["config_token_key_list"]:
        problems.append("config_token_key_list: must hold id")
    problems += _second_factor(config)
    secret = set(config["config_column_secret_list"])
    if shown := secret.intersection(config["config_token_key_list"]):
        problems.append(f"config_token_key_list: {', '.join(sorted(shown))} is secret")
    try:
        Declaration.parse(config["config_postgres_schema"])
    except ConfigError as error:
        problems += error.problems
    wordings(config["config_error"], problems)
    table.parse(config, problems)
    if is_production(config["config_env"]):
        problems += unfit_for_production(config)
    return problems


def _second_factor(config: Mapping[str, Any]) -> list[str]:
    problems = []
    parts = [part.strip() for part in (config["config_key_mfa"] or "").split(",")]
    if config["config_key_mfa"] and min(len(part.encode()) for part in parts) < 32:
        problems.append("config_key_mfa: set it to 32 bytes or more")
    if config["config_mfa"] != "off" and find_spec("cryptography") is None:
        problems.append(f"config_mfa: needs a package: pip install {MFA_PACKAGE}")
    if pages := config["config_passkey_origin_list"]:
        name = "config_passkey_origin_list"
        if find_spec("webauthn") is None:
            problems.append(f"{name}: needs a package: pip install {PASSKEY_PACKAGE}")
        hosts = [urlsplit(page).hostname for page in pages if not is_app(page)]
        domain = config["config_passkey_rp_id"] or (hosts[0] if hosts else None)
        if domain is None:
            problems.append(f"{name}: apps need config_passkey_rp_id as well")
        problems += [
            f"{name}: {host} is not {domain} or below it: see config_passkey_rp_id"
            for host in hosts
            if host != domain and not str(host).endswith(f".{domain}")
        ]
    return problems


def is_app(origin: str) -> bool:
    """Whether an origin is that of an app, which has no domain."""
    return origin.startswith(ANDROID)


def require_valid(config: Config) -> Config:
    """Return a config without problems.

    Raises:
        ConfigError: with all problems.
    """
    if problems := config.problems + validate(config):
        raise ConfigError(problems)
    return config


def unfit_for_production(config: Mapping[str, Any]) -> list[str]:
    """Return what production needs to have set by a person."""
    problems = []
    env = config["config_env"]
    for name in ("config_postgres_url", "config_root_password"):
        if not config[name]:
            problems.append(f"{name}: must be set when config_env={env}")
    secret = ("config_key_root", "config_key_jwt", "config_key_mfa")
    for name in (*secret, "config_root_password"):
        value = (config[name] or "").lower()
        if any(word in value for word in PLACEHOLDERS):
            problems.append(f"{name}: looks like a placeholder; set a random value")
    return problems
