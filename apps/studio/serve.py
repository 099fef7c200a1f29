"""`vmfm studio`: serves the page on this computer, to this computer, until Ctrl-C."""

import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.studio.errors import StudioError
from vmfm.apps.studio.web import Studio, build_app
from vmfm.runtime import Bundle

_LOOPBACK = "127.0.0.1"
_LARGEST_SHOT_BYTES = 8 << 20
_GRACE_SECONDS = 30  # an export ends with its next frame, a download with its page


@dataclass(frozen=True)
class Settings:
    """port: 0 takes any that is free. browser: whether to open the page in one."""

    bundle: str = "lite"
    backend: str = "auto"
    port: int = 0
    browser: bool = True


def run_studio(settings: Settings, tell: Callable[[str], None]) -> None:
    """Runs until Ctrl-C. tell: called with the page's address.

    Raises BundleError, and StudioError for a port that cannot be had.
    """
    silence_codecs()
    bundle = Bundle.open(settings.bundle)
    token = secrets.token_urlsafe(16)
    with (
        _listen(settings.port) as listener,
        TemporaryDirectory(prefix="vmfm-studio-", ignore_cleanup_errors=True) as folder,
        suppress(KeyboardInterrupt),
    ):
        port = listener.getsockname()[1]
        app = build_app(
            Studio(bundle, settings.backend, Path(folder)), token, [f"{_LOOPBACK}:{port}", f"localhost:{port}"]
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                ws_max_size=_LARGEST_SHOT_BYTES,
                ws_per_message_deflate=False,  # pictures are compressed already
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        address = f"http://{_LOOPBACK}:{port}/{token}/"
        tell(address)
        if settings.browser:
            webbrowser.open(address)  # it waits until the server takes up what the listener has heard
        server.run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise StudioError(f"port {port} cannot be had ({error}): give another --port, or none for any") from error
