"""One page that is open: what it says, what it is told, and the threads that work for it."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect
from vmfm.apps.studio.backdrops import TRANSPARENT
from vmfm.apps.studio.errors import StudioError
from vmfm.apps.studio.events import Message
from vmfm.apps.studio.exports import KINDS, Export, Order
from vmfm.apps.studio.nets import Choice
from vmfm.apps.studio.player import Player
from vmfm.apps.studio.uploads import LIMIT_BYTES, Role
from vmfm.apps.studio.views import VIEWS
from vmfm.runtime import Bundle, MattingStream, VmfmError
from vmfm.runtime.bundle import MOST_PATCHES

UPLOADED = "uploaded"  # what the page calls the background that it handed in


class Tab:
    """Lives as long as the page's websocket; its files vanish with it."""

    def __init__(self, name: str, bundle: Bundle, backend: str, folder: Path) -> None:
        """folder: one of its own, that is not there yet; exports go to `results` in it."""
        self.name, self.folder, self.results = name, folder, folder / "results"
        self._bundle, self._backend = bundle, backend
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._player = Player(self._open_stream, self._emit)
        self._export: Export | None = None
        self._export_held = ExitStack()
        self._files: dict[Role, Path] = {}
        self._received = 0
        self._arriving: set[Path] = set()  # folders of files that come in just now

    async def __aenter__(self) -> Self:
        self.folder.mkdir()
        self._player.__enter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await asyncio.shield(asyncio.to_thread(self._close))  # also where all that is awaited is cancelled

    def _close(self) -> None:
        self._export_held.close()
        self._player.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def serve(self, socket: WebSocket) -> None:
        """Until the page goes. Raises what ended the player before its time."""
        await socket.send_json(
            {
                "type": "hello",
                "tab": self.name,
                "bundle": self._bundle.name,
                "patches": self._bundle.patches,
                "limit_bytes": LIMIT_BYTES,
                "kinds": {key: asdict(kind) for key, kind in KINDS.items()},
            }
        )
        tasks = [asyncio.create_task(self._hear(socket)), asyncio.create_task(self._tell(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
                    raise ended

    async def _hear(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                self._player.put_shot(message["bytes"])
                continue
            try:
                await self._obey(json.loads(message["text"]))
            except (VmfmError, ValueError) as error:
                self._emit({"type": "problem", "text": str(error)})

    async def _tell(self, socket: WebSocket) -> None:
        while (message := await self._outbox.get()) is not None:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(self.without_folders(json.dumps(message)))
        self._player.check()

    async def _obey(self, message: Any) -> None:
        match message:
            case {"do": "shown"}:
                self._player.shown()
            case {"do": "play"}:
                self._player.wish(playing=True)
            case {"do": "pause"}:
                self._player.wish(playing=False)
            case {"do": "seek", "seconds": int() | float() as seconds}:
                self._player.wish(go_to=float(seconds))
            case {"do": "step", "by": 1 | -1 as by}:
                self._player.wish(steps=by, playing=False)
            case {"do": "camera", "on": bool() as on}:
                self._player.wish(camera=on, playing=False)
            case {"do": "look", "views": list() as views, "width": int() as width}:
                self._player.wish(views=tuple(view for view in VIEWS if view in views), width=width)
            case {
                "do": "choose",
                "patches": int() as patches,
                "steady": bool() as steady,
                "detail": "fast" | "balanced" | "fine" as detail,
            }:
                self._player.wish(choice=Choice(min(max(patches, 0), MOST_PATCHES), steady, detail))
            case {"do": "background", "text": str() as text}:
                self._put_behind(text)
            case {"do": "export", "kind": str() as kind}:
                await self._start_export(kind)
            case {"do": "cancel"}:
                if self._export is not None:
                    self._export.cancel()
            case _:
                raise StudioError(f"the page asks for {message!r}, which is not understood: reload it")

    @contextmanager
    def place_for(self, role: Role, name: str) -> Iterator[Path]:
        """Where a file that comes in is to be put; the folder is there, and holds nothing else."""
        self._received += 1
        folder = self.folder / f"{role}-{self._received}"
        folder.mkdir()
        self._arriving.add(folder)
        try:
            yield folder / name
        finally:
            self._arriving.discard(folder)

    def take(self, role: Role, path: Path) -> None:
        """A file that has come in whole takes the place of the one before."""
        self._files[role] = path
        if role == "clip":
            self._player.wish(clip=path, camera=False, playing=False)
        else:
            self._put_behind(UPLOADED)

    def tidy(self) -> None:
        """Deletes files that nothing needs any more."""
        if self._export is not None and self._export.is_running:
            return
        needed = self._arriving | {path.parent for path in self._files.values()}
        for folder in self.folder.glob("*-[0-9]*"):
            if folder not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    def _put_behind(self, text: str) -> None:
        if text == UPLOADED and "background" in self._files:
            text = str(self._files["background"])
        elif text != TRANSPARENT and not text.startswith("#") and text.partition(":")[0] != "blur":
            raise StudioError(f"background {text} is not understood: choose a colour, blur, or hand in a picture")
        self._player.wish(background=text)

    async def _start_export(self, kind: str) -> None:
        if "clip" not in self._files:
            raise StudioError("there is no clip to export: drop one first")
        if self._export is not None and self._export.is_running:
            raise StudioError("an export is running: wait for it, or cancel it")
        await run_in_threadpool(self._export_held.close)
        shutil.rmtree(self.results, ignore_errors=True)
        wanted = self._player.wanted
        order = Order(self._files["clip"], kind, wanted.background, wanted.choice, self.results)
        self._export = self._export_held.enter_context(Export(order, self._bundle, self._backend, self._emit))

    def _open_stream(self, choice: Choice) -> MattingStream:
        return MattingStream(
            self._bundle,
            detail=choice.detail,
            backend=self._backend,
            patches=choice.patches,
            temporal=choice.steady,
            slots=1,
        )

    def _emit(self, message: Message) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it the page
            self._loop.call_soon_threadsafe(self._outbox.put_nowait, message)

    def without_folders(self, text: str) -> str:
        """Temporary folders say nothing to people: of a path in one, the name is left."""
        return re.sub(re.escape(str(self.folder)) + r"[/\\]+(?:[\w-]+[/\\]+)?", "", text)
