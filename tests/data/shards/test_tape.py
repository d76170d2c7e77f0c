"""Our reader of tar files against Python's, and what it says of damaged ones."""

import hashlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.data.shards.tape import Damaged, Tape, header

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "deep/" * 30 + "é" * 40 + ".jpg"


def written(path, members, form):
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_those_of_pythons_reader(tmp_path, form):
    names = ["a.jpg", "b/c.jpg", "x" * 90 + ".cls"] + [LONG] * (form != tarfile.USTAR_FORMAT)
    members = [(name, bytes(range(n % 256)) * n) for n, name in enumerate(names)]
    path = tmp_path / "a.tar"
    written(path, members, form)
    tape = Tape(path)
    found = list(tape.members())
    assert [(each.name, each.content) for each in found] == members
    whole = path.read_bytes()
    assert tape.digest == hashlib.sha256(whole).hexdigest()
    for each in found:
        assert whole[each.offset : each.offset + len(each.content)] == each.content


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text("abé./-", min_size=1, max_size=20), st.binary(max_size=1500))))
def test_pythons_reader_reads_our_headers(members):
    stream = io.BytesIO()
    for name, content in members:
        stream.write(header(name, len(content)) + content + bytes(-len(content) % 512))
    stream.write(bytes(1024))
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        found = [(each.path, tar.extractfile(each).read()) for each in tar.getmembers()]
    assert found == [(name.rstrip("/"), content) for name, content in members] or any(
        name.endswith("/") for name, _ in members
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:700], "cut off"),
        (lambda whole: whole[:1024], "without an end mark"),
        (lambda whole: b"no tar file, but long enough" * 40, "is no tar file"),
        (lambda whole: b"", "without an end mark"),
        (lambda whole: whole[:1030] + b"?" + whole[1031:], "damaged header at byte 1024"),
    ],
)
def test_damage_is_said_and_where(tmp_path, damage, said):
    path = tmp_path / "a.tar"
    written(path, [("a.jpg", b"1" * 300), ("b.jpg", b"2" * 300)], tarfile.USTAR_FORMAT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Damaged, match=said):
        list(Tape(path).members())


def test_a_link_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(Damaged, match=r"'a.jpg' is no file but a link"):
        list(Tape(tmp_path / "a.tar").members())
