"""Signals: at once where nothing is lost, after the step where something would be."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from contsemi.errors import Interrupted
from contsemi.pipeline.signals import WATCHED, Signals
from contsemi.run import main


def test_the_first_signal_is_remembered_and_handlers_come_back():
    signals = Signals()
    before = [signal.getsignal(number) for number in WATCHED]
    with signals.caught(), signals.patient():
        signals.stop_if_asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        with pytest.raises(Interrupted) as caught:
            signals.stop_if_asked()
    assert caught.value.exit_code == 143
    assert [signal.getsignal(number) for number in WATCHED] == before


@pytest.mark.parametrize("number", WATCHED)
def test_outside_of_a_step_it_ends_at_once(number):
    signals = Signals()
    signals.then = "starts anew"
    with signals.caught():
        with signals.patient():
            pass
        with pytest.raises(Interrupted, match="the same command starts anew") as caught:
            os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.thorough
def test_the_second_signal_ends_the_process(second):
    program = f"""
        import os, signal, time
        from contsemi.pipeline.signals import Signals
        signals = Signals()
        with signals.caught(), signals.patient():
            os.kill(os.getpid(), signal.SIGINT)
            print("still here", flush=True)
            os.kill(os.getpid(), {int(second)})
            time.sleep(5)
            print("too long", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert done.stdout == "still here\n"
    assert done.returncode == -second


def test_a_step_that_goes_on_is_said_at_once():
    signals, said = Signals(), []
    signals.tell = said.append
    with signals.caught(), signals.patient():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [text.partition(";")[0] for text in said] == ["stopping after this step"]


def test_a_screen_that_is_being_written_to_is_left_alone():
    """Python refuses to write to a buffer that it is just writing."""

    def busy(text):
        raise RuntimeError("reentrant call inside <_io.BufferedWriter>")

    signals = Signals()
    signals.tell = busy
    with signals.caught(), signals.patient():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == signal.SIGTERM


def test_a_hang_up_that_nohup_has_switched_off_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals = Signals()
        with signals.caught():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_broad_except_keeps_a_run_from_ending():
    signals = Signals()
    with signals.caught(), pytest.raises(Interrupted):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Exception as error:
            raise AssertionError("taken for a damaged file") from error


def test_outside_the_main_thread_signals_are_left_alone():
    said = []

    def work():
        with Signals().caught():
            said.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["worked"]


def test_once_more_on_the_way_out_still_says_the_first(monkeypatch, capsys):
    def work(*words):
        try:
            raise Interrupted(signal.SIGTERM, "goes on from here")
        finally:
            raise KeyboardInterrupt

    monkeypatch.setattr("contsemi.run._main", work)
    assert main([]) == 143
    assert (
        "error: stopped by signal 15; the same command goes on from here" in capsys.readouterr().err
    )
