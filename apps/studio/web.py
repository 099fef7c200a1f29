"""The studio as a web application: the page, one websocket per tab, files in, results out."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket
from vmfm.apps.studio.guard import Guard
from vmfm.apps.studio.tab import Tab
from vmfm.apps.studio.uploads import ROLES, check, receive, safe_name
from vmfm.runtime import Bundle, VmfmError

MOST_TABS = 4
_PAGE = Path(__file__).parent / "page"


@dataclass
class Studio:
    """What all tabs share. folder: where their files go. tabs: those that are open, by name."""

    bundle: Bundle
    backend: str
    folder: Path
    tabs: dict[str, Tab] = field(default_factory=dict)


def build_app(studio: Studio, token: str, hosts: Collection[str]) -> Starlette:
    """token: what every path begins with. hosts: as Guard takes them."""

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        if len(studio.tabs) >= MOST_TABS:
            text = f"{MOST_TABS} pages of the studio are open already: close one, then reload this one"
            await socket.send_json({"type": "full", "text": text})
            return await socket.close()
        name = secrets.token_urlsafe(8)
        async with Tab(name, studio.bundle, studio.backend, studio.folder / name) as tab:
            studio.tabs[name] = tab
            try:
                await tab.serve(socket)
            finally:
                del studio.tabs[name]

    async def take(request: Request) -> Response:
        """The body is the file."""
        tab, role = _tab(request), request.path_params["role"]
        if role not in ROLES:
            raise HTTPException(404)
        tab.tidy()
        with tab.place_for(role, safe_name(request.query_params.get("name", ""))) as path:
            try:
                await receive(request.stream(), path)
                await run_in_threadpool(check, path, role)
            except ClientDisconnect:
                return Response(status_code=400)
            except VmfmError as error:
                return JSONResponse({"problem": f"{tab.without_folders(str(error))}. Choose another file."}, 422)
            tab.take(role, path)
        return JSONResponse({})

    async def give(request: Request) -> Response:
        results = _tab(request).results.glob("*")
        file = next((file for file in results if file.name == request.path_params["name"]), None)
        if file is None:
            raise HTTPException(404)
        return FileResponse(file, filename=file.name, content_disposition_type="attachment")

    def _tab(request: Request) -> Tab:
        tab = studio.tabs.get(request.path_params["tab"])
        if tab is None:
            raise HTTPException(404)
        return tab

    routes = [
        WebSocketRoute("/live", live),
        Route("/tabs/{tab}/results/{name}", give),
        Route("/tabs/{tab}/{role}", take, methods=["POST"]),
        Mount("/", StaticFiles(directory=_PAGE, html=True)),
    ]
    return Starlette(
        routes=[Mount("/{token}", routes=routes)], middleware=[Middleware(Guard, token=token, hosts=hosts)]
    )
