import functools
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contsemi import compose
from contsemi.compose import argv, check, groups, suggest
from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.run import main

ROOT = Path(__file__).resolve().parents[1]

# The words of a command, and what its one line must say: the key at fault and the remedy.
REFUSED = [
    (["label_ratio"], r"label_ratio: .*write label_ratio=5%"),
    (["label_ratio==5%"], r"label_ratio: .*write label_ratio=5%"),
    (["--label-ratio", "5%"], r"--label-ratio: .*write label_ratio=5%"),
    (["--label-ratio"], r"--label-ratio: .*write label_ratio=5%"),
    (["--halp"], r"--halp: .*did you mean --help\?"),
    (["-x"], r"-x: .*--help"),
    (["--cfg", "hydra"], r"--cfg: .*write --cfg job"),
    (["cifar10_5tasks"], r"write scenario=cifar10_5tasks"),
    (["label_ratio='0.8%"], r"label_ratio: quote not closed"),
    (["seed=(1"], r"seed: cannot read"),
    (["=5"], r"write key=value"),
    (["seed=1\nx"], r"seed: .*line break"),
    (["label_ratoi=5%"], r"label_ratoi: unknown key; did you mean label_ratio\?"),
    (["scenario.taks=5"], r"scenario.taks: unknown key; did you mean scenario\.tasks\?"),
    (["optim.lrr=1"], r"optim.lrr: unknown key; did you mean optim\.lr\?"),
    (["objective.temprature=1"], r"did you mean objective\.temperature\?"),
    (["epochs=3"], r"did you mean optim\.epochs\?"),
    (["seed.x=1"], r"seed.x: unknown key"),
    (["memory={exemplars: 1}"], r"memory: is a section; .*memory\."),
    (["objective.name=suave"], r"objective.name: .*write objective=NAME"),
    (["method=repaly"], r"method: .*did you mean method=replay\?"),
    (["method=lwf", "baseline.temprature=1"], r"did you mean baseline\.temperature\?"),
    (["method=lwf", "baseline.weights.distillation=-1"], r"expected a number from 0 to 1000000"),
    (["method=lwf", "baseline.new_classes_only=1"], r"expected true or false, got 1"),
    (["method=mir", "baseline.candidates=0.5"], r"expected a whole number from 1 to 1000000"),
    (["method=replay", "objective.temperature=1"], r"objective\.temperature: unknown key"),
    (["method=replay", "objective=suave"], r"baseline: replay learns .*write method=replay"),
    (["method=ewc", "distiller=nnd"], r"baseline: .*distiller=nnd would have no effect"),
    (["objective=none"], r"objective: none is for .*method=NAME"),
    (["scenario=CIFAR10-5TASKS"], r"scenario: .*did you mean scenario=cifar10_5tasks\?"),
    (["scenario=../../etc/passwd"], r"scenario: '../../etc/passwd' is not a scenario name"),
    (["scenario=/abs"], r"scenario: '/abs' is not a scenario name"),
    (["scenario=a/b"], r"scenario: 'a/b' is not a scenario name"),
    (["scenario=null"], r"scenario: is required; choose one of"),
    (["scenario="], r"scenario: is empty"),
    (["scenario=[a"], r"scenario: cannot read"),
    (["model=resnet1"], r"model: .*did you mean model=resnet"),
    (["method=suav"], r"method: .*did you mean method=suave\?"),
    (["experiment=exampel"], r"experiment: .*did you mean experiment=example\?"),
    (["method=csl", "memory.exemplars=0"], r"memory.exemplars: .*objective.predict=classifier"),
    (["label_ratio=null"], r"label_ratio: is required"),
    (["label_ratio="], r"label_ratio: is empty"),
    (["label_ratio=0.8%,5%"], r"label_ratio: several values: .*add --multirun"),
    (["label_ratio=0,8%"], r"label_ratio: .*use a point: label_ratio=0.8%"),
    (["label_ratio=200%"], r"label_ratio: .*above 100%"),
    (["label_ratio=5"], r"label_ratio: .*did you mean 5%"),
    (["label_ratio=nan"], r"label_ratio: .*finite"),
    (["label_ratio=1e400"], r"label_ratio: .*finite"),
    (["label_ratio=0.8‰"], r"label_ratio: .*not a number"),
    (["label_ratio=[0.8%]"], r"label_ratio: 5 tasks, 1 value"),
    (["label_ratio={a: 1}"], r"label_ratio: "),
    (["seed=" + "9" * 5000], r"seed: "),
    (["label_ratio=${oc.env:HOME}"], r"label_ratio: \$\{\.\.\.\} is not supported"),
    (["projector=[1,'${seed}']"], r"projector: \$\{\.\.\.\} is not supported"),
    (["objective._target_=os.system"], r"_target_ is not supported"),
    (["objective={_target_: os.system}"], r"_target_ is not supported"),
    (["+hydra.callbacks.x={_target_: os.system}"], r"setting of Hydra is not supported"),
    (["-m", "hydra.launcher._target_=os.system", "seed=0,1"], r"not supported"),
    (["-m", "hydra.launcher.setup=[ls]", "seed=0,1"], r"hydra.launcher.setup: .*not supported"),
    (["hydra.run.dir=x"], r"hydra.run.dir: .*not supported"),
    (["hydra.searchpath=[x]"], r"hydra.searchpath: .*not supported"),
    (["hydra/launcher=basic"], r"hydra/launcher=basic: .*add --multirun"),
    (["-m", "hydra/launcher=slurm"], r"did you mean submitit_slurm\?"),
    (["++seed=abc"], r"write seed=abc"),
    (["~label_ratio"], r"write label_ratio=5%"),
    (["seed=1:2"], r"seed: expected a whole number from 0 to 4294967295, got '1:2'"),
    (["seed=-1"], r"seed: expected a whole number from 0 to 4294967295, got -1"),
    (["seed=4294967296"], r"seed: .*got 4294967296"),
    (["seed=1.5"], r"seed: .*got 1.5"),
    (["seed=null"], r"seed: .*got null"),
    (["seed=true"], r"seed: .*got true"),
    (["optim.lr=0"], r"optim.lr: expected a number above 0 and at most 1000, got 0; .*optim.lr="),
    (["optim.lr=nan"], r"optim.lr: .*got nan"),
    (["optim.lr=inf"], r"optim.lr: .*got inf"),
    (["optim.epochs=0"], r"optim.epochs: expected a whole number from 1 to 1000000, got 0"),
    (["optim.epochs=1.5"], r"optim.epochs: .*got 1.5"),
    (["optim.momentum=2"], r"optim.momentum: .*below 1, got 2"),
    (["optim.weight_decay=-1"], r"optim.weight_decay: .*at least 0, got -1"),
    (["data.workers=10000"], r"data.workers: .*from 0 to 256, got 10000"),
    (["data.download=yes"], r"data.download: expected true or false, got 'yes'"),
    (["precision=fp17"], r"precision: .*did you mean precision=fp32\?"),
    (["device=gpu"], r"device: expected auto, cpu or cuda"),
    (["memory.index=falt"], r"did you mean memory.index=flat\?"),
    (["projector=[]"], r"projector: "),
    (["projector=64"], r"projector: expected a list of whole numbers"),
    (["views.large.scale=[1]"], r"views.large.scale: expected a list of 2 numbers"),
    (["views.large.jitter.hue=1"], r"views.large.jitter.hue: .*from 0 to 0.5, got 1"),
    (["objective=suave", "objective.temperature=0"], r"objective.temperature: .*got 0;"),
    (["objective=suave", "objective.temperature=abc"], r"objective.temperature: .*got 'abc'"),
    (["objective=suave", "objective.temperature=nan"], r"objective.temperature: .*got nan"),
    (["objective=suave", "objective.iterations=2.5"], r"expected a whole number .*got 2.5"),
    (["objective=suave", "objective.weights={}"], r"objective.weights: is a section"),
    (["scenario.tasks=0"], r"scenario.tasks: .*got 0"),
    (["scenario.tasks=101"], r"scenario.tasks: 101 tasks of 10 classes"),
    (["scenario.task_classes=[4,6]"], r"scenario.task_classes: 2 tasks.*scenario.tasks=null"),
    (["scenario.class_order=foo"], r"scenario.class_order: expected one of id, shuffled or"),
    (["scenario.unlabelled=folder"], r"scenario.unlabelled_root: is required"),
    (["scenario=image_folder"], r"data.root: is required"),
    (["data.root=/no where/ü (1), 2"], r"data.root: no such folder: /no where/ü \(1\), 2"),
    (["data.root=~nobody-here/x"], r"data.root: '~nobody-here/x' begins with the home of a user"),
    (["output=~nobody-here/x"], r"output: '~nobody-here/x' begins with the home of a user"),
    (["output=/"], r"output: "),
    (["output="], r"output: is empty"),
    (["-m", "seed=0,x"], r"seed: .*got 'x'"),
    (["-m", "label_ratio=1%,2%,3%,400%"], r"label_ratio: 400% is above 100%"),
    (["-m", "seed=0,0"], r"several runs would write to one folder"),
    (["-m", "output=x", "seed=0,1"], r"output: several runs would write to one folder"),
    (["-m", "seed=range(0,1e9)"], r"seed: a sweep of \d+ runs"),
    (["-m", "seed=range(0,3,0)"], r"seed: a sweep that cannot be made"),
    (["-m", "method=glob(z*)"], r"method: nothing matches"),
]


