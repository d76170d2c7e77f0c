"""Malformed images: what is said of each kind, one report of all, in half a gigabyte.

That usable files give the right pixels (grey, palettes, CMYK, 16 bit, transparency, EXIF
orientation, huge photographs) is tested in ``tests/data/sources/test_decode.py``.
"""

import io

import pytest
from conftest import matches, refused
from makers import CONTENT, chunk, frames, image, make, photos, png
from PIL import Image

from contsemi.data.sources.decode import Unreadable, decode

MOST = 512 * 2**20  # bytes beside what the parent has

HEAD = b"\x89PNG\r\n\x1a\n"
BMP, PNG, JPEG = image(form="BMP"), image(), image(form="JPEG")


def exif(content):
    """A JPEG with any bytes where the EXIF data are to be."""
    block = b"Exif\0\0" + content
    return JPEG[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + JPEG[2:]


def oriented(value):
    """EXIF data that say nothing but an orientation."""
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + value + b"\0\0\0\0\0\0"


def saved(picture, form="PNG", **options):
    """The bytes of a picture."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


MORE = {
    "wrong crc": PNG[:-20] + b"\0\0\0\0" + PNG[-16:],
    "no pixels": HEAD + PNG[8:33] + chunk(b"IEND", b""),
    "no header": HEAD + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
    "unknown colour": PNG[:25] + b"\x05" + PNG[26:],
    "pixels are no zlib": HEAD + PNG[8:33] + chunk(b"IDAT", b"no") + chunk(b"IEND", b""),
    "pixels end early": png(8, 8, rows=1),
    "100,000 chunks": png(8, 8, extra=chunk(b"teXt", b"") * 10**5),
    "animated png": frames("PNG", 3),
    "animated webp": frames("WEBP", 3),
    "jpeg start only": b"\xff\xd8\xff\xe0",
    "jpeg without tables": b"\xff\xd8" + JPEG[-100:],
    "jpeg of another size": JPEG.replace(b"\0\x08\0\x08", b"\xff\xff\xff\xff", 1),
    "exif of noise": exif(bytes(range(200))),
    "exif in a loop": exif(b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"),
    "exif of orientation 99": exif(oriented(b"\0\x63\0\0")),
    "exif of orientation 6": exif(oriented(b"\0\x06\0\0")),
    "ppm of letters": b"P6\nab cd\n255\n" + bytes(192),
    "ppm without a maximum": b"P6\n8 8\n0\n" + bytes(192),
    "ppm too large": b"P6\n99999999 99999999\n255\n",
    "ppm cut": b"P6\n8 8\n255\n" + bytes(10),
    "bmp without size": BMP[:18] + bytes(8) + BMP[26:],
    "bmp of 2^31": BMP[:18] + b"\xff\xff\xff\x7f" * 2 + BMP[26:],
    "tiff without a directory": b"II*\0\xff\xff\xff\x7f",
    "tiff in a loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "webp of nothing": b"RIFF\x04\0\0\0WEBP",
    "1 pixel by 2^31": png(1, 2**31 - 1, rows=1),
    "palette without colours": png(8, 8, depth=8, colour=3),
    "trailing rubbish": PNG + b"\0" * 1000 + JPEG,
    "rubbish before": b"\0" + PNG,
    "pixels twice": HEAD + PNG[8:33] + PNG[33:-12] * 2 + chunk(b"IEND", b""),
    "profile of noise": saved(Image.new("RGB", (8, 8)), icc_profile=bytes(range(200))),
    "grey with alpha": saved(Image.new("LA", (8, 8))),
    "bilevel": saved(Image.new("1", (8, 8))),
    "cmyk": saved(Image.new("CMYK", (8, 8)), "JPEG"),
}
ALL = CONTENT | {kind: (lambda content=content: content) for kind, content in MORE.items()}
ALL["tiff of a thousand pages"] = lambda: frames("TIFF", 1000)  # made where it is asked for

UNKNOWN = "not a JPEG, PNG, WEBP, BMP, PPM or TIFF image"
FRAMES = "several frames: save the one that is meant"
MANY = "more than 100 million pixels"
CUT = "damaged (image file is truncated...)"
BROKEN = "damaged (...)"
READ = ""  # it can be used
SAYS = {
    # empty, cut, and no images at all
    "empty": "has no bytes", "header only": BROKEN, "half jpeg": CUT, "half png": CUT,
    "half webp": BROKEN, "half bmp": CUT, "half tiff": CUT, "half ppm": CUT, "ppm cut": CUT,
    "text": UNKNOWN, "html": UNKNOWN, "svg": UNKNOWN, "eps": UNKNOWN, "pdf": UNKNOWN,
    "gif": UNKNOWN, "many gif": UNKNOWN, "ico": UNKNOWN, "tga": UNKNOWN, "npy": UNKNOWN,
    "zip": UNKNOWN, "pickle": UNKNOWN, "nul": UNKNOWN, "rubbish before": UNKNOWN,
    # headers that lie, and bombs
    "bomb 225 Mpx": MANY, "bomb 2^31": MANY, "bmp of 2^31": MANY, "ppm too large": MANY,
    "1 pixel by 2^31": MANY, "bomb 100 Mpx": "10000x10000 pixels of mode 1 are more than 67108864",
    "bomb rgba 60 Mpx": "10000x6000 pixels of mode RGBA are more than 16777216",
    "jpeg of another size": "...", "zero size": UNKNOWN, "bmp without size": UNKNOWN,
    "text bomb": "damaged (Decompressed data too large for ...)",
    "icc bomb": "damaged (Decompressed data too large for ...)",
    # damage inside
    "wrong crc": BROKEN, "no pixels": BROKEN, "no header": UNKNOWN, "unknown colour": UNKNOWN,
    "pixels are no zlib": BROKEN, "jpeg start only": UNKNOWN, "jpeg without tables": UNKNOWN,
    "ppm of letters": BROKEN, "ppm without a maximum": BROKEN, "tiff without a directory": UNKNOWN,
    "tiff in a loop": UNKNOWN, "webp of nothing": UNKNOWN,
    # several frames, and pixels without a fixed range
    "animated png": FRAMES, "animated webp": FRAMES, "pages": FRAMES,
    "tiff of a thousand pages": FRAMES, "float tiff": "floating-point pixels have no fixed range",
    "deep tiff": "32-bit pixels beyond 65535",
    # odd, and read by a fixed rule
    "png": READ, "jpeg": READ, "one line": READ, "one pixel": READ, "16 bit": READ,
    "exif of noise": READ, "exif in a loop": READ, "exif of orientation 99": READ,
    "exif of orientation 6": READ, "100,000 chunks": READ, "trailing rubbish": READ,
    "profile of noise": READ, "palette without colours": READ, "grey with alpha": READ,
    "bilevel": READ, "cmyk": READ, "pixels twice": READ,
    "bomb 60 Mpx": READ, "bomb grey 60 Mpx": READ,
    # Pillow gives what is missing at the end of an unbroken stream as black, and does not tell.
    "pixels end early": READ, "huge but short": READ,
}  # fmt: skip
OUT = "is a link out of the folder, and those are not followed: copy what it names"
SPECIAL = {
    "a pipe": ("fifo", "is not a file"),
    "a socket": ("socket", "is not a file"),
    "a folder": ("folder", "is a folder, and images lie directly in the folder of their class"),
    "a link out": ("link to /etc/hostname", OUT),
    "a loop": ("link to a loop", "is a link to nothing"),
    "nowhere": ("link to nowhere", "is a link to nothing"),
    "a device": ("link to /dev/zero", OUT),
}
DEAR = {"text bomb", "icc bomb", "bomb rgba 60 Mpx", "bomb grey 60 Mpx", "bomb 60 Mpx"}
REFUSED = [kind for kind, says in SAYS.items() if says]


def test_every_kind_has_its_answer() -> None:
    assert SAYS.keys() == ALL.keys()
    assert len(REFUSED) + len(SPECIAL) >= 40


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in DEAR else k for k in SAYS]
)
def test_what_is_said_of_each(kind) -> None:
    content = ALL[kind]()
    if SAYS[kind] == READ:
        assert decode(content, 8).shape == (3, 8, 8)
        return
    with pytest.raises(Unreadable) as caught:
        decode(content, 8)
    said = str(caught.value)
    assert matches(SAYS[kind], said), said
    assert len(said) < 200 and "\n" not in said


@pytest.mark.slow
def test_one_report_of_everything_in_half_a_gigabyte(tmp_path, running) -> None:
    root = tmp_path / "root"
    photos(root)
    for kind in REFUSED:
        (root / "train" / "cat" / f"{kind.replace(' ', '_')}.png").write_bytes(ALL[kind]())
    make(root / "train" / "dog", {name: what for name, (what, _) in SPECIAL.items()})
    make(root / "train" / "dog", {"a link inside": "link to 0.png"})  # which is the image it names
    answer = running("readers:images", ["root", "cache"], folder=root.parent, seconds=120.0)
    count = len(REFUSED) + len(SPECIAL)
    refused(answer, f"data.root=root: {count} problems: ...; and {count - 20} more; ...")
    assert answer.grown <= MOST, answer
    for name, (_, problem) in SPECIAL.items():
        assert f"train/dog/{name} {problem}; " in answer.err
    assert "a link inside" not in answer.err
    assert len(list((tmp_path / "cache").iterdir())) == 1  # of the test images, which are good
