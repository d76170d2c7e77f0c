"""What a child calls to read one kind of file as the software does; what it returns is the code."""

import dataclasses
import hashlib
import json
import sys
import warnings
from pathlib import Path

from contsemi.errors import ContsemiError


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
    from contsemi.engine.checkpoint import Checkpoints

    checkpoints = Checkpoints(Path(words[0]), words[1])
    code = _ended(checkpoints.load)
    for problem in checkpoints.passed_over if not code else ():
        print(f"error: {problem}", file=sys.stderr)
    return code or (4 if checkpoints.passed_over else 0)


def weights(words):
    """A file of weights, for a small network."""
    import torch

    from contsemi.models.network import Network
    from contsemi.models.pretrained import load_weights
    from contsemi.models.resnet_slim import build

    draw = torch.Generator().manual_seed(0)
    network = Network(build(width=4, blocks=[1, 1], stem_stride=1), ("projector",), (8, 4), draw)
    return _ended(load_weights, network, Path(words[0]), projector=False)


def cifar(words):
    """The folder of a CIFAR whose files, whatever they hold, have the official sums."""
    from contsemi.data import cifar

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
    from contsemi.data import cifar

    root, dataset = Path(words[0]), words[1]
    layout = cifar.LAYOUTS[dataset]
    packed = (root / layout.archive).read_bytes()
    fitting = dataclasses.replace(layout, archive_md5=hashlib.md5(packed).hexdigest())
    cifar.LAYOUTS[dataset] = fitting
    return _ended(cifar.load, root, dataset, size=None, may_download=False)


def images(words):
    """A folder of images, and one for the cache."""
    from contsemi.data import folder

    return _ended(folder.load, Path(words[0]), size=8, cache=words[1], workers=1)


def parquet(words):
    """A folder of parquet files, and one for the cache."""
    from contsemi.data import parquet

    return _ended(parquet.load, Path(words[0]), "folder", size=8, cache=words[1], workers=1)


def labels(words):
    """A frozen list of labelled images."""
    from contsemi.labels.draw import read_list

    return _ended(read_list, Path(words[0]), 1000)


def report(words):
    """The folder of a run, drawn anew."""
    from contsemi.report.__main__ import main

    return main(words)


def output(words):
    """The folder of a run, and its configuration: whether it may be gone on with."""
    from contsemi.output import OutputFolder

    with warnings.catch_warnings():
        folder = OutputFolder(Path(words[0]), json.loads(words[1]))
        return _ended(lambda: folder.__enter__().__exit__(None, None, None))


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
