"""A server that nobody has any reason to visit."""
import http.server
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


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT = do_HEAD = do_CONNECT = do_GET

    def log_message(self, *_):
        pass
