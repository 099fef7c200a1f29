"""Who gets in at the studio: nobody without the token, and no other page even with it."""

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from vmfm.apps.studio import web

HOST, TOKEN = "127.0.0.1:8000", "right"
OWN = {"origin": f"http://{HOST}"}


@pytest.fixture
def client(tiny_bundle, tmp_path):
    app = web.build_app(web.Studio(tiny_bundle, "cpu", tmp_path), TOKEN, [HOST])
    with TestClient(app, base_url=f"http://{HOST}") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/studio.js", "//", "/wrong/tabs/x/clip", f"/{TOKEN[:-1]}/"])
def test_nobody_without_the_token(client, path):
    answer = client.get(path)
    assert answer.status_code == 403
    assert "address that vmfm studio printed" in answer.text


def test_the_page_and_its_parts(client):
    page = client.get(f"/{TOKEN}/", headers=OWN)
    assert page.status_code == 200 and "<title>VMFM studio" in page.text
    for part in ("studio.js", "studio.css", "icon.svg"):
        assert part in page.text
        assert client.get(f"/{TOKEN}/{part}").status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_is_kept_nowhere(client):
    headers = client.get(f"/{TOKEN}/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example:8000"}]
)
def test_no_other_page_even_with_the_token(client, headers):
    """The last of these is a name that others make point here."""
    assert client.get(f"/{TOKEN}/", headers=headers).status_code == 403
    assert client.post(f"/{TOKEN}/tabs/any/clip", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"ws://{HOST}/{TOKEN}/live", headers=headers):
        pass


def test_no_websocket_without_the_token(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"ws://{HOST}/wrong/live", headers=OWN):
        pass
