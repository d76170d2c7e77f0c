"""What the pages of docs/ show is run: their commands compose, their Python trains, links exist.

python -m pytest -m slow tests/docs/test_pages.py
"""

import re
import shlex
from itertools import dropwhile
from pathlib import Path

import pytest

from contsemi import compose, pipeline
from contsemi.benchmark import command as benchmark
from contsemi.benchmark.plan import read
from contsemi.compose import argv, expand
from contsemi.data.shards import making
from contsemi.report import command as report
from contsemi.report.__main__ import main
from contsemi.tune import command as tune

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("first_run", "own_images", "streams", "avalanche", "clusters")


def blocks(page, kind):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def commands(page):
    """The words of each command of a page, without comments and without the environment."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [list(dropwhile(re.compile(r"[A-Z_]+=").match, words)) for words in split if words]


ALL_PAGES = sorted(file.stem for file in DOCS.glob("*.md"))
FROM_A_RUN = (
    "experiment=tuned/",
    "init.weights=first/",
    "scenario.lists=",
)  # made by a command before
OF_THE_READER = {"your_own_method"}  # parts that test_tutorial writes, installs and runs


@pytest.mark.thorough
@pytest.mark.parametrize("page", [page for page in ALL_PAGES if page not in OF_THE_READER])
def test_commands_are_right_ones(page, tmp_path, monkeypatch):
    for name in ("photos", "lists", "FOLDER", "shards"):
        (tmp_path / name).mkdir()
    (tmp_path / "above.yaml").touch()
    (tmp_path / "scripts").symlink_to(DOCS.parent / "scripts")
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        words = [each.replace("SEED", "0") for each in words]
        if " -m contsemi." in " ".join(words):  # of python or torchrun
            name, *given = words[words.index("-m") + 1 :]
            DOORS[name.removeprefix("contsemi.")](given)
        elif words[1] == "scripts/make_shards.py":
            making._parser().parse_args(words[2:])
        elif words[0] in ("python", "bash"):
            script = Path(words[1]).read_text(encoding="utf-8")
            options = [each for each in words[2:] if each.startswith("--")]
            assert [each for each in options if f'"{each}"' not in script] == []
        else:
            assert words[:2] == ["pip", "install"] or Path(DOCS.parent, words[2]).exists()  # cp -r


def _run(words):
    given = argv.split(words)
    tokens = given.tokens
    if given.sweeper:  # the words of the tuner, whose runs get folders of their own
        assert argv.search_words(given)
        tokens = [each for each in tokens if each.key != "output"]
    if not any(word.startswith(FROM_A_RUN) for word in words):
        assert given.action != "run" or expand(tokens, multirun=given.multirun)


def _benchmark(words):
    given = benchmark._parser().parse_intermixed_args(words)
    benchmark.refuse_words(given.settings, jobs=given.jobs)
    jobs = read(given.benchmark).jobs(given.output, given.settings)
    chosen = {"only": given.only, "labels": given.labels, "seeds": given.seeds}
    for job in {each.method: each for each in benchmark._chosen(jobs, chosen)}.values():
        compose.load(job.settings)


def _tune(words):
    given = tune._parser().parse_intermixed_args(words)
    benchmark.refuse_words(given.settings)
    compose.load(given.settings)


DOORS = {
    "run": _run,
    "benchmark": _benchmark,
    "tune": _tune,
    "report": lambda words: report._parser().parse_args(words),
} | dict.fromkeys(
    ("learn", "predict", "ask", "export"), lambda words: None
)  # test_own_images runs them


def test_every_method_has_one_row():
    text = (
        (DOCS / "methods.md")
        .read_text(encoding="utf-8")
        .partition("## Classes of different sizes")[0]
    )
    rows = re.findall(r"(?m)^\| `(\w+)` \|", text)
    assert sorted(rows) == sorted(file.stem for file in DOCS.parent.glob("conf/method/*.yaml"))


@pytest.mark.parametrize("page", PAGES)
def test_links_exist(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    local = [to for to in re.findall(r"\]\(([^)]+)\)", text) if "://" not in to]
    assert [to for to in local if not (DOCS / to).exists()] == []


def test_tests_that_a_page_or_a_test_names_exist():
    root = DOCS.parent
    pages = [root / "README.md", *DOCS.glob("*.md"), *(root / "tests").rglob("*.py")]
    lost = [
        (page.name, name)
        for page in pages
        for name in re.findall(r"\btests/[\w/]*\btest_\w+", page.read_text(encoding="utf-8"))
        if not ((root / name).is_dir() or (root / f"{name}.py").is_file())
    ]
    assert lost == []


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Runs all Python of a page from top to bottom, in an empty folder; its variables."""
    monkeypatch.chdir(tmp_path)

    def play(page):
        names = {}
        for source in blocks(page, "python"):
            exec(compile(source, f"docs/{page}.md", "exec"), names)
        return names

    return play


@pytest.mark.slow
def test_the_first_run(played, small, capsys):
    for seed in (0, 1):
        pipeline.run(small(f"seed={seed}", f"output=outputs/{'first' if seed else 'other'}"))
    names = played("first_run")
    assert names["results"]["seed"] == 1 and names["losses"]
    assert Path("outputs/short/report.html").exists()
    assert main(["outputs/first", "outputs/other"]) == 0
    assert "average accuracy" in capsys.readouterr().out


@pytest.mark.slow
def test_own_images(played, capsys):
    played("own_images")
    assert Path("outputs/photos/results.json").exists()
    assert 0 <= float(capsys.readouterr().out.split()[-1]) <= 1


@pytest.mark.slow
def test_avalanche_both_ways(played):
    names = played("avalanche")
    matrix = names["ours"].matrix("class_incremental")
    end = "eval_phase/test_stream"
    for column in range(5):  # Avalanche's own accuracy, to the last digit
        own = names["results"][f"Top1_Acc_Exp/{end}/Task000/Exp{column:03d}"]
        assert matrix[-1, column] == pytest.approx(own, abs=1e-12)
    assert "forgetting/class_incremental" in Path("log.txt").read_text()
    names["loggers"][-1].finish()
    assert any(Path("runs").glob("wandb/offline-run-*/run-*.wandb"))
    assert Path("csv/eval_results.csv").stat().st_size > 0 and any(Path("board").iterdir())
    assert sum(len(each.dataset) for each in names["stream"].train_stream) > 250
