"""A tiny HTTP server that the agent's tests run as pods: says who it is and does as it is told.

GET /name, /ready (readiness), /alive (liveness), /slow (answers after a second), /environment;
POST /unready, /recover, /sicken, /die, /prestop. Its own command line is printed at the start.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import sys
import threading
import time

STATE = {"ready": True, "alive": True}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        healthy = STATE.get(self.path.strip("/"), True)
        answer = os.environ["POD_NAME"]
        if self.path == "/environment":
            answer = json.dumps(dict(os.environ))
        self.answer(200 if healthy else 503, answer)

    def do_POST(self) -> None:
        changes = {"/unready": ("ready", False), "/recover": ("ready", True)}
        changes["/sicken"] = ("alive", False)
        if self.path in changes:
            key, value = changes[self.path]
            STATE[key] = value
        print("told", self.path, flush=True)
        self.answer(200, "")
        if self.path == "/die":
            os._exit(7)

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        if self.path == "/prestop":
            print("prestop", flush=True)


def main() -> None:
    server = http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler)
    server.daemon_threads = False

    def stop(*_: object) -> None:
        print("terminated", flush=True)
        if "--stubborn" not in sys.argv:
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    print("started", *sys.argv[1:], flush=True)
    server.serve_forever(poll_interval=0.05)
    # Closes the listening socket and waits for requests that are being answered.
    server.server_close()


if __name__ == "__main__":
    main()
