"""What tests of several rooms share."""

import importlib.util
import io
import multiprocessing
import os
import pickle
import shutil
import signal
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import settings
from PIL import Image

from contsemi.devices.ranks import Ranks
from contsemi.records.manifest import manifest
from contsemi.records.records import Records
from contsemi.records.results import results
from contsemi.records.trajectories import load_trajectories


@pytest.hookimpl(tryfirst=True)  # before marks choose
def pytest_collection_modifyitems(items):
    """Of a test with the mark ``quick(n)`` all cases but n, evenly spread, are thorough ones."""
    cases = {}
    for item in items:
        if (mark := item.get_closest_marker("quick")) and not item.get_closest_marker("slow"):
            cases.setdefault((item.nodeid.partition("[")[0], mark.args[0]), []).append(item)
    for (_, most), group in cases.items():
        chosen = {i * len(group) // most for i in range(most)}
        for place, item in enumerate(group):
            if place not in chosen:
                item.add_marker("thorough")


# How long one example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _threads():
    """Tests run side by side; one thread each is fastest, and keeps sums in one order.

    The first backward pass of a process starts a thread for each device that torch knows then, and
    with such threads no forked process could run one (``in_ranks``). A compiler makes more devices
    known, so the first pass is here, before any.
    """
    torch.set_num_threads(1)
    torch.zeros((), requires_grad=True).backward()


@pytest.fixture(scope="session", autouse=True)
def _signals():
    """Where the tests run under nohup or behind a script, a signal that they send still arrives."""
    usual = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    for number, handler in usual.items():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def cifar100_root():
    """Folder of the real CIFAR-100 in parquet files; skips where there is none."""
    root = Path(__file__).parents[1]
    places = [os.environ.get("CONTSEMI_CIFAR100"), root.parent / "shared" / "data" / "cifar100"]
    for place in places:
        if place and Path(place, "data").is_dir():
            return Path(place)
    pytest.skip("no CIFAR-100 here: set CONTSEMI_CIFAR100 to a folder of its parquet files")


def beside(name):
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium here")
    browser = beside("browser").Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


SMALL = (
    "model.width=8",
    "optim.epochs=2",
    "batch.unlabelled=96",
    "objective.labelled_views=1",
    "memory.exemplars=60",
    "threads=1",
    "display=quiet",
    "device=cpu",
)


@pytest.fixture(scope="session")
def small():
    """Composes a run on the real digits that trains in a second or two."""
    from contsemi import compose
    from contsemi.compose import files
    from contsemi.compose.unread import REMEMBERS

    baselines = files.names("baseline")

    def load(*words):
        given = {word.split("=")[0] for word in words}
        words = [*(word for word in SMALL if word.split("=")[0] not in given), *words]
        if given & {"method", "objective", "model"}:  # which may not have these keys
            words = [word for word in words if not word.startswith(("model.w", "objective.lab"))]
        last = {word.split("=")[0]: word for word in words}  # a command takes each key once
        method = last.get("method", "").removeprefix("method=")
        if method in baselines and method not in REMEMBERS and "memory.exemplars" not in given:
            del last["memory.exemplars"]
        return compose.load(list(last.values()))

    return load


@pytest.fixture(scope="session")
def stream_of():
    """Builds the stream of a configuration, with its test images."""
    from contsemi import data
    from contsemi.data.scenario import build
    from contsemi.labels import LabelBudget

    def make(config, change=lambda train: train):
        train, test = data.load(config.data, config.scenario.dataset)
        budget = LabelBudget.parse(config.label_ratio)
        return build(config.scenario, budget, change(train), test, config.seed), test

    return make


@pytest.fixture(scope="session")
def pictures():
    """40 small JPEGs, each of a size of its own."""
    draw, found = np.random.default_rng(0), []
    for number in range(40):
        size = (20 + number % 7, 18 + number % 5)
        coarse = draw.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG")
        found.append(stream.getvalue())
    return found


@pytest.fixture(scope="session")
def shards_of(tmp_path_factory):
    """Writes encoded images as shards, and gives their store."""
    from contsemi.data.shards.index import index_of
    from contsemi.data.shards.layout import layout_of
    from contsemi.data.shards.reading import Shards
    from contsemi.data.shards.writing import Sample, Split, write_shards

    def make(train, side=16, originals=True):
        root = tmp_path_factory.mktemp("shards")
        samples = [Sample(str(n), each, n % 4) for n, each in enumerate(train)]
        splits = {name: Split(len(train), iter(samples)) for name in ("train", "test")}
        write_shards(root / "s", splits, "abcd", of="these", images=15, workers=1)
        found = index_of(layout_of(root / "s"), str(root / "cache"), 1)
        return Shards(found.splits["train"], side, originals=originals, workers=2)

    return make


@pytest.fixture(scope="session")
def make_step():
    """Makes a step by hand; what is not given is missing, and it is the first of two classes.

    Views may be given whole, as ``seen``, or by what the student says of each of the usual ones,
    and besides by ``teacher`` (of the large ones), ``teacher_labelled``, and ``past``: a
    dictionary of what the newest frozen network says.
    """
    from contsemi.seeding import generator
    from contsemi.types import Seen, Step

    def make(**given):
        labels = given.get("labels", torch.empty(0, dtype=torch.int64))
        ids = given.pop("unlabelled_ids", torch.arange(given.pop("batch_size", 0)))
        teachers = {"large": given.pop("teacher", None)}
        teachers["labelled"] = given.pop("teacher_labelled", None)
        past, seen = given.pop("past", None) or {}, dict(given.pop("seen", {}))
        of_labels, of_ids = ("labelled", "labelled_small"), ("large", "small")
        for name in (*of_labels, *of_ids):
            rows = labels if name in of_labels else ids
            student, teacher = given.pop(name, None), teachers.get(name)
            if student is None and teacher is None and past.get(name) is None:
                continue
            known = next(x for x in (student, teacher, past.get(name)) if x is not None)
            if not len(known):
                continue
            frozen = () if past.get(name) is None else (past[name],)
            number = len(known) // max(len(rows), 1)
            kind = "labelled" if name in of_labels else "unlabelled"
            seen[name] = Seen(
                student=student, teacher=teacher, past=frozen, rows=kind, number=number
            )
        return Step(
            **{
                "seen": seen,
                "labels": labels,
                "labelled_ids": torch.arange(len(labels)),
                "unlabelled_ids": ids,
                "places": torch.arange(len(ids)),
                "draw": lambda purpose: generator(0, purpose),
                "columns": torch.arange(given.get("num_old", 0), given.get("num_seen", 2)),
                "num_old": 0,
                "num_seen": 2,
                "progress": 0.0,
            }
            | given
        )

    return make


@pytest.fixture(scope="session")
def official():
    """Loads arrays, compares, and makes steps of NNCSL."""
    found = beside("official")
    return SimpleNamespace(
        load=found.load_arrays, close=found.close_to_official, nncsl=found.NncslBlock
    )


SECONDS = 600  # after which processes that wait for each other are given up


def _work(job, rank, size, store, pipe):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
        dist.barrier()  # gloo takes one that has come and left for one that has crashed
        # By value: torch's own way would hand over tensors of a process that is gone.
        pipe.send_bytes(pickle.dumps((job(Ranks(rank, size)), None)))
        dist.destroy_process_group() if dist.is_initialized() else None
    except BaseException:
        pipe.send_bytes(pickle.dumps((None, traceback.format_exc())))


@pytest.fixture(scope="session")
def in_ranks(tmp_path_factory):
    """Calls ``job(ranks)`` in processes that know each other; what each returned, by rank."""
    context = multiprocessing.get_context("fork")

    def call(job, size=2):
        store = f"file://{tmp_path_factory.mktemp('ranks') / 'store'}"
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        workers = [
            context.Process(target=_work, args=(job, rank, size, store, pipe[1]))
            for rank, pipe in enumerate(pipes)
        ]
        for worker in workers:
            worker.start()
        try:
            found = []
            for receiver, _ in pipes:
                assert receiver.poll(SECONDS), "the processes wait for each other"
                value, error = pickle.loads(receiver.recv_bytes())
                assert error is None, error
                found.append(value)
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        return found

    return call


def decaying(tasks, seed=0):
    """A lower triangle in which every task is forgotten; NaN above the diagonal."""
    rng = np.random.default_rng(seed)
    age = np.subtract.outer(np.arange(tasks), np.arange(tasks))
    accuracy = 0.3 + rng.uniform(0.4, 0.65, tasks) * 0.8 ** np.maximum(age, 0)
    return np.where(age >= 0, accuracy.round(4), np.nan)


def write_curves(records, matrix, evaluations):
    """So many evaluations in each task: old tasks fall by half at first, then come back."""
    for task in range(len(matrix)):
        for n in range(1, evaluations + 1):
            share = 1 - 0.5 * (1 - n / evaluations)
            for kind, power in (("class_incremental", 1.0), ("task_incremental", 0.5)):
                for j in range(task + 1):
                    records.metric(
                        step=10 * (evaluations * task + n),
                        task=task,
                        name=f"trace/{kind}/task_{j + 1}",
                        value=(matrix[task, j] * share) ** power,
                    )


@pytest.fixture
def make_run(tmp_path):
    """Write the folder of a run with ``tasks`` tasks and return it."""

    def make(tasks=3, *, name=None, seed=0, matrix=None, evaluations=0, **facts):
        folder = tmp_path / (name or f"run {tasks} {seed}")
        matrix = decaying(tasks, seed) if matrix is None else matrix
        facts = {"method": "contsemi", "scenario": "digits", "label_ratio": "5%", **facts}
        facts = {"seconds": 61.2, "images_per_second": 2345.6, **facts}
        with Records(folder) as records:
            records.write_config({"method": facts["method"], "optim": {"lr": 1e-5}})
            records.write_manifest(
                manifest(
                    seed=seed,
                    class_order=list(range(10)),
                    label_digest="9f" * 32,
                    labelled=71,
                    device="cpu",
                    threads=2,
                    class_names=["<b>zero</b>", "Bär"],
                )
            )
            records.metric(step=1, task=0, name="loss/prototypes", value=1.5)
            write_curves(records, matrix, evaluations)
            records.flush()
            records.write_matrices(matrix, np.sqrt(matrix))
            records.write_results(
                results(
                    seed=seed,
                    class_incremental=matrix,
                    task_incremental=np.sqrt(matrix),
                    while_training=load_trajectories(folder),
                    **{"memory": {"exemplars": 3_500_000}} | facts,
                )
            )
        return folder

    return make
