"""A server that nobody has any reason to visit."""
import http.server
import json
import threading


class Canary(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.visits = []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def get_request(self):
        request = super().get_request()
        self.visits.append(request[1])  # a connection is a visit, whatever is said on it
        return request


class Issuer(Canary):
    """An identity provider that has one key; `jwk` is its public part."""

    def __init__(self, jwk):
        super().__init__()
        discovery = {"issuer": self.url, "jwks_uri": self.url + "/keys", "authorization_endpoint": self.url + "/auth", "token_endpoint": self.url + "/token",
                     "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]}
        self.pages = {"/.well-known/openid-configuration": discovery, "/keys": {"keys": [jwk]}}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = json.dumps(getattr(self.server, "pages", {}).get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_POST = do_PUT = do_HEAD = do_CONNECT = do_GET

    def log_message(self, *_):
        pass
