"""CORS for requests of browsers: a request without Origin is not slowed down by it."""

from collections.abc import Coroutine
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send


class CorsForBrowsers(CORSMiddleware):
    """Starlette's CORS, passed by a request without Origin.

    `Vary: Origin`, which Starlette would add then, is on every answer of Atom
    (`atom.http.exchange.ALWAYS`).
    """

    def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        for name, _ in scope.get("headers", ()):
            if name == b"origin":
                return super().__call__(scope, receive, send)
        return self.app(scope, receive, send)  # type: ignore[return-value]
