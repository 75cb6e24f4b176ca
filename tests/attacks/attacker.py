"""Who attacks: a caller that records what was refused, and fails a test at once where an answer holds what it must not."""
import collections
import http.client
import json
import re
import secrets
import socket

# What differs between two requests whatever they ask for.
PASSING = {"date", "x-request-id", "request-id", "x-stoa-trace-id", "openai-processing-ms", "x-stoa-cost-micro-usd", "connection", "keep-alive"}
REFUSALS = (400, 401, 403, 404, 405, 409, 413, 422)

Refused = collections.namedtuple("Refused", "caller method path status request_id")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def without(self, *words):
        """Status, headers and text with `words` blanked: what an attacker could tell two answers apart by."""
        text, headers = self.text, {name: value for name, value in self.headers.items() if name not in PASSING}
        for word in filter(None, words):
            text = text.replace(word, "<asked>")
            headers = {name: value.replace(word, "<asked>") for name, value in headers.items()}
        headers.pop("content-length", None)  # follows from the text
        return self.status, headers, re.sub(r"req_[0-9a-z]+", "<request>", text)

    def __repr__(self):
        return f"{self.status} {self.text[:300]!r}"


class Attacker:
    """Speaks HTTP with one credential. `blind_to`: what no answer to it may hold, unless the request held it."""

    def __init__(self, port, name, key, refused):
        self.port, self.name, self.key, self.refused = port, name, key, refused
        self.blind_to = set()
        self.identity = {}
        self.connection = None

    def call(self, method, path, body=None, headers=None, timeout=30, sees=False):
        """`sees`: what it is blind to otherwise was given to it, as by a link."""
        everything = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        everything |= headers or {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            everything.setdefault("Content-Type", "application/json")
        answer = self._send(method, path, body, everything, timeout)
        sent = path + (body if isinstance(body, str) else "")
        held = answer.text + " ".join(answer.headers.values())
        # The log of one's own tenant names what one has asked for; test_lists.py looks at whose entries it holds.
        leaked = [word for word in self.blind_to if word in held and word not in sent and not path.startswith("/v1/stoa/audit")]
        assert sees or not leaked, f"{self.name}: {method} {path} tells {leaked}: {answer}"
        assert answer.status < 500, f"{self.name}: {method} {path} {str(body)[:200]}: {answer}"
        if answer.status in REFUSALS and self.key and answer.status != 401:
            self.refused.append(Refused(self.name, method, path, answer.status, answer.headers.get("x-request-id", "")))
        return answer

    def _send(self, method, path, body, headers, timeout):
        for attempt in range(2):  # an idle connection may have been closed
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
                self.connection._validate_path = lambda url: None  # attacks send what a library would not
            try:
                self.connection.request(method, path, body, headers)
                reply = self.connection.getresponse()
                answer = Answer(reply.status, reply.getheaders(), reply.read())
                if reply.will_close:
                    self.close()
                return answer
            except (http.client.HTTPException, OSError):
                self.close()
                if attempt:
                    raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def ok(self, method, path, body=None, **options):
        answer = self.call(method, path, body, **options)
        assert answer.status in (200, 201), f"{self.name}: {method} {path}: {answer}"
        return answer.json

    def upload(self, name, content, access=None, purpose="assistants"):
        boundary = secrets.token_hex(16)
        fields = {"purpose": purpose, **({"stoa_access": access} if access else {})}
        body = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()).encode()
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'.encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        return self.call("POST", "/v1/files", body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})


def raw(port, data, seconds=5, half_close=False, pieces=()):
    """Sends bytes as they are; gives all that comes back until the server closes, or is silent for `seconds`."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        reply = b""
        try:
            connection.sendall(data)
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while sending: the answer is in the buffer
        try:
            while piece := connection.recv(65536):
                reply += piece
        except OSError:
            pass
        return reply


def statuses(reply):
    """The status of each response in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", reply)]
