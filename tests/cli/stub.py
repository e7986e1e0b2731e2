"""A model server on loopback for whole runs of the command line: OpenAI's protocol, canned text."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Stub:
    """answers: the pieces of each call's answer, the last ones for all later calls. pause:
    seconds between pieces. hang: after the pieces nothing more comes until `close`. field: of the
    pieces; reasoning is in one of its own. finish: why an answer ended. locked_after: calls after
    which it wants a key."""

    def __init__(
        self,
        *answers: list[str],
        pause: float = 0.0,
        hang: bool = False,
        field: str = "content",
        finish: str = "stop",
        locked_after: int | None = None,
    ) -> None:
        self.answers = list(answers) or [["canned ", "text"]]
        self.pause = pause
        self.hang = hang
        self.prompts: list[str] = []
        self.keys: list[str | None] = []
        self.closing = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.reply({"object": "list", "data": [{"id": "m", "object": "model"}]})

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                request = json.loads(self.rfile.read(size))
                stub.keys.append(self.headers.get("Authorization"))
                stub.prompts.append("\n".join(str(m["content"]) for m in request["messages"]))
                if locked_after is not None and len(stub.prompts) > locked_after:
                    self.reply({"error": {"message": "a key, please"}}, 401)
                    return
                number = min(len(stub.prompts), len(stub.answers)) - 1
                try:
                    self.stream(stub.answers[number])
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def stream(self, pieces: list[str]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for piece in pieces:
                    self.event({"choices": [{"index": 0, "delta": {field: piece}}]})
                    time.sleep(stub.pause)
                if stub.hang:
                    stub.closing.wait(60)
                    return
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
                usage = {"prompt_tokens": 7, "completion_tokens": len(pieces)}
                self.event({"choices": [], "usage": usage | {"total_tokens": 7 + len(pieces)}})
                self.wfile.write(b"data: [DONE]\n\n")

            def event(self, data: dict[str, Any]) -> None:
                chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", **data}
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.flush()

            def reply(self, data: Any, status: int = 200) -> None:
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
