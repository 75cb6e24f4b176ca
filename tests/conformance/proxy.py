"""A proxy on loopback that misbehaves on request: it answers with an error first, or cuts a response off."""
import http.server
import threading
import urllib.error
import urllib.request


class Proxy:
    """`refusals`: responses (status, headers) sent in turn before requests reach the server. `cut_after`: bytes of a response after
    which the connection is closed without its proper end."""

    def __init__(self, upstream, refusals=(), cut_after=None):
        self.refusals = list(refusals)
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                outer.requests += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if outer.refusals:
                    status, headers = outer.refusals.pop(0)
                    text = b'{"error":{"message":"try later","type":"rate_limit_error","param":null,"code":null}}'
                    self.send_response(status)
                    for name, value in {**headers, "content-type": "application/json", "content-length": str(len(text))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text)
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "connection")}
                request = urllib.request.Request(upstream + self.path, data=body, headers=headers, method="POST")
                try:
                    reply = urllib.request.urlopen(request, timeout=60)
                except urllib.error.HTTPError as error:
                    reply = error
                with reply:
                    self.send_response(reply.status)
                    self.send_header("content-type", reply.headers["content-type"])
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    sent = 0
                    while piece := reply.read1(512):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        self.wfile.flush()
                        sent += len(piece)
                        if cut_after is not None and sent >= cut_after:
                            self.close_connection = True
                            self.connection.shutdown(2)
                            return
                    self.wfile.write(b"0\r\n\r\n")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
