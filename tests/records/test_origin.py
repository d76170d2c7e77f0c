"""What a manifest says of the code and of the processor."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import contsemi
from contsemi.records import origin


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of that name, in a folder that is no checkout yet."""
    made = tmp_path / "contsemi"
    made.mkdir()
    (made / "__init__.py").write_text("")
    monkeypatch.setattr(contsemi, "__file__", str(made / "__init__.py"))
    origin.commit.cache_clear()
    yield made
    origin.commit.cache_clear()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_an_installed_package_has_no_commit(package: Path) -> None:
    assert origin.commit() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_checkout_tells_its_commit_and_whether_it_was_changed(package: Path) -> None:
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "one")
    git(package.parent, "tag", "-a", "v9", "-m", "a tag is not the commit")
    commit = git(package, "rev-parse", "HEAD")[:8]
    assert origin.commit() == commit
    (package / "__init__.py").write_text("changed = True\n")
    origin.commit.cache_clear()
    assert origin.commit() == f"{commit}.dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_another_repository_around_an_installed_package_is_not_its_own(package: Path) -> None:
    installed = package.parent / "site-packages"
    installed.mkdir()
    package.rename(installed / "contsemi")
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "somebody's environment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contsemi, "__file__", str(installed / "contsemi" / "__init__.py"))
        assert origin.commit() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_in_a_hook_of_another_repository_it_is_still_its_own(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git gives its hooks, and what they start, the place of the repository whose they are."""
    other = tmp_path / "other"
    other.mkdir()
    for root in (package.parent, other):
        git(root, "init")
        git(root, "commit", "--allow-empty", "-m", root.name)
    commits = [git(root, "rev-parse", "HEAD")[:8] for root in (package.parent, other)]
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert commits[0] != commits[1] and origin.commit() == commits[0]


@pytest.mark.parametrize("broken", ["no git", "no repository"])
def test_where_git_does_not_answer_there_is_no_commit(
    broken: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package.parent / ".git").mkdir()
    if broken == "no git":
        monkeypatch.setenv("PATH", str(package))
    assert origin.commit() is None


def test_the_processor_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str | None) -> str:
        file = tmp_path / "cpuinfo"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(origin, "_CPUINFO", file)
        origin.processor.cache_clear()
        return origin.processor()

    try:
        assert told("processor\t: 0\nmodel name\t: AMD EPYC 9B14: two\n") == "AMD EPYC 9B14: two"
        assert told("processor\t: 0\nBogoMIPS\t: 50.00\n") == told(None) != ""  # an ARM's, a Mac
    finally:
        origin.processor.cache_clear()
