"""CORS for those who ask: a request without Origin is not slowed down by it."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send


class CorsForBrowsers(CORSMiddleware):
    """Starlette's CORS, passed by when no browser asks.

    `Vary: Origin`, which Starlette would add then, stands on every answer of ours
    (`atom.http.exchange.ALWAYS`).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, _ in scope.get("headers", ()):
            if name == b"origin":
                return await super().__call__(scope, receive, send)
        await self.app(scope, receive, send)
