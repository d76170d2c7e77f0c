"""What the source never does, read off its syntax trees: nothing that a file says is run.

A pickle is parsed in one place alone, ``data/sources/cifar.py``, by an unpickler that knows
arrays only.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(file for room in ("contsemi", "scripts") for file in (ROOT / room).rglob("*.py"))
PICKLERS = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
UNSAFE_YAML = ("load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all")
# Where a class of the pickle module is the base of a restricted one.
RESTRICTED = {"contsemi/data/sources/cifar.py"}


def full_names(tree):
    """Local name -> what it is, for everything that is imported: ``p`` -> ``pickle.load``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                names[each.asname or each.name] = f"{node.module}.{each.name}"
    return names


def dotted(node, names):
    """``a.b.c`` as it is imported; empty for what is no plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def says(call, name, value):
    """Whether a keyword of a call is that very literal."""
    return any(
        each.arg == name and isinstance(each.value, ast.Constant) and each.value.value is value
        for each in call.keywords
    )


def has(call, name):
    return any(each.arg == name for each in call.keywords)


def of_call(call, names):
    """The rules that a call breaks."""
    name = dotted(call.func, names)
    last = call.func.attr if isinstance(call.func, ast.Attribute) else name.rpartition(".")[2]
    if name == "torch.load" and not says(call, "weights_only", True):
        yield "torch.load without weights_only=True"
    if has(call, "pickle_module"):
        yield "pickle_module"
    if name in ("eval", "exec", "compile", "builtins.eval", "builtins.exec", "builtins.compile"):
        yield "eval or exec"
    if has(call, "shell") and not says(call, "shell", False):
        yield "shell=True"
    if name in ("os.system", "os.popen") or name.startswith(("os.spawn", "subprocess.getoutput")):
        yield "a shell"
    if last == "extractall" and not has(call, "filter"):
        yield "extractall without filter"
    if has(call, "allow_pickle") and not says(call, "allow_pickle", False):
        yield "allow_pickle=True"
    if name == "numpy.load" and not says(call, "allow_pickle", False):
        yield "numpy.load that does not refuse pickles"


def of_name(name):
    """The rules that the mere mention of a dotted name breaks, called or handed on."""
    room, _, last = name.rpartition(".")
    if room in PICKLERS and last in ("load", "loads", "open", "Unpickler"):
        yield f"{room}.{last}"
    if room == "pandas" and last == "read_pickle":
        yield "pandas.read_pickle"
    if room == "yaml" and last in UNSAFE_YAML:
        yield "yaml.load"
    if room.startswith("hydra") and last in ("instantiate", "call", "get_class", "get_method"):
        yield "hydra instantiate"
    if name == "tempfile.mktemp":
        yield "tempfile.mktemp"
    if name in ("torch.hub.load", "torch.jit.load"):
        yield name
    if name.startswith("torch.distributed.checkpoint"):  # its .metadata is a pickle
        yield "torch.distributed.checkpoint"


def broken(text, file=""):
    """(line, rule) of every rule that a source breaks."""
    tree = ast.parse(text)
    names, found = full_names(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found |= {(node.lineno, rule) for rule in of_call(node, names)}
        if isinstance(node, ast.Attribute):
            found |= {(node.lineno, rule) for rule in of_name(dotted(node, names))}
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for each in node.names:
                found |= {(node.lineno, rule) for rule in of_name(module + each.name)}
    if file in RESTRICTED:
        found = {each for each in found if each[1] != "pickle.Unpickler"}
    return sorted(found)


def test_no_source_breaks_a_rule() -> None:
    assert len(FILES) > 200
    found = {
        f"{file.relative_to(ROOT)}:{line}: {rule}"
        for file in FILES
        for line, rule in broken(
            file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix()
        )
    }
    assert found == set()


def test_the_one_unpickler_is_a_restricted_one() -> None:
    """It is a base class there, and never called or handed on itself."""
    for name in RESTRICTED:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        names = full_names(tree)
        bases = [b for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for b in c.bases]
        used = [n for n in ast.walk(tree) if dotted(n, names) == "pickle.Unpickler"]
        assert used == [base for base in bases if base in used]
        (restricted,) = [
            c for c in ast.walk(tree) if getattr(c, "bases", None) and c.bases[0] in used
        ]
        assert "find_class" in {getattr(part, "name", "") for part in restricted.body}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(text)",
        "from pickle import load\nload(file)",
        "from pickle import loads as plain\nplain(text)",
        "import pickle\nread = pickle.loads",
        "import pickle\npickle.Unpickler(file).load()",
        "import dill\ndill.load(file)",
        "import cloudpickle\ncloudpickle.loads(text)",
        "import joblib\njoblib.load(file)",
        "import shelve\nshelve.open(file)",
        "import marshal\nmarshal.loads(text)",
        "import pandas as pd\npd.read_pickle(file)",
        "import torch\ntorch.load(file)",
        "import torch\ntorch.load(file, weights_only=False)",
        "import torch\ntorch.load(file, weights_only=safe)",
        "import torch\ntorch.load(file, **options)",
        "from torch import load\nload(file)",
        "import torch\ntorch.load(file, weights_only=True, pickle_module=dill)",
        "import torch\ntorch.hub.load('.', 'evil', source='local')",
        "import torch\ntorch.jit.load(file)",
        "import torch.distributed.checkpoint as dcp\ndcp.load(state)",
        "from torch.distributed import checkpoint",
        "eval(text)",
        "exec(text)",
        "exec(compile(text, 'file', 'exec'))",
        "import builtins\nbuiltins.eval(text)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import yaml\nyaml.full_load(text)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "import subprocess\nsubprocess.Popen(command, shell=shell)",
        "import os\nos.system(command)",
        "import os\nos.popen(command)",
        "import hydra\nhydra.utils.instantiate(config)",
        "from hydra.utils import instantiate\ninstantiate(config)",
        "from hydra.utils import get_class as find\nfind(name)",
        "archive.extractall(folder)",
        "import tarfile\ntarfile.open(file).extractall(folder, members)",
        "import tempfile\ntempfile.mktemp()",
        "from tempfile import mktemp",
        "import numpy as np\nnp.load(file, allow_pickle=True)",
        "import numpy as np\nnp.load(file)",
        "read(file, allow_pickle=allowed)",
    ],
)
def test_a_planted_line_is_found(line: str) -> None:
    assert broken(line)


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(file, weights_only=True)",
        "import yaml\nyaml.safe_load(text)",
        "import numpy as np\nnp.load(file, allow_pickle=False)",
        "import json\njson.load(file)",
        "import re\nre.compile(text)",
        "archive.extractall(folder, filter='data')",
        "import subprocess\nsubprocess.run([command], shell=False)",
        "model.eval()",
        "from pickle import UnpicklingError",
    ],
)
def test_a_harmless_line_is_not(line: str) -> None:
    assert broken(line) == []
