import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contsemi import compose
from contsemi.compose import argv, groups, parts
from contsemi.config import Config
from contsemi.discovery import ROOMS, SEVERAL, parts_of
from contsemi.errors import InputError
from contsemi.objectives.objective import Objective

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _compose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "compose", _composed)


_composed = functools.cache(groups.compose)


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
        ("objective.weights.clustering=2", ["objective", "weights", "clustering"], 2.0),
        ("scenario.classes=[0,1,2,3,4]", ["scenario", "classes"], [0, 1, 2, 3, 4]),
        ("experiment=example", ["method"], "suave"),
        ("experiment=null", ["method"], "contsemi"),
        ("scenario.tasks=1", ["scenario", "tasks"], 1),
    ],
)
@pytest.mark.quick(8)
def test_a_value_lands_where_it_belongs(word: str, path: list[str], value: object) -> None:
    found: object = compose.load([word]).model_dump()
    for part in path:
        assert isinstance(found, dict)
        found = found[part]
    assert found == value
    assert type(found) is type(value)


OF_DATA = {"cifar10": "cifar10_5tasks", "cifar100": "cifar100_10tasks", "folder": "image_folder"}
OF_DATA |= {"digits": "digits_5tasks", "imagenet100": "imagenet100_20tasks"}
OF_SOURCE = {"torchvision": "cifar10_5tasks", "parquet": "image_folder", "bundled": "digits_5tasks"}
OF_SOURCE |= {"shards": "image_folder"}


@pytest.mark.parametrize("group", sorted(groups.choices()))
@pytest.mark.quick(1)
def test_every_choice_composes_and_passes_the_schema(group: str, tmp_path: Path) -> None:
    for choice in groups.choices()[group]:
        of_avalanche = group == "baseline" and choice != "none"
        beside = (
            ["method=naive"] if of_avalanche or (group, choice) == ("objective", "none") else []
        )
        scenario = {**OF_DATA, **OF_SOURCE}.get(choice, "") if group.startswith("data") else ""
        beside += [f"scenario={scenario}"] * bool(scenario)
        if group in ("scenario", "experiment") or scenario:
            beside += [f"data.root={tmp_path}"] * ("digits" not in scenario + choice)
        if choice == "example":
            beside = []
        if group == "memory.drift":
            beside = ["memory.embeddings=1"]
        value = f"[{choice}]" if group in SEVERAL else choice
        config = compose.load([*beside, f"{group}={value}"])
        if group == "method":
            assert config.method == choice
        if group == "scenario":
            assert config.scenario.name == choice
        if group in ROOMS:
            assert choice in parts.chosen(config.model_dump())[group]
            assert parts.part_schema(group, choice).model_fields.keys() >= {"name"}


def test_an_empty_list_is_filled_with_what_its_range_says() -> None:
    section = compose.load(["objective=promptcal", "objective.prompt_projector=[32,16]"]).objective
    assert list(map(type, section["prompt_projector"])) == [int, int]
    assert Objective.named(section).prompt_projector == [32, 16]
    section = compose.load(["objective=fixmatch", "objective.teacher=[0.9,1]"]).objective
    assert list(map(type, section["teacher"])) == [float, float]


# What a method's limits are at: MoCo, every row a negative, an empty cluster that is left out
LIMITS = (
    "ascl neighbours=0",
    "promptcal negatives=-1",
    "propos empty=-10000",
    "mira beta=[0,0.9999]",
)


@pytest.mark.parametrize("words", LIMITS)
def test_a_limit_that_a_comment_names_is_in_range(words: str) -> None:
    name, key = words.split()
    assert Objective.named(compose.load([f"objective={name}", f"objective.{key}"]).objective)


@pytest.mark.parametrize("words", ["mira beta=[1,1]", "suave beta=1", "promptcal diffusion=0"])
def test_what_a_method_would_divide_by_is_out_of_range(words: str) -> None:
    name, key = words.split()
    with pytest.raises(InputError, match=f"objective.{key.split('=')[0]}.*expected"):
        compose.load([f"objective={name}", f"objective.{key}"])


