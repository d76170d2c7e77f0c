"""``--follow``: the page of a run that still trains, served to this machine alone."""

import os
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from contsemi.errors import ContsemiError, InputError
from contsemi.records.finished import load_run
from contsemi.report.material import Material
from contsemi.report.pages.page import page, progress_page

HOST = "127.0.0.1"


def current_page(folder: str | os.PathLike[str]) -> bytes:
    """The page as the files stand now: of the finished run, or of its progress.

    Args:
        folder: the output folder.

    Raises:
        InputError: there is no such folder, or a file in it is damaged.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(str(path), "there is no such folder", "give the folder of a run")
    if (path / "results.json").is_file():
        return page(load_run(path))
    return progress_page(Material.so_far(path))


def serve(folder: str | os.PathLike[str], port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback that draws the page anew at every request; it is not started here.

    Nothing but that page can be fetched, and no request changes anything.

    Args:
        folder: the output folder.
        port: 0 for a free one.

    Raises:
        InputError: the folder is missing or damaged, or the port is taken or none.
    """
    current_page(folder)  # a wrong folder is said at once and not in the browser

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # a tab that was closed while the page was drawn
                super().handle()

        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            try:
                content, kind = current_page(folder), "text/html; charset=utf-8"
            except ContsemiError as error:
                content, kind = f"error: {error}\n".encode(), "text/plain; charset=utf-8"
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """The screen stays quiet."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        problem = getattr(error, "strerror", None) or "expected a number from 0 to 65535"
        raise InputError("--port", f"{port}: {problem}", "give another, or none") from error
