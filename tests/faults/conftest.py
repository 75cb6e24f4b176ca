"""A real server that tests may kill, starve and mistreat."""
import http.client
import json
import secrets
import urllib.parse

import pytest

from stoa_server import Stoa, need_models


class Server(Stoa):
    """Speaks HTTP to the server itself: what was acknowledged is what a response said."""

    def __init__(self, home, models=False):
        super().__init__(home, models)
        self.secret = None

    def start(self):
        super().start()
        if self.secret is None:
            self.secret = self.key("ann", role="admin")
        return self

    def call(self, method, path, body=None, headers=None, timeout=30):
        """(status, bytes); raises OSError or HTTPException when the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            everything = {"Authorization": f"Bearer {self.secret}", **(headers or {})}
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                everything["Content-Type"] = "application/json"
            connection.request(method, path, body, everything)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def ok(self, method, path, body=None, **options):
        status, text = self.call(method, path, body, **options)
        assert status in (200, 201), f"{method} {path}: {status} {text[:500]!r}"
        return json.loads(text)

    def pages(self, path):
        """Every item of a cursor-paged listing."""
        items, after = [], ""
        while True:
            page = self.ok("GET", f"{path}?limit=100&order=asc" + (f"&after={urllib.parse.quote(after)}" if after else ""))
            items += page["data"]
            if not page["has_more"]:
                return items
            after = page["last_id"]

    def upload(self, name, content, purpose="assistants"):
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return self.call("POST", "/v1/files", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def engine(server):
    """The engine's part of the server's status."""
    return server.ok("GET", "/v1/stoa/status")["engine"]


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "home").start()
    yield running
    running.stop()


@pytest.fixture
def server_with_models(tmp_path):
    need_models()
    running = Server(tmp_path / "home", models=True).start()
    yield running
    running.stop()
