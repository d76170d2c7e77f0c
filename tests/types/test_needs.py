"""Wishes of an objective and a distiller become one, or are refused by name."""

import pytest
import torch

from contsemi.compose import files
from contsemi.errors import InputError
from contsemi.models.heads import classifier
from contsemi.objectives.objective import Objective
from contsemi.types import Mix, Needs, Teacher, View

LARGE = View(rows="unlabelled", policy="large", number=2)


def test_no_wish_gives_way_to_any():
    wishes = Needs(
        views={"large": LARGE},
        heads=("projector",),
        supports_per_class=0,
        labelled_from="current",
        teacher=Teacher((0.9, 1.0), "copied"),
    )
    assert wishes | Needs() == Needs() | wishes == wishes


def test_what_is_counted_takes_the_wider_wish():
    one = Needs(labelled_from="current", pasts=2, supports_at_test=True)
    other = Needs(labelled_from="all", pasts=1)
    both = Needs(labelled_from="all", pasts=2, supports_at_test=True)
    assert one | other == other | one == both


def test_views_of_one_name_are_one_view_that_both_see():
    other = View(rows="unlabelled", policy="large", number=2, seen_by=("past",))
    more = View(rows="labelled", policy="weak")
    both = Needs(views={"large": LARGE}) | Needs(views={"weak": more, "large": other})
    assert list(both.views) == ["large", "weak"]
    assert both.views["large"].seen_by == ("student", "past")
    assert both.views["weak"] is more


def test_a_declared_head_goes_before_a_mere_name():
    probe = classifier(detached=True)
    for one, other in (("classifier", probe), (probe, "classifier"), (probe, probe)):
        both = Needs(heads=("projector", one)) | Needs(heads=(other,))
        assert both.heads == ("projector", probe)
        assert both.head_names == ("projector", "classifier")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"supports_per_class": 0}, {"supports_per_class": 3}, "supports_per_class.* 0,.* 3"),
        (
            {"teacher": Teacher((0.9, 1.0))},
            {"teacher": Teacher((0.9, 1.0), "copied")},
            "teacher.*own.*copied",
        ),
        (
            {"views": {"large": LARGE}},
            {"views": {"large": View(rows="unlabelled", policy="weak", number=2)}},
            "views.large.*'large'.*'weak'",
        ),
        (
            {"heads": (classifier(detached=True),)},
            {"heads": (classifier(),)},
            "head classifier.*detached=True.*detached=False",
        ),
    ],
    ids=["supports", "teacher", "views", "heads"],
)
def test_a_contradiction_names_both(one, other, said):
    with pytest.raises(InputError, match=rf"^objective and distiller: {said}") as error:
        Needs(**one) | Needs(**other)
    assert "\n" not in str(error.value)


def test_rows_are_those_whose_images_are_needed():
    mixed = View(rows="coarse", mix=Mix(of=("large",)))
    needs = Needs(views={"large": LARGE, "mixed": mixed})
    assert needs.rows == {"unlabelled"} and needs.trains
    assert not Needs(heads=("classifier",)).trains


def test_an_experience_knows_no_coarse_class_unless_it_is_told():
    from contsemi.types import Experience

    rows = torch.arange(3)
    made = Experience(0, (0, 1), 0, 2, rows, rows % 2, rows)
    assert made.coarse.tolist() == [-1, -1, -1] and made.coarse_of.tolist() == [-1, -1]
    told = Experience(0, (0, 1), 0, 2, rows, rows % 2, rows, coarse=rows, num_coarse=3)
    assert told.coarse is rows


@pytest.mark.parametrize("name", [each for each in files.names("objective") if each != "none"])
def test_a_distiller_finds_images_of_both_kinds_whatever_a_method_makes_of_them(name):
    """MixMatch mixes all that it learns from, and t-ReX has no unlabelled image."""
    values = files.declared("objective", name)[0]
    needs = Objective.named(values).needs
    shown = (needs | Needs(pasts=1)).shown_to_past()
    assert needs.shown_to_past(start=True).views == shown.views
    known = [view.rows for view in shown.views.values() if view.known_to_past]
    assert not needs.views or {"unlabelled", *({"labelled"} & needs.rows)} <= set(known)
    assert shown.views.items() >= needs.views.items()
    assert needs.shown_to_past() is needs  # without a past there is nothing to compare
