"""A real browser for tests of pages: Chromium, told over a pipe, which needs no other package."""

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import time

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Browser:
    """Chromium, told over a pipe in the DevTools protocol; one page at a time."""

    def __init__(self, program, profile):
        theirs, self.to = os.pipe()
        self.back, answers = os.pipe()
        # Away from 3 and 4, where Chromium looks for the pipe.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, answers)]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )
        for fd in (theirs, answers, *high):
            os.close(fd)
        self.heard, self.rest, self.number = [], b"", 0
        pages = self.tell("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in pages if each["type"] == "page")
        attached = self.tell("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for room in ("Page", "Runtime", "Log"):
            self.tell(f"{room}.enable")

    session = None

    def tell(self, method, **params):
        """One command; its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.heard.append(answer)

    def _next(self):
        until = time.monotonic() + 60
        while b"\0" not in self.rest:
            assert select.select([self.back], [], [], until - time.monotonic())[0], "no answer"
            more = os.read(self.back, 1 << 20)
            assert more, "the browser is gone"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, file, *, width, scheme="light"):
        """Shows a file."""
        self.heard.clear()
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", features=features)
        self.tell("Page.navigate", url=file.as_uri())
        while not any(each.get("method") == "Page.loadEventFired" for each in self.heard):
            self.heard.append(self._next())

    @property
    def wrong(self):
        """What went wrong on the page so far."""
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [each for each in self.heard if each.get("method") in bad]

    def value(self, expression):
        """Of an expression of JavaScript, waited for."""
        given = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.tell("Runtime.evaluate", **given)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector):
        """Clicks with the mouse in the middle of an element."""
        x, y = self.value(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])((each => {{"
            f"each.scrollIntoView({{block: 'center'}}); return each.getBoundingClientRect()}})"
            f"(document.querySelector({json.dumps(selector)})))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            given = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.tell("Input.dispatchMouseEvent", **given)

    def type(self, text):
        """Types into what has the focus."""
        self.tell("Input.insertText", text=text)

    def picture(self):
        """The whole page as a PNG file."""
        shot = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def close(self):
        """Ends it, in kindness first."""
        self.session = None
        with contextlib.suppress(OSError, AssertionError):
            self.tell("Browser.close")
        for fd in (self.to, self.back):
            os.close(fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
