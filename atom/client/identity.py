"""Google's public keys, by which ID tokens are verified."""

from typing import Any

from atom.client import Client, Config, Live
from atom.client.http import GOOGLE_KEY
from atom.client.signing_key import SigningKeys
from atom.config.parse import names, text
from atom.config.resolve import Key

URL = "https://www.googleapis.com/oauth2/v3/certs"
PARENT = "client_http"
URL_KEY = "config_google_certs_url"


class GoogleKeys(SigningKeys):
    """Google's keys, and the client ids that its tokens may be for."""

    def __init__(self, http: Any, url: str, client_ids: tuple[str, ...]) -> None:
        super().__init__(http, url, "Google", URL_KEY)
        self.client_ids = client_ids


async def use(config: Config, live: Live) -> GoogleKeys:
    """Return the keys; they are read for the first login."""
    return GoogleKeys(live[PARENT], config[URL_KEY], config[GOOGLE_KEY])


async def examine(keys: GoogleKeys) -> str:
    """Read the keys."""
    await keys.read()
    return ""


GOOGLE = Client(
    name="client_google",
    needs=(GOOGLE_KEY,),
    package="cryptography==50.0.2",
    keys=(
        Key(
            GOOGLE_KEY,
            names,
            (),
            "Client ids of Google; ID tokens for them log in.",
        ),
        Key(URL_KEY, text, URL, "Where Google's public keys are."),
    ),
    open=use,
    examine=examine,
    optional=(URL_KEY,),
    after=PARENT,
)
