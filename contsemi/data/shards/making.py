"""The command that makes shards of a folder of images, or of parquet files."""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from contsemi.data.shards.writing import Sample, Split, write_shards
from contsemi.data.sources import parquet
from contsemi.data.sources.cache import file_state
from contsemi.data.sources.listing import Files, listed, relative, shown
from contsemi.errors import InputError, first_of


def make(argv: Sequence[str] | None) -> int:
    """Writes shards of the images that the words of a command name; returns the exit code."""
    given = _parser().parse_args(argv)
    source, target = (Path(name).expanduser() for name in (given.source, given.target))
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(shown(target), "lies in the folder of the images", "give another one")
    read = _of_parquet if parquet.find(source, "train") else _of_folder
    classes, splits, of = read(source, given.test_share)
    options = {"of": of, "images": given.images, "workers": given.workers}
    written = write_shards(target, splits, classes, **options)
    counts = ", ".join(f"{split.count} {name} images" for name, split in splits.items())
    print(f"{shown(target)}: {counts} of {len(classes)} classes; {written} shards written")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python scripts/make_shards.py",
        description="Writes images as shards for data.source=shards: tar files in WebDataset's "
        "layout. The encoded images are copied as they are. Stopped, the same command goes on.",
    )
    parser.add_argument("source", metavar="FROM", help="folder of images by class, or of parquet")
    parser.add_argument("target", metavar="TO", help="a new folder, or one to go on with")
    parser.add_argument("--images", type=_count, default=1000, help="in a shard (%(default)s)")
    share = "of each class, where no folder has test images (%(default)s)"
    parser.add_argument("--test-share", type=float, default=0.2, help=share)
    parser.add_argument("--workers", type=int, default=0, help="threads; 0 for one per core")
    return parser


def _count(word: str) -> int:
    count = int(word)
    if not 1 <= count <= 1_000_000:
        raise argparse.ArgumentTypeError("expected 1 to 1000000")
    return count


def _of_folder(source: Path, test_share: float) -> tuple[Sequence[str], dict[str, Split], str]:
    folder = listed(source, test_share=test_share)
    problems = folder.train.problems + folder.test.problems
    if problems:
        raise InputError(shown(source), first_of(problems, 20), "repair or remove them")
    content, splits = [], {}
    for name, files in (("train", folder.train), ("test", folder.test)):
        paths = [path.relative_to(source).as_posix() for path in files.paths]
        content += [name, paths, files.states, files.targets]
        splits[name] = Split(len(paths), _files(source, files))
    return folder.classes, splits, _digest("folder", folder.classes, content)


def _files(source: Path, files: Files) -> Iterator[Sample]:
    for path, target in zip(files.paths, files.targets, strict=True):
        yield Sample(relative(source, path), path, target)


def _of_parquet(source: Path, _: float) -> tuple[Sequence[str], dict[str, Split], str]:
    classes, found = parquet.encoded_images(source)
    states, splits = [], {}
    for name, (files, targets, contents) in found.items():
        states += [(path.name, file_state(path.stat())) for path in files]
        numbered = enumerate(zip(contents, targets.tolist(), strict=True))
        samples = (Sample(f"{name} row {n}", content, target) for n, (content, target) in numbered)
        splits[name] = Split(len(targets), samples)
    return classes, splits, _digest("parquet", classes, states)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()
