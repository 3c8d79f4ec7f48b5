"""What config sets for mail, and which provider it goes by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.resolve import is_production
from atom.config.view import view

# In the order of preference, each with the key that switches it on.
SWITCHES = {"smtp": "smtp_host", "resend": "resend_key", "ses": "ses_region_name"}


@dataclass(frozen=True, slots=True)
class MailConfig:
    """What config sets for mail."""

    app_name: str
    atom_folder: str
    env: str
    email_provider: str | None
    email_from: str | None
    email_from_name: str | None
    email_retry_sec: tuple[float, ...]
    smtp_host: str | None
    resend_key: str | None
    ses_region_name: str | None

    @property
    def provider(self) -> str:
        """The provider: the one that is named, else the first that is configured.

        Without any, development keeps mails in a folder and logs them.
        """
        if self.email_provider is not None:
            return self.email_provider
        if self.email_from:
            for name, switch in SWITCHES.items():
                if getattr(self, switch):
                    return name
        return "" if is_production(self.env) else "log"

    @property
    def sender(self) -> tuple[str, str]:
        """The name and the address that mails come from."""
        address = self.email_from or "atom@localhost"
        return self.email_from_name or self.app_name, address


def is_shown(config: Mapping[str, Any]) -> bool:
    """Whether templates are shown to whoever asks: in development alone."""
    return not is_production(view(MailConfig, config).env)


def faults(config: Mapping[str, Any]) -> list[str]:
    """Return what is missing for the provider that config asks for."""
    given = view(MailConfig, config)
    switch = SWITCHES.get(given.email_provider or "")
    found = []
    if switch and not getattr(given, switch):
        named = f"config_email_provider={given.email_provider}"
        found.append(f"{named}: set config_{switch} as well")
    if (switch or given.smtp_host) and not given.email_from:
        found.append("config_email_from: set the address that mails come from")
    return found
