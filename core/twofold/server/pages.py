"""Serves the files of the playground from the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from twofold.wires.openai import write_error

if TYPE_CHECKING:
    from starlette.types import Scope

PLAYGROUND = files("twofold.server") / "playground"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
"""The page loads nothing from other hosts and sends nothing to them."""


class Pages(StaticFiles):
    def __init__(self) -> None:
        super().__init__(directory=str(PLAYGROUND), html=True, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or a 404 with a message."""
        try:
            response: Response = await super().get_response(path, scope)
        except HTTPException as error:
            missing = not (PLAYGROUND / "index.html").is_file()
            words = (
                "this installation has no playground"
                if missing
                else f"there is no page {path[:80]!r}; /docs lists the routes"
            )
            said = words if error.status_code == 404 else error.detail
            response = Response(write_error(said, error.status_code), error.status_code, media_type="application/json")
        response.headers.update(HEADERS)
        return response

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response: Response = super().file_response(*arguments, **named)
        response.headers.update(HEADERS)
        return response