@pytest.fixture(autouse=True)
def _compose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "compose", _composed)


_composed = functools.cache(groups.compose)


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=lambda v: str(v)[:40])
def test_what_is_wrong_is_one_line_with_a_remedy_and_writes_nothing(
    words: list[str],
    says: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(says, err), err
    assert err.startswith("error: ")
    assert len(err) < 400
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "path", "value"),
    [
        ("label_ratio=0.8%", ["label_ratio"], "0.8%"),
        ("label_ratio=0.8 %", ["label_ratio"], "0.8 %"),
        ("label_ratio='4/class'", ["label_ratio"], "4/class"),
        ("label_ratio=[1%,2%,3%,4%,0.05]", ["label_ratio"], ["1%", "2%", "3%", "4%", 0.05]),
        ("seed=7", ["seed"], 7),
        ("seed=4294967295", ["seed"], 2**32 - 1),
        ("optim.lr=1", ["optim", "lr"], 1.0),
        ("optim.lr=1e-3", ["optim", "lr"], 1e-3),
        ("projector=[32,16]", ["projector"], [32, 16]),
        ("device=cuda:1", ["device"], "cuda:1"),
        ("output=a b/ü, (1)=2 %", ["output"], "a b/ü, (1)=2 %"),
        ("output='a, b'", ["output"], "a, b"),
        ("output=null", ["output"], None),
        ("objective=supervised", ["objective", "name"], "supervised"),
        ("objective.weights.clustering=2", ["objective", "weights", "clustering"], 2),
        ("scenario.classes=[0,1,2,3,4,5]", ["scenario", "classes"], [0, 1, 2, 3, 4, 5]),
        ("experiment=example", ["method"], "suave"),
        ("experiment=null", ["method"], "contsemi"),
        ("scenario.tasks=1", ["scenario", "tasks"], 1),
    ],
)
def test_a_value_lands_where_it_belongs(word: str, path: list[str], value: object) -> None:
    found: object = compose.load([word]).model_dump()
    for part in path:
        assert isinstance(found, dict)
        found = found[part]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("group", sorted(groups.choices()))
