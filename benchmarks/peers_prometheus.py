"""Prometheus' own CPU for a scrape: a real server of it takes in what the exporter has said."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.accounting import process_cpu_seconds
from benchmarks.peers_exporter import free_port

_INTERVAL_SECONDS = 5
_SETTLE_SECONDS = 3.5  # after a scrape was served; before the next one
_PATIENCE_SECONDS = 60.0
_CONFIG = """\
global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s}}
scrape_configs: [{{job_name: peers, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]
"""


def scrape_seconds(program: Path, folder: Path, bodies: Sequence[bytes], scrapes: int) -> float:
    """CPU seconds of Prometheus for one scrape, mean of `scrapes`; the first, which makes the series, is not counted.

    The bodies are served in turn by this process, and not by the exporter. Raises RuntimeError.
    """
    served = threading.Semaphore(0)
    turns = itertools.cycle(bodies)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = next(turns)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            served.release()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = folder / "prometheus.yml"
        config.write_text(_CONFIG.format(seconds=_INTERVAL_SECONDS, port=server.server_address[1]), encoding="utf-8")
        log = folder / "prometheus.log"
        command = [str(program), f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
        command += [f"--web.listen-address=127.0.0.1:{free_port()}", "--log.level=warn"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        try:
            marks = []
            for _ in range(scrapes + 1):
                if not served.acquire(timeout=_PATIENCE_SECONDS) or process.poll() is not None:
                    raise RuntimeError(f"Prometheus does not scrape:\n{log.read_text()[-2000:]}")
                time.sleep(_SETTLE_SECONDS)
                marks.append(process_cpu_seconds(process.pid))
            return (marks[-1] - marks[0]) / scrapes
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            server.shutdown()
