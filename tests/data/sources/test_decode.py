import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from contsemi.data.sources.decode import Unreadable, decode, resize

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (20, 20, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "PPM", "TIFF"])
def test_lossless_formats_give_their_pixels(kind: str, tmp_path: Path) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(NOISE), kind, **options)
    np.testing.assert_array_equal(decode(content, None), NOISE.transpose(2, 0, 1))
    file = tmp_path / "wrong name.jpg"
    file.write_bytes(content)
    np.testing.assert_array_equal(decode(file, 20), NOISE.transpose(2, 0, 1))


def test_jpeg() -> None:
    smooth = np.linspace(0, 255, 20 * 20 * 3).reshape(20, 20, 3).astype(np.uint8)
    found = decode(encoded(Image.fromarray(smooth), "JPEG", quality=95), None)
    assert np.abs(found.astype(int) - smooth.transpose(2, 0, 1)).mean() < 3


def test_grey_and_bilevel() -> None:
    grey = NOISE[..., 0]
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(grey)), None), [grey] * 3)
    bits = Image.fromarray(grey > 127)
    np.testing.assert_array_equal(decode(encoded(bits), None), [(grey > 127) * 255] * 3)


def test_palette() -> None:
    image = Image.fromarray(NOISE).quantize(16)
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(encoded(image), None), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    deep = RANDOM.integers(0, 65536, (20, 20)).astype(np.uint16)
    expected = np.rint(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(deep), kind), None), [expected] * 3
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_zero_is_white_is_no_negative(bits: int) -> None:
    """Pillow writes those of 8 bits the other way round, and those of 16 as they are."""
    deep = RANDOM.integers(0, 2**bits, (20, 20)).astype(f"u{bits // 8}")
    given = deep if bits == 8 else 65535 - deep
    expected = np.rint(deep / (1 if bits == 8 else 257)).astype(np.uint8)
    content = encoded(Image.fromarray(given), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode(content, None), [expected] * 3)


def test_16_bit_pgm_is_scaled() -> None:
    deep = RANDOM.integers(0, 65536, (4, 4)).astype(">u2")
    expected = np.rint(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(b"P5 4 4 65535\n" + deep.tobytes(), None), [expected] * 3)


def test_transparency_is_composited_on_white() -> None:
    alpha = RANDOM.integers(0, 256, (20, 20, 1), np.uint8)
    expected = NOISE * (alpha / 255) + 255 * (1 - alpha / 255)
    content = encoded(Image.fromarray(np.concatenate([NOISE, alpha], 2)))
    np.testing.assert_allclose(decode(content, None), expected.transpose(2, 0, 1), atol=1)
    grey_alpha = Image.merge("LA", [Image.fromarray(NOISE[..., 0]), Image.fromarray(alpha[..., 0])])
    np.testing.assert_allclose(decode(encoded(grey_alpha), None)[0], expected[..., 0], atol=1)
    palette = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
    palette.putpalette([10, 20, 30])
    np.testing.assert_array_equal(decode(encoded(palette, transparency=0), None), 255)


def test_cmyk() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # cyan only
    for kind in ("JPEG", "TIFF"):
        red, green, blue = decode(encoded(inks, kind), None)[:, 8, 8].tolist()
        assert red < 10, kind
        assert green > 245, kind
        assert blue > 245, kind


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(NOISE), exif=exif)
    np.testing.assert_array_equal(decode(content, None), turn(NOISE).transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(64, 48), (31, 77), (9, 14), (32, 32), (100, 32)])
def test_resizing_is_torchvisions_short_side_and_centre_crop(width: int, height: int) -> None:
    gradient = np.mgrid[0:height, 0:width].sum(0)[..., None] * [1, 2, 3] % 256
    image = Image.fromarray(gradient.astype(np.uint8))
    reference = v2.Compose([v2.Resize(32, antialias=True), v2.CenterCrop(32)])(image)
    difference = decode(encoded(image), 32).transpose(1, 2, 0) - np.asarray(reference).astype(int)
    assert np.abs(difference).mean() < 4  # the crops may lie half a pixel apart


def test_resizing_a_large_image_averages() -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (640, 960, 3), np.uint8))
    found = decode(encoded(image, "BMP"), 8)
    assert found.shape == (3, 8, 8)
    assert found.std() < 8  # antialiased noise is flat


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (20_000, 1)])
def test_extreme_shapes_cost_nothing(shape: tuple[int, int]) -> None:
    image = Image.new("RGB", shape[::-1], (9, 8, 7))
    np.testing.assert_array_equal(decode(encoded(image), 16)[:, 3, 3], [9, 8, 7])


def test_decoded_arrays_are_resized_by_the_same_rule() -> None:
    array = NOISE.transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(resize(array, 11)[0], decode(encoded(Image.fromarray(NOISE)), 11))
    assert resize(array, None) is array
    assert resize(array, 20) is array


GIF = encoded(Image.fromarray(NOISE), "GIF")
PNG = encoded(Image.fromarray(NOISE))
JPEG = encoded(Image.fromarray(NOISE), "JPEG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no bytes"),
        (b"\0", "not a JPEG, PNG, WEBP, BMP, PPM or TIFF image"),
        (b"this is text", "not a JPEG"),
        (GIF, "not a JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
        (PNG[:20], "damaged|not a JPEG"),
        (PNG[: len(PNG) // 2], "damaged"),
        (JPEG[: len(JPEG) // 2], "damaged"),
        (b"P6 10001 10000 255\n", "10001x10000 pixels are more than 100 million"),
        (b"P6 99999 99999 255\n", "more than 100 million pixels"),
        (b"Pf 2 2 -1.0\n" + bytes(16), "floating-point"),
    ],
)
def test_what_is_no_image(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        decode(content, 8)


def test_an_image_that_is_not_square_needs_a_size() -> None:
    with pytest.raises(Unreadable, match=r"20x10 pixels are not square: set data\.size"):
        decode(encoded(Image.new("RGB", (20, 10))), None)


@pytest.mark.parametrize(("size", "eighths"), [(40, 1), (90, 2), (150, 4), (200, 8)])
def test_a_large_jpeg_is_decoded_smaller_which_changes_it_little(size: int, eighths: int) -> None:
    draw = np.random.default_rng(0)
    noise = Image.fromarray(draw.integers(0, 256, (96, 128, 3), dtype=np.uint8))
    content = encoded(noise.resize((1024, 768), Image.Resampling.BICUBIC), "JPEG", quality=90)
    pixels = []
    for part in (eighths, 8):
        with Image.open(io.BytesIO(content)) as image:
            image.draft(None, (1024 * part // 8, 768 * part // 8))
            side, off = 768 * part // 8, 128 * part // 8
            box = (off, 0, off + side, side)
            small = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
            pixels.append(np.asarray(small).transpose(2, 0, 1).astype(int))
    found = decode(content, size).astype(int)
    np.testing.assert_array_equal(found, pixels[0])
    assert abs(found - pixels[1]).mean() < 2  # of noise; of photos .4


def test_damaged_files_only_ever_raise_unreadable() -> None:
    for seed in range(300):
        random = np.random.default_rng(seed)
        source = bytearray((PNG, JPEG, encoded(Image.fromarray(NOISE), "TIFF"))[seed % 3])
        for position in random.integers(0, len(source), 3):
            source[position] = random.integers(0, 256)
        try:
            assert decode(bytes(source), 8).shape == (3, 8, 8)
        except Unreadable as error:
            assert len(str(error)) < 120


def test_decoding_processes_start_fast_because_they_do_without_torch() -> None:
    code = "import sys, contsemi.data.sources.decoding; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
