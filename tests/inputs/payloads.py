"""Files that run something where they are read without care.

Each is made of a gadget, which says what is run, and a format, which says what it is packed into.
Every gadget leaves the file ``canary`` in the folder above the one in which the command works.
"""

import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np

CANARY = "../canary"
TOUCH = f"touch {CANARY}"
PYTHON = f"open({CANARY!r}, 'w').close()"

# module, function, arguments
GADGETS = {
    "os.system": ("os", "system", (TOUCH,)),
    "posix.system": ("posix", "system", (TOUCH,)),
    "popen": ("os", "popen", (TOUCH,)),
    "subprocess": ("subprocess", "Popen", (["touch", CANARY],)),
    "exec": ("builtins", "exec", (PYTHON,)),
    "eval": ("builtins", "eval", (PYTHON,)),
    "open": ("builtins", "open", (CANARY, "w")),
    "timeit": ("timeit", "timeit", (PYTHON, "pass", __import__("time").perf_counter, 1)),
    "copyfile": ("shutil", "copyfile", ("/etc/hostname", CANARY)),
    "makedirs": ("os", "makedirs", (CANARY,)),
    "socket": ("socket", "create_connection", (("127.0.0.1", 9), 0.1)),
    "lookup": ("socket", "getaddrinfo", ("example.invalid", 80)),
    "library": ("ctypes", "CDLL", ("./evil.so",)),
    "run path": ("runpy", "run_path", ("evil.py",)),
    "spawn": ("os", "posix_spawn", ("/bin/touch", ["touch", CANARY], {})),
    "nested pickle": ("pickle", "loads", (b"cposix\nsystem\n(X\x10\0\0\0touch ../canarytR.",)),
    "numpy runstring": ("numpy.f2py.crackfortran", "myeval", (PYTHON,)),
    "torch.hub": ("torch.hub", "load", (".", "evil", "main")),
    "joblib.load": ("joblib", "load", ("evil.joblib",)),
    "dill": ("dill", "loads", (b"cposix\nsystem\n(X\x10\0\0\0touch ../canarytR.",)),
}


def pickled(gadget, protocol=2):
    """A pickle that calls a gadget; written by hand, so that making it runs nothing."""
    module, function, given = GADGETS[gadget]
    if protocol == 4:
        name = b"".join(b"\x8c" + bytes([len(each)]) + each.encode() for each in (module, function))
        name += b"\x93"
    else:
        name = f"c{module}\n{function}\n".encode()
    head = b"\x80" + bytes([protocol]) if protocol > 1 else b""
    packed = pickle.dumps(given, min(protocol, 3))
    body = packed[2:] if packed[:1] == b"\x80" else packed
    return head + name + body[:-1] + b"R."


def _zip(evil, **others):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", evil)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
        for name, content in others.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def _legacy(evil):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = (0x1950A86A20F9469CFC6C, 1001, system)
    return b"".join(pickle.dumps(part, 2) for part in parts) + evil + pickle.dumps([], 2)


def _script(evil):
    code = {"code/__torch__.py": PYTHON, "constants.pkl": evil, "attributes.pkl": evil}
    return _zip(evil, **code)


def _tar(evil):
    """The oldest format of torch.save."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(evil)
            archive.addfile(info, io.BytesIO(evil))
    return file.getvalue()


def npy(evil):
    """An array of objects."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + evil


def _npz(evil):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("arr_0.npy", npy(evil))
    return file.getvalue()


FORMATS = {
    "pickle": bytes,
    "legacy pt": _legacy,
    "zip pt": _zip,
    "TorchScript": _script,
    "tar pt": _tar,
    "npy": npy,
    "npz": _npz,
    "joblib": lambda evil: zlib.compress(evil),
    "behind tensors": lambda evil: pickle.dumps({"state_dict": {}}, 2) + evil,
}


def tensors(header, body=b"", size=None):
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def _entry(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


SAFETENSORS = {
    "a pickle": lambda: pickled("os.system"),
    "endless header": lambda: tensors(b"{}", size=2**63),
    "header of 1 GB": lambda: tensors(b"{}", size=10**9),
    "no header": lambda: b"\0" * 7,
    "nested": lambda: tensors(b"[" * 100_000 + b"]" * 100_000),
    "overlap": lambda: tensors(_entry() | {"b": _entry()["a"]}, bytes(8)),
    "beyond the end": lambda: tensors(_entry(data_offsets=[0, 2**40], shape=[2**38]), bytes(8)),
    "backwards": lambda: tensors(_entry(data_offsets=[8, 0]), bytes(8)),
    "shape overflows": lambda: tensors(_entry(shape=[2**62, 8]), bytes(8)),
    "negative shape": lambda: tensors(_entry(shape=[-1, -2]), bytes(8)),
    "unknown dtype": lambda: tensors(_entry(dtype="O"), bytes(8)),
    "code as metadata": lambda: tensors({"__metadata__": {"__reduce__": PYTHON}}),
    "a thousand names": lambda: tensors(
        {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(1000)}
    ),
    "name of a path": lambda: tensors({"../../canary": _entry()["a"]}, bytes(8)),
}

YAML = {
    "python/object/apply": f"!!python/object/apply:os.system [{TOUCH!r}]",
    "python/object/new": f"!!python/object/new:subprocess.Popen [[touch, {CANARY}]]",
    "python/name": "!!python/name:os.system",
    "python/module": "!!python/module:evil",
    "nested tag": f"scenario: !!python/object/apply:os.system [{TOUCH!r}]",
    "state": "!!python/object/new:type {args: [z, !!python/tuple [], {extend: "
    f"!!python/name:exec }}], listitems: {PYTHON!r}}}",
    "unknown tag": "!evil {a: 1}",
}

# What Hydra's blocklist stops, and what it lets through
TARGETS = (
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "pathlib.Path.write_text",
    "numpy.load",
    "torch.load",
    "torch.hub.load",
    "joblib.load",
    "distutils.spawn.spawn",
    "shutil.copyfile",
    "os.makedirs",
    "asyncio.run",
    "asyncio.create_subprocess_shell",
    "urllib.request.urlopen",
    "hydra.utils.get_method",
    "pickle.loads",
    "timeit.timeit",
    "cProfile.run",
    "logging.os.system",
)


def array(value):
    """The bytes of an .npy file without objects."""
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return file.getvalue()