def test_the_command_line_wins_over_what_a_choice_brings() -> None:
    assert compose.load(["method=contsemi", "objective=supervised"]).objective["name"] == (
        "supervised"
    )
    config = compose.load(["experiment=example", "seed=9", "method=finetune"])
    assert (config.seed, config.method) == (9, "finetune")


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
    config = compose.load([f"label_ratio={ratio}"])
    scenario = config.scenario.model_copy(update={"name": "../a b"})
    name = compose.run_name(config.model_copy(update={"scenario": scenario}))
    assert part in name.name
    assert name.parts[:2] == ("outputs", "_a_b")
    assert len(name.parts) == 3


@pytest.mark.thorough
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
    from contsemi.compose import resources

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


@pytest.mark.parametrize(
    "section",
    [
        "views: 5",
        "views: {policies: null}",
        "views: {policies: {large: 3}}",
        "views: {test_crop: .nan}",
        "data: null",
        "distiller: [nnd]",
        "distiller: {name: null}",
        "distiller: {name: nnd+projected, nnd: 5, q: 3}",
        "objective: null",
    ],
)
@pytest.mark.quick(2)
def test_a_section_that_is_none_is_one_line_whatever_looks_at_it_first(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planted(tmp_path, monkeypatch, f"scenario: {{name: planted}}\n{section}")
    for words in ([], ["data.size=64"], ["method=nncsl"]):
        with pytest.raises(InputError) as caught:
            compose.load(["scenario=planted", *words])
        assert len(str(caught.value).splitlines()) == 1


def test_distillers_work_together_each_with_its_own_keys() -> None:
    config = compose.load(
        ["distiller=[nnd,projected]", "distiller.projected.weights.projected=0.5"]
    )
    assert config.method == "suave+nnd+projected"
    alone = {name: compose.load([f"distiller={name}"]).distiller for name in ("nnd", "projected")}
    found = parts_of(config.distiller)
    assert found["nnd"] == alone["nnd"]
    assert found["projected"] == alone["projected"] | {"weights": {"projected": 0.5}}
    assert compose.load(["distiller=[nnd]"]) == compose.load(["distiller=nnd"])
    assert compose.load(["distiller=nnd+projected"]) == compose.load(["distiller=[nnd,projected]"])


def test_a_sweep_may_hold_several_distillers_as_one_value() -> None:
    tokens = argv.split(["distiller=nnd,[nnd,projected]"]).tokens
    names = [run.config.distiller["name"] for run in compose.expand(tokens, multirun=True)]
    assert names == ["nnd", "nnd+projected"]


def test_what_a_recipe_says_of_its_distiller_goes_to_that_one_of_several() -> None:
    config = compose.load(["experiment=nncsl_cifar10", "distiller=[nnd,projected]"])
    assert config.distiller["nnd"]["weights"] == {"distillation": 0.2}
    assert config.distiller["projected"]["weights"] == {"projected": 1.0}


def test_a_yaml_file_may_choose_several_distillers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _planted(tmp_path, monkeypatch, "scenario: {name: planted}")
    (tmp_path / "conf" / "experiment" / "both.yaml").write_text(
        "defaults: [override /distiller: [nnd, projected], _self_]\n"
        "distiller: {nnd: {temperature: 0.5}}",
        encoding="utf-8",
    )
    found = parts_of(compose.load(["experiment=both"]).distiller)
    assert list(found) == ["nnd", "projected"]
    assert found["nnd"]["temperature"] == 0.5


def test_a_method_with_another_part_has_another_name():
    """A record that says contsemi is of contsemi."""
    assert compose.load([]).method == "contsemi"
    assert compose.load(["objective=supervised"]).method == "supervised+nnd"
    assert compose.load(["method=suave", "distiller=nnd"]).method == "suave+nnd"


@pytest.mark.parametrize("words", ["seed=1", None, 3, [1], {"seed": 1}, [b"seed=1"]])
def test_what_is_no_list_of_words_is_refused(words):
    with pytest.raises(InputError, match=r"words: expected a list of texts, got .*; write \["):
        compose.load(words)
