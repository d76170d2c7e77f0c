"""What a child calls to read one kind of file as the software does; what it returns is the code."""

import dataclasses
import hashlib
import importlib
import io
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from unittest.mock import patch

from contsemi.errors import ContsemiError
from contsemi.records.origin import commit

commit()  # asks git once, before anything hostile is there: a child that starts a program is ended


def _ended(call, *given, **named):
    """The exit code of a call, as the command would end; 0 where nothing was wrong."""
    try:
        call(*given, **named)
    except ContsemiError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    return 0


def checkpoint(words):
    """Folder of saved states, and the digest of their run."""
    from contsemi.storage.checkpoint import Checkpoints

    checkpoints = Checkpoints(Path(words[0]), words[1])
    code = _ended(checkpoints.load)
    for problem in checkpoints.passed_over if not code else ():
        print(f"error: {problem}", file=sys.stderr)
    return code or (4 if checkpoints.passed_over else 0)


def small_network():
    """What weights are read for."""
    import torch

    from contsemi.models.network import Network
    from contsemi.models.resnet_slim import build

    draw = torch.Generator().manual_seed(0)
    return Network(build(width=4, blocks=[1, 1], stem_stride=1), ("projector",), (8, 4), draw)


def weights(words):
    """A file of weights, for a small network."""
    from contsemi.models.pretrained import load_weights

    return _ended(load_weights, small_network(), Path(words[0]), projector=False)


def cifar(words):
    """The folder of a CIFAR whose files, whatever they hold, have the official sums."""
    from contsemi.data.sources import cifar

    root, dataset = Path(words[0]), words[1]
    layout = cifar.LAYOUTS[dataset]

    def sums(names):
        folder = root / layout.folder
        return {n: hashlib.md5((folder / n).read_bytes()).hexdigest() for n in names}

    parts = {part: sums(getattr(layout, part)) for part in ("train", "test", "meta")}
    cifar.LAYOUTS[dataset] = dataclasses.replace(layout, **parts)
    return _ended(cifar.load, root, dataset, size=None, may_download=False)


def archive(words):
    """The same, packed: only the archive's own sum is made to fit."""
    from contsemi.data.sources import cifar

    root, dataset = Path(words[0]), words[1]
    layout = cifar.LAYOUTS[dataset]
    packed = (root / layout.archive).read_bytes()
    fitting = dataclasses.replace(layout, archive_md5=hashlib.md5(packed).hexdigest())
    cifar.LAYOUTS[dataset] = fitting
    return _ended(cifar.load, root, dataset, size=None, may_download=False)


def images(words):
    """A folder of images, and one for the cache."""
    from contsemi.data.sources import folder

    return _ended(folder.load, Path(words[0]), size=8, cache=words[1], workers=1)


def parquet(words):
    """A folder of parquet files, and one for the cache."""
    from contsemi.data.sources import parquet

    return _ended(parquet.load, Path(words[0]), "folder", size=8, cache=words[1], workers=1)


def labels(words):
    """A frozen list of labelled images."""
    from contsemi.labels.draw import read_list

    return _ended(read_list, Path(words[0]), 1000)


def report(words):
    """The folder of a run, drawn anew."""
    from contsemi.report.__main__ import main

    return main(words)


def sketch(words):
    """The same with small pictures, each drawn once: they are the dear part of it."""

    def small(figure, *endings):
        figure.savefig(io.BytesIO(), format="png", dpi=20)
        return dict.fromkeys(endings, b'<svg viewBox="0 0 1 1"></svg>')

    with patch("contsemi.report.figures.drawing._saved", small):
        return report(words)


def output(words):
    """The folder of a run, and its configuration: whether it may be gone on with."""
    from contsemi.storage.folder import OutputFolder

    with warnings.catch_warnings():
        folder = OutputFolder(Path(words[0]), json.loads(words[1]))
        return _ended(lambda: folder.__enter__().__exit__(None, None, None))


def progress(words):
    """The folder of a run that still trains, as its page shows it."""
    from contsemi.report.material import Material
    from contsemi.report.pages.page import progress_page

    return _ended(lambda: progress_page(Material.so_far(Path(words[0]))))


def record(words):
    """The newest record of saved states whose digests are right, for a run of so many tasks."""
    from contsemi.pipeline.standing import Standing
    from contsemi.storage.checkpoint import Checkpoints

    folder, run, tasks = words

    def wrong(content):
        try:
            Standing.of(content, tasks)
        except ContsemiError as error:
            return str(error)
        return ""

    return _ended(Checkpoints(Path(folder), run).load, wrong)


def command(words):
    """A command up to the moment at which training would begin."""
    from contsemi import run

    run._train = lambda config, given=None: None
    return run.main(json.loads(Path(words[0]).read_text()))


def recipes(words):
    """A folder of YAML files, and the words that choose among them."""
    import composed

    from contsemi import compose
    from contsemi.compose import resources

    root, *chosen = words
    composed.groups.compose = composed.compose.__wrapped__
    resources._root = Path(root).resolve
    return _ended(compose.load, chosen)


def each(job):
    """One reader in many folders, one after another; ``ends.jsonl`` tells how each ended.

    Args:
        job: ``reader``, its ``words``, and the ``folders`` below the one where it works.
    """
    call = getattr(importlib.import_module("readers"), job["reader"])
    here = Path.cwd()
    with (here / "ends.jsonl").open("a", buffering=1) as ends:
        for name in job["folders"]:
            ends.write(json.dumps({"begun": name}) + "\n")
            os.chdir(here / name)
            began, before, said = time.process_time(), _most_memory(), os.fstat(2).st_size
            try:
                code = call(job["words"]) or 0
            except SystemExit as ended:
                code = ended.code or 0
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stderr.flush()
            end = {
                "code": code,
                "err": os.pread(2, 10_000, said).decode("utf-8", "backslashreplace"),
                "seconds": time.process_time() - began,
                "grown": _most_memory() - before,
            }
            ends.write(json.dumps(end) + "\n")


def _most_memory():
    """Bytes that were resident at most since this was asked the last time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    most = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")
    return most * 1024


# Readers that believe everything: with them the payloads do act.


def unpickled(words):
    import pickle

    pickle.loads(Path(words[0]).read_bytes())


def torch_load(words):
    import torch

    torch.load(words[0], weights_only=False)


def numpy_load(words):
    import numpy as np

    np.load(words[0], allow_pickle=True)


def yaml_load(words):
    import yaml

    yaml.unsafe_load(Path(words[0]).read_text())
