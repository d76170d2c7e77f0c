"""The page of a run that trains, over loopback."""

import re
import socket
import struct
import threading
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest

from contsemi.errors import InputError
from contsemi.records.records import Records
from contsemi.report.__main__ import main
from contsemi.report.follow import HOST, current_page, serve

PLACE = {
    "task": 1,
    "tasks": 5,
    "epoch": 0,
    "epochs": 10,
    "step": 20,
    "steps": 40,
    "losses": {"prototypes": 1.25},
    "seconds_left": 125.0,
}


@pytest.fixture
def training(tmp_path):
    """The folder of a run in its second task, while a line is being written."""
    folder = tmp_path / "training"
    with Records(folder) as records:
        records.write_progress(PLACE)
        records.write_config({"method": "<b>suave</b>", "scenario": {"name": "digits"}})
        records.metric(step=40, task=1, name="loss/prototypes", value=1.25)
        for step, task, row in ((10, 0, [0.5]), (20, 1, [0.25, 0.75])):
            for j, value in enumerate(row):
                name = f"trace/class_incremental/task_{j + 1}"
                records.metric(step=step, task=task, name=name, value=value)
        records.write_matrices(np.array([[0.5, np.nan], [np.nan, np.nan]]), np.full((2, 2), np.nan))
        records.flush()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "ta')
    return folder


def test_a_run_that_trains(training):
    text = current_page(training).decode()
    assert "Task 2 (of 5) · epoch 1/10 · step 20/40 · 2 min 05 s left" in text
    assert "prototypes 1.25" in text
    assert '<progress max="1" value="0.2100">' in text
    assert "&lt;b&gt;suave&lt;/b&gt; · digits" in text
    assert 'http-equiv="refresh" content="5"' in text
    assert text.count("<svg") == 4
    assert "Inside tasks" in text
    assert "nan" not in text.lower()


def test_an_empty_folder(tmp_path):
    assert "Nothing is measured yet" in current_page(tmp_path).decode()


def test_a_finished_run_is_not_loaded_again(make_run):
    text = current_page(make_run(3)).decode()
    assert "refresh" not in text
    assert "Summary" in text


def test_over_loopback(training):
    with serve(training) as server:
        assert server.server_address[0] == HOST == "127.0.0.1"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        where = f"http://{HOST}:{server.server_port}"
        with urlopen(f"{where}/") as answer:
            assert re.search(rb"Task 2 .*step 20/40", answer.read())
            assert answer.headers["Cache-Control"] == "no-store"
        (training / "accuracy_matrix.csv").write_text("1,98\n")
        with urlopen(f"{where}/") as answer:
            assert answer.read().startswith(b"error: ")
        for other in ("/config.yaml", "/../config.yaml", "//etc/passwd"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(where + other)
        server.shutdown()
        thread.join()


def test_a_tab_that_is_closed_while_the_page_is_drawn_says_nothing(training, monkeypatch, capfd):
    asked, gone = threading.Event(), threading.Event()

    def drawn(folder):
        asked.set()
        assert gone.wait(60)
        return bytes(1_000_000)

    with serve(training) as server:
        server.daemon_threads = False  # leaving the block waits for who answers
        monkeypatch.setattr("contsemi.report.follow.current_page", drawn)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.create_connection((HOST, server.server_port)) as tab:
            tab.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert asked.wait(60)
            # Closed with a reset, as a browser that loads the page anew may do.
            tab.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.set()
        server.shutdown()
    assert capfd.readouterr() == ("", "")


def test_a_wrong_folder_is_said_at_once(tmp_path, capsys):
    with pytest.raises(InputError, match="no such folder"):
        serve(tmp_path / "gone")
    assert main([str(tmp_path), str(tmp_path / "other"), "--follow"]) == 2
    assert "follows one run" in capsys.readouterr().err


def test_a_port_that_is_taken(training, capsys):
    with serve(training) as server:
        assert main([str(training), "--follow", "--port", str(server.server_port)]) == 2
    assert capsys.readouterr().err.startswith("error: --port")