def test_every_choice_composes_and_passes_the_schema(group: str, tmp_path: Path) -> None:
    for choice in groups.choices()[group]:
        of_avalanche = group == "baseline" and choice != "none"
        beside = (
            ["method=naive"] if of_avalanche or (group, choice) == ("objective", "none") else []
        )
        config = compose.load([*beside, f"{group}={choice}", f"data.root={tmp_path}"])
        if group == "method":
            assert config.method == choice
        if group == "scenario":
            assert config.scenario.name == choice
        if group in check.OWNED:
            assert getattr(config, group)["name"] == choice


def test_the_command_line_wins_over_what_a_choice_brings() -> None:
    assert compose.load(["method=contsemi", "objective=supervised"]).objective["name"] == (
        "supervised"
    )
    config = compose.load(["experiment=example", "seed=9", "method=finetune"])
    assert (config.seed, config.method) == (9, "finetune")
    assert compose.load(["seed=1", "seed=2"]).seed == 2


def test_hydra_itself_composes_the_same_from_our_words() -> None:
    words = ["method=suave", "seed=3", "optim.lr=0.5", "output=a b, 'c' ü", "projector=[8]"]
    (run,) = compose.expand(argv.split(words).tokens)
    assert Config.model_validate(compose.plain(_composed(run.words))) == run.config


def test_a_sweep_is_the_product_in_order() -> None:
    tokens = argv.split(["label_ratio=5%,20%", "seed=range(0,2)", "method=glob(sua*)"]).tokens
    runs = compose.expand(tokens, multirun=True)
    assert [(r.config.label_ratio, r.config.seed, r.config.method) for r in runs] == [
        (ratio, seed, "suave") for ratio in ("5%", "20%") for seed in (0, 1)
    ]
    assert runs[1].words == ("label_ratio=5%", "seed=1", "method=suave")
    assert len({compose.run_name(run.config) for run in runs}) == 4


def test_the_same_run_has_the_same_folder_however_it_is_written() -> None:
    ways = ["0.8%", "0.008", "8e-3", ".8%", "'0.8 %'", "1/125"]
    names = {compose.run_name(compose.load([f"label_ratio={way}"])) for way in ways}
    assert len(names) == 1
    (name,) = names
    assert name.parts[:2] == ("outputs", "digits_5tasks")
    assert name.name.startswith("contsemi_0.8pct_seed0_")
    same = ["device=cpu", "threads=2", "display=quiet", "resume=never", "checkpoint.seconds=5"]
    assert compose.run_name(compose.load(["label_ratio=0.8%", *same])) == name
    for other in ["seed=1", "optim.epochs=3", "objective.temperature=0.2", "precision=bf16"]:
        assert compose.run_name(compose.load(["label_ratio=0.8%", other])) != name


