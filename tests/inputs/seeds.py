"""Good files of every kind that is read: what is mutated, where it lies, and who reads it."""

import json
import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import mutations
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from makers import image, photos, tar

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF")
COMMAND = "words.json"


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        folder: what is copied for every mutation.
        names: files in it of which one is mutated.
        reader: the function of :mod:`readers`.
        words: what it is given.
        change: (content, random numbers) -> changed content.
        codes: the exit codes that a changed file may end with; 0 where a change can be harmless.
    """

    folder: Path
    names: tuple[str, ...]
    reader: str
    words: list
    change: object = mutations.mutated
    codes: tuple[int, ...] = (0, 2)

    def copy(self, place, draw):
        """A copy with one changed file; ``False`` where nothing changed."""
        shutil.copytree(self.folder, place, copy_function=os.link)
        file = place / draw.choice(self.names)
        content = file.read_bytes()
        changed = self.change(content, draw)
        file.unlink()
        file.write_bytes(changed)
        return changed != content


def kinds(place, finished):
    """Name -> :class:`Kind`.

    Args:
        place: where the seeds are made.
        finished: the folder of a run.
    """
    return _images(place) | _data(place) | _weights(place) | _run(place, finished) | _words(place)


def _images(place):
    found = {}
    for number, form in enumerate(FORMS):
        folder = place / form
        photos(folder, (0, 1), (8, 9))
        (folder / "train" / "cat" / "a.img").write_bytes(image(number, form, (24, 24)))
        found[form] = Kind(folder, ("train/cat/a.img",), "images", [".", "cache"])
    return found


def _data(place):
    """CIFAR unpacked and packed, parquet, and a list of labels."""
    folder, draw = place / "cifar", np.random.default_rng(0)
    batch = {
        "data": draw.integers(0, 256, (3, 3072), np.uint8),
        "fine_labels": [0, 1, 2],
        "coarse_labels": [0, 1, 2],
    }
    names = {"fine_label_names": list("abc"), "coarse_label_names": list("xyz")}
    files = {
        f"cifar-100-python/{name}": pickle.dumps(content, 4)
        for name, content in {"train": batch, "test": batch, "meta": names}.items()
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name in ("packed", "parquet", "labels"):
        (place / name).mkdir()
    (place / "packed" / "cifar-100-python.tar.gz").write_bytes(tar(files))
    rows = pa.table({"image": [{"bytes": image(n)} for n in range(4)], "label": [0, 1, 0, 1]})
    for split in ("train", "test"):
        pq.write_table(rows, place / "parquet" / f"{split}.parquet")
    (place / "labels" / "rows.txt").write_text("".join(f"{7 * n}\n" for n in range(40)))
    words = [".", "cifar100"]
    return {
        "CIFAR": Kind(folder, tuple(files), "cifar", words),
        "CIFAR archive": Kind(place / "packed", ("cifar-100-python.tar.gz",), "archive", words),
        "parquet": Kind(place / "parquet", ("train.parquet",), "parquet", [".", "cache"]),
        "labels": Kind(place / "labels", ("rows.txt",), "labels", ["rows.txt"]),
    }


def _weights(place):
    import torch
    from readers import small_network
    from safetensors.torch import save_file

    tensors = {f"network|{name}": value for name, value in small_network().state_dict().items()}
    found = {}
    for name in ("w.safetensors", "w.pt", "old.pt"):
        folder = place / name.replace(".", "-")
        folder.mkdir()
        if name == "w.safetensors":
            save_file(tensors, folder / name)
        else:
            zipped = name == "w.pt"
            torch.save(tensors, folder / name, _use_new_zipfile_serialization=zipped)
        found[name] = Kind(folder, (name,), "weights", [name])
    return found


def _run(place, finished):
    """The folder of a run: drawn, looked at, gone on with; its saved states."""
    unfinished = place / "unfinished"
    shutil.copytree(finished, unfinished)
    (unfinished / "results.json").unlink()
    config = (finished / "manifest.json").read_text()
    config = json.dumps(json.loads(config)["config"])
    body = json.loads((finished / "checkpoints" / "MANIFEST.json").read_text())["body"]
    states, run = finished / "checkpoints", [".", body["run"]]
    state = (max(states.glob("state-*")).name,)
    answers = tuple(f"answers/{file.name}" for file in finished.glob("answers/*"))
    plain = ("results.json", "manifest.json", "metrics.jsonl")
    tables = ("accuracy_matrix.csv", "accuracy_matrix_task_incremental.csv")
    raw = (*plain, *tables, *answers, "config.yaml")
    of_progress = ("metrics.jsonl", "accuracy_matrix.csv", "config.yaml")
    json_, yaml_ = mutations.odd_json, mutations.odd_yaml
    return {
        "report": Kind(finished, raw, "sketch", ["."]),
        "report, JSON": Kind(finished, plain, "sketch", ["."], json_),
        "report, YAML": Kind(finished, ("config.yaml",), "sketch", ["."], yaml_),
        "progress": Kind(unfinished, of_progress, "progress", ["."]),
        "progress, JSON": Kind(unfinished, ("metrics.jsonl",), "progress", ["."], json_),
        "progress, YAML": Kind(unfinished, ("config.yaml",), "progress", ["."], yaml_),
        "folder": Kind(unfinished, ("manifest.json",), "output", [".", config]),
        "folder, JSON": Kind(unfinished, ("manifest.json",), "output", [".", config], json_),
        # What carries a digest is never accepted with another byte
        "state": Kind(states, state, "checkpoint", run, codes=(4,)),
        "MANIFEST.json": Kind(states, ("MANIFEST.json",), "checkpoint", run, codes=(4,)),
        "record": Kind(states, ("MANIFEST.json",), "record", [*run, 3], _resealed, (0, 4)),
    }


def _resealed(content, draw):
    """A manifest whose digest is right: whoever can write it can hash it."""
    from contsemi.storage.checkpoint import _canonical, hashlib

    body = json.loads(content)["body"]
    for entry in body["generations"]:
        entry["record"] = mutations.odd(entry["record"], draw)
    try:
        digest = hashlib.sha256(_canonical(body)).hexdigest()
    except ValueError:  # not finite: no JSON of ours
        return content
    return _canonical({"body": body, "sha256": digest})


def _words(place):
    """Commands, and the YAML files that they choose among."""
    table = yaml.safe_load((Path(__file__).parent / "bad_commands.yaml").read_text("utf-8"))
    wrong = [[each] if isinstance(each, str) else each for each, _ in table]
    right = ["scenario=image_folder", "method=nncsl", "label_ratio=[1%,2/class]", "seed=3",
             "memory.exemplars=40", "optim.lr=0.1", "scenario.tasks=2", "data.root=."]  # fmt: skip
    (place / "words").mkdir()
    (place / "words" / COMMAND).write_text(json.dumps(right))

    def change(content, draw):
        words = json.loads(content)
        chosen = draw.sample(words, draw.randint(1, 4))
        words = draw.choice((chosen, chosen, draw.choice(wrong)))
        return json.dumps(mutations.odd_words(words, draw)).encode()

    recipes = place / "recipes"
    for name in ("conf", "scenarios"):
        shutil.copytree(ROOT / name, recipes / name)
    chosen = ["scenario=digits_5tasks", "method=nncsl", "optim=small", "views=digits"]
    used = ("scenarios/digits_5tasks.yaml", "conf/method/nncsl.yaml", "conf/optim/small.yaml",
            "conf/views/digits.yaml", "conf/config.yaml")  # fmt: skip
    return {
        "words": Kind(place / "words", (COMMAND,), "command", [COMMAND], change),
        "recipes": Kind(recipes, used, "recipes", [".", *chosen]),
        "recipes, YAML": Kind(recipes, used, "recipes", [".", *chosen], mutations.odd_yaml),
    }
