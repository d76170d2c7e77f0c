"""Files that users and strangers bring, by the names that the tables of this folder use."""

import functools
import io
import os
import pickle
import socket
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def pixels(seed=0, size=(8, 8), channels=3):
    """Noise uint8 [H, W, C]."""
    shape = (size[1], size[0], channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def image(seed=0, form="PNG", size=(8, 8), mode="RGB", **options):
    """Bytes of an image file of noise."""
    file = io.BytesIO()
    Image.fromarray(pixels(seed, size)).convert(mode).save(file, form, **options)
    return file.getvalue()


def frames(form, count, size=(8, 8)):
    """Bytes of a file of several frames or pages."""
    file = io.BytesIO()
    first, *rest = (Image.fromarray(pixels(seed, size)) for seed in range(count))
    first.save(file, form, save_all=True, append_images=rest)
    return file.getvalue()


def chunk(kind, content):
    """A chunk of a PNG file."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(width, height, *, rows=None, extra=b"", depth=1, colour=0):
    """A PNG whose header says ``width`` x ``height``; black, or of other packed rows."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" * (1 + (width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height if rows is None else rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body += packer.flush()
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@functools.cache
def packed_zeros(count):
    """So many zero bytes, packed a thousandfold."""
    return zlib.compress(bytes(count), 9)


def array16():
    """A 16-bit grey image."""
    file = io.BytesIO()
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8)).astype(np.uint16)
    Image.fromarray(deep).save(file, "PNG")
    return file.getvalue()


CONTENT = {
    "png": image,
    "jpeg": lambda: image(form="JPEG"),
    "empty": lambda: b"",
    "header only": lambda: image()[:20],
    "half jpeg": lambda: (lambda b: b[: len(b) // 2])(image(form="JPEG", size=(64, 64))),
    "half png": lambda: (lambda b: b[: len(b) // 2])(image(size=(64, 64))),
    "half webp": lambda: (lambda b: b[: len(b) // 2])(image(form="WEBP", size=(64, 64))),
    "half bmp": lambda: (lambda b: b[: len(b) // 2])(image(form="BMP", size=(64, 64))),
    "half tiff": lambda: (lambda b: b[: len(b) // 2])(image(form="TIFF", size=(64, 64))),
    "half ppm": lambda: (lambda b: b[: len(b) // 2])(image(form="PPM", size=(64, 64))),
    "text": lambda: b"not an image",
    "html": lambda: b"<html><body>404 Not Found</body></html>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(canary) run\n",
    "pdf": lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n",
    "gif": lambda: image(form="GIF"),
    "many gif": lambda: frames("GIF", 3),
    "ico": lambda: image(form="ICO", size=(16, 16)),
    "tga": lambda: image(form="TGA"),
    "npy": lambda: (lambda f: (np.save(f, pixels()), f.getvalue())[1])(io.BytesIO()),
    "zip": lambda: b"PK\x05\x06" + b"\0" * 18,
    "pickle": lambda: pickle.dumps({"data": [1, 2, 3]}),
    "nul": lambda: b"\0" * 4096,
    "bomb 225 Mpx": lambda: png(15_000, 15_000),
    "bomb 100 Mpx": lambda: png(10_000, 10_000),
    "bomb 60 Mpx": lambda: png(10_000, 6_000),
    "bomb grey 60 Mpx": lambda: png(10_000, 6_000, depth=8),
    "bomb rgba 60 Mpx": lambda: png(10_000, 6_000, depth=8, colour=6),
    "bomb 2^31": lambda: png(2**31 - 1, 2**31 - 1, rows=0),
    "huge but short": lambda: png(20_000, 1_000, rows=1),
    "zero size": lambda: png(0, 0, rows=0),
    "text bomb": lambda: png(8, 8, extra=chunk(b"zTXt", b"a\0\0" + packed_zeros(400_000_000))),
    "icc bomb": lambda: png(8, 8, extra=chunk(b"iCCP", b"a\0\0" + packed_zeros(400_000_000))),
    "float tiff": lambda: (
        lambda f: (Image.fromarray(np.zeros((8, 8), np.float32)).save(f, "TIFF"), f.getvalue())[1]
    )(io.BytesIO()),
    "deep tiff": lambda: (
        lambda f: (Image.fromarray(np.full((8, 8), 10**6, np.int32)).save(f, "TIFF"), f.getvalue())[
            1
        ]
    )(io.BytesIO()),
    "one line": lambda: image(size=(5000, 1)),
    "one pixel": lambda: image(size=(1, 1)),
    "pages": lambda: frames("TIFF", 3),
    "16 bit": array16,
}


def photos(root, seeds=(0, 4), tests=(8, 10)):
    """A small folder of images as users have it: two classes, four and two images of each."""
    for number, name in enumerate(CLASSES):
        for split, (start, stop) in (("train", seeds), ("test", tests)):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for seed in range(start, stop):
                (folder / f"{seed}.png").write_bytes(image(100 * number + seed))


def make(folder, files):
    """Makes files as the tables say.

    Args:
        folder: where.
        files: a path to a word of :data:`CONTENT`, or to one of these::

            photos           the small folder of images
            folder           an empty one
            fifo, socket     a special file
            unreadable       a file or folder without rights
            link to X        a symbolic link
            repeat N of X    files X-0, X-1, ... of that content
            text: X          exactly X
    """
    for name, what in files.items():
        path = Path(folder, os.fsencode(name).decode("unicode_escape") if "\\" in name else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "photos":
            photos(path)
        elif what == "folder":
            path.mkdir()
        elif what == "gone":
            path.unlink()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "socket":
            with socket.socket(socket.AF_UNIX) as ear:
                ear.bind(str(path))
        elif what == "unreadable":
            path.touch() if not path.exists() else None
            path.chmod(0)
        elif what.startswith("link to "):
            path.symlink_to(what.removeprefix("link to "))
        elif what.startswith("repeat "):
            number, _, kind = what.removeprefix("repeat ").partition(" of ")
            for each in range(int(number)):
                path.with_name(f"{path.name}-{each}").write_bytes(CONTENT[kind]())
        elif what.startswith("text: "):
            path.write_bytes(what.removeprefix("text: ").encode("utf-8", "surrogateescape"))
        else:
            path.write_bytes(CONTENT[what]())


def tar(entries):
    """A tar.gz of ``{name: bytes or TarInfo}``."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