def test_images_of_another_folder_make_another_run(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()

    def names(scenario: str) -> set[Path]:
        words = [f"scenario={scenario}", "label_ratio=5%"]
        return {compose.run_name(compose.load([*words, f"data.root={root}"])) for root in roots}

    assert len(names("image_folder")) == 2
    assert len(names("cifar100_mini")) == 1


@pytest.mark.parametrize(
    ("ratio", "part"),
    [("4/class", "_4perclass_"), ("1/3", "_1of3_"), ("[1%,1%,1%,1%,1%]", "_per_task_")],
)
def test_a_folder_name_is_one_plain_name(ratio: str, part: str) -> None:
    name = compose.run_name(compose.load([f"label_ratio={ratio}", "scenario.name='../a b'"]))
    assert part in name.name
    assert name.parts[:2] == ("outputs", "_a_b")
    assert len(name.parts) == 3


def test_nearly_every_typo_finds_its_key() -> None:
    known = sorted(check.keys(compose.load().model_dump()))
    draws = random.Random(0)
    right = total = 0
    for key in known:
        for _ in range(3):
            at = draws.randrange(key.rindex(".") + 1 if "." in key else 0, len(key))
            kind = draws.randrange(4)
            letter = draws.choice("abcdefghijklmnopqrstuvwxyz")
            typo = {
                0: key[:at] + key[at + 1 :],
                1: key[:at] + letter + key[at + 1 :],
                2: key[:at] + letter + key[at:],
                3: key[:at] + key[at : at + 2][::-1] + key[at + 2 :],
            }[kind]
            if typo not in known:
                total += 1
                right += suggest.key(typo, known) == key
    assert total > 100
    assert right / total >= 0.95


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(["label_ratio", "seed", "optim.lr", "data.root", "method", "projector", "x.y"]),
    st.text(max_size=20),
)
def test_no_text_makes_the_front_fail_otherwise_than_by_saying_so(key: str, text: str) -> None:
    try:
        compose.load([f"{key}={text}"])
    except InputError as error:
        assert len(str(error).splitlines()) == 1


def test_a_hydra_of_the_callers_own_is_left_as_it_was() -> None:
    from hydra.core.global_hydra import GlobalHydra

    theirs = object()
    before = GlobalHydra.instance().hydra
    try:
        GlobalHydra.instance().hydra = theirs  # type: ignore[assignment]
        with groups.hydra():
            assert GlobalHydra.instance().hydra is not theirs
        assert GlobalHydra.instance().hydra is theirs
    finally:
        GlobalHydra.instance().hydra = before


def test_a_path_as_a_scenario_opens_no_file_of_that_name() -> None:
    program = (
        "import sys\n"
        "from contsemi.run import main\n"
        "opened = []\n"
        "sys.addaudithook(lambda e, a: e == 'open' and opened.append(str(a[0])))\n"
        "assert main(['scenario=../../../../etc/passwd']) == 2\n"
        "assert not [name for name in opened if 'passwd' in name], opened\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


def _planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A copy of the YAML files whose scenario ``planted`` has the given text."""
    from contsemi import resources

    conf, scenarios = tmp_path / "conf", tmp_path / "scenarios"
    shutil.copytree(resources.conf(), conf)
    shutil.copytree(resources.scenarios(), scenarios)
    (scenarios / "planted.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(resources, "conf", lambda: conf)
    monkeypatch.setattr(resources, "scenarios", lambda: scenarios)
    monkeypatch.setattr(groups, "compose", _composed.__wrapped__)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scenario: {name: !!python/object/apply:os.system ['true']}", "planted.yaml"),
        ("scenario: [", "planted.yaml"),
        ("scenario: {tasks: 5, _target_: os.system}", "scenario._target_"),
        ("scenario: {name: '${oc.env:HOME}'}", "resolvers"),
        ("scenario: {name: '${nope}'}", "nope"),
        ("defaults: [override /data: nowhere]\nscenario: {name: a}", "nowhere"),
        ("scenario: {name: planted}", "scenario.dataset: is missing"),
        ("scenario: {name: planted}\nsede: 1", "sede"),
    ],
)
def test_a_broken_yaml_file_is_one_line_too(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planted(tmp_path, monkeypatch, text)
    with pytest.raises(InputError, match=says) as caught:
        compose.load(["scenario=planted"])
    assert len(str(caught.value).splitlines()) == 1


def test_a_method_with_another_part_has_another_name():
    """A record that says contsemi is of contsemi."""
    assert compose.load([]).method == "contsemi"
    assert compose.load(["objective=supervised"]).method == "supervised+nnd"
    assert compose.load(["method=suave", "distiller=nnd"]).method == "suave+nnd"
