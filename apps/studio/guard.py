"""Who may talk to the studio: a page that this very server gave out, to somebody who was told the address."""

import secrets
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

# The page loads nothing from elsewhere, sits in nobody's frame, and its address, which holds the token, goes nowhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Passes on requests and websockets whose path begins with the token, and answers 403 to all others.

    Any page that a person has open can send requests to this computer. So the name that was asked for has to be one of
    `hosts`, which defeats names that others make point here (DNS rebinding), and what a browser says about the page
    that asks (Origin) has to be this server's own.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        """hosts: names with ports, as in 127.0.0.1:8000."""
        self._app, self._token = app, token
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._refusal(scope)
        if not refusal:
            return await self._app(scope, receive, _with_headers(send))
        if scope["type"] == "websocket":
            return await WebSocketClose(code=1008, reason=refusal)(scope, receive, send)
        return await PlainTextResponse(refusal + "\n", 403)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> str:
        """Why not, for people; empty where there is nothing against it."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:
            return "This is not the name that the studio is reached by."
        if headers.get("origin", next(iter(self._origins))) not in self._origins:
            return "Another page may not use the studio."
        token = scope["path"].split("/", 2)[1:2]
        if not token or not secrets.compare_digest(token[0].encode(), self._token.encode()):
            return "The studio opens by the whole address that vmfm studio printed when it was started last."
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending
