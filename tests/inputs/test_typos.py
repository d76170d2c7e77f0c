"""A key or a name with one slip of the finger is answered with the one that was meant."""

import random
import string

import pytest

from contsemi import compose
from contsemi.compose import files, groups, suggest
from contsemi.discovery import ROOMS, SEVERAL
from contsemi.errors import InputError

SEED = 0


def known_keys():
    """Every key there is: those of the default run, and of each method, model and scenario."""
    keys = set(dict(files.keys(compose.load().model_dump())))
    for group in ROOMS:
        for name in files.names(group):
            prefix = f"{group}.{name}." if group in SEVERAL else f"{group}."
            keys |= set(dict(files.keys(files.declared(group, name)[0], prefix)))
    return sorted(keys)


def edits(word, draws):
    """Every deletion and transposition, and one substitution and insertion at each place."""
    letters = string.ascii_lowercase + "_"
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]
        yield word[:at] + draws.choice(letters) + word[at + 1 :]
        yield word[:at] + draws.choice(letters) + word[at:]
        if at + 1 < len(word):
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def share_found(words, find, most=None):
    """The share of typos of the words that lead back to them, and how many were tried."""
    draws = random.Random(SEED)
    typos = [(typo, word) for word in words for typo in edits(word, draws) if typo not in words]
    if most is not None:
        typos = draws.sample(typos, min(most, len(typos)))
    found = sum(find(typo) == word for typo, word in typos)
    return found / len(typos), len(typos)


def of_names(most=None):
    for group, names in groups.choices().items():
        yield group, names, share_found(names, lambda typo, n=names: suggest.name(typo, n), most)


@pytest.mark.thorough
def test_nearly_every_typo_finds_its_key() -> None:
    keys = sorted(dict(files.keys(compose.load().model_dump())))
    share, tried = share_found(keys, lambda typo: suggest.key(typo, keys), most=300)
    assert tried == 300
    assert share >= 0.95, f"{share:.1%} (seed {SEED})"


def test_nearly_every_typo_finds_its_name() -> None:
    for group, _, (share, tried) in of_names(most=60):
        assert tried >= 50, group
        assert share >= 0.95, f"{group}: {share:.1%} of {tried} (seed {SEED})"


@pytest.mark.slow
def test_all_typos() -> None:
    found = total = 0
    keys = known_keys()
    of_keys = ("keys", keys, share_found(keys, lambda typo: suggest.key(typo, keys)))
    for kind, words, (share, tried) in [of_keys, *of_names()]:
        print(f"{kind}: {len(words)} words, {tried} typos, {share:.1%} find them")
        found, total = found + share * tried, total + tried
        assert share >= 0.95, kind
    print(f"together {found / total:.2%} of {total}")


@pytest.mark.parametrize(
    ("said", "meant"), [("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16")]
)
def test_what_the_screen_calls_a_precision_is_taken_for_the_key_of_the_same(
    said: str, meant: str
) -> None:
    """By letters float32 is nearest to tf32, which has other numbers."""
    with pytest.raises(InputError, match=f"did you mean precision={meant}?"):
        compose.load([f"precision={said}"])
