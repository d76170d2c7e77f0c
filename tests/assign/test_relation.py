import torch

from contsemi.assign.relation import both_labelled, overruled, same_class

LABELS, OTHERS = torch.tensor([0, 1, -1]), torch.tensor([0, -1, 1, 0])


def test_same_class_needs_two_labels():
    expected = [[True, False, False, True], [False, False, True, False], [False] * 4]
    assert same_class(LABELS, OTHERS).tolist() == expected
    assert same_class(LABELS, LABELS).tolist() == torch.diag(LABELS >= 0).tolist()


def test_labels_overrule_only_where_both_are_known():
    for believed in (True, False):
        relation = torch.full((3, 4), believed)
        ruled = overruled(relation, LABELS, OTHERS)
        known = both_labelled(LABELS, OTHERS)
        assert known.tolist() == [[True, False, True, True]] * 2 + [[False] * 4]
        assert torch.equal(ruled[known], same_class(LABELS, OTHERS)[known])
        assert (ruled[~known] == believed).all()


def test_without_labels_nothing_changes():
    relation = torch.rand(3, 4) > 0.5
    nothing = torch.full((4,), -1)
    assert torch.equal(overruled(relation, LABELS, nothing), relation)
    assert torch.equal(overruled(relation.T, nothing, LABELS), relation.T)
