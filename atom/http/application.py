"""FastAPI, with nothing in front of the steps."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from atom.http.cors import CorsForBrowsers


class Application(FastAPI):
    """A FastAPI application that hands requests to its middleware at once.

    The steps answer every error and limit every body, so the layers of FastAPI that
    would do that are left out where the first middleware is Atom's own.
    """

    _entry: ASGIApp | None = None

    def build_middleware_stack(self) -> ASGIApp:
        """Build what FastAPI builds, and find where the steps begin."""
        stack = super().build_middleware_stack()
        first: Any = self.user_middleware[0].cls if self.user_middleware else None
        if first is CorsForBrowsers and self.max_body_size is None:
            layer: Any = stack
            while not isinstance(layer, CorsForBrowsers):
                layer = layer.app
            self._entry = layer
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = self._entry
        if entry is None or scope["type"] == "lifespan":
            return await super().__call__(scope, receive, send)
        scope["app"] = self
        await entry(scope, receive, send)
