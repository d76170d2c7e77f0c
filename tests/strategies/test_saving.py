"""A strategy that was saved goes on to the bit."""

import pytest
import torch

from contsemi.errors import InputError, StateDamaged
from contsemi.strategies import restore, save


def weights(strategy):
    return strategy.learner.network.state_dict()


@pytest.mark.parametrize("method", ["suave", "contsemi"])
@pytest.mark.thorough
def test_the_third_experience_is_the_same_after_a_restore(method, ours, make_strategy, tmp_path):
    whole = make_strategy(method=method)
    whole.train(list(ours.train_stream)[:2])
    save(whole, tmp_path / "deep" / "states")
    again = make_strategy(method=method)
    assert restore(again, tmp_path / "deep" / "states", ours) == 2
    images = ours.test_stream[1].rows.images[:50]
    with torch.no_grad():
        assert torch.equal(again.model(images), whole.model(images))
    for strategy in (whole, again):
        strategy.train(ours.train_stream[2])
    assert whole.clock.train_exp_counter == again.clock.train_exp_counter == 3
    first, second = weights(whole), weights(again)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    files = {path.suffix for path in (tmp_path / "deep" / "states").iterdir()}
    assert files == {".safetensors", ".json"}


@pytest.mark.thorough
def test_what_cannot_be_saved_or_restored(ours, theirs, make_strategy, tmp_path):
    from contsemi.strategies import semi_supervised

    strategy = make_strategy()
    for name, call in (("save", save), ("restore", lambda *words: restore(*words, ours))):
        with pytest.raises(InputError, match=rf"{name}\(folder\): None is a NoneType, not a path"):
            call(strategy, None)
        with pytest.raises(InputError, match=rf"{name}\(strategy\): expected a SemiSuper"):
            call("strategy", tmp_path / "a")
    with pytest.raises(InputError, match="has not trained any experience"):
        save(strategy, tmp_path / "a")
    with pytest.raises(InputError, match="holds no state"):
        restore(strategy, tmp_path / "a", ours)
    strategy.train(ours.train_stream[0])
    save(strategy, tmp_path / "a")
    with pytest.raises(InputError, match="has been trained already"):
        restore(strategy, tmp_path / "a", ours)
    with pytest.raises(InputError, match=r"restore\(benchmark\): 5 is an int, not a benchmark"):
        restore(make_strategy(), tmp_path / "a", 5)
    other = semi_supervised(theirs, label_ratio="5%", classes="task")
    with pytest.raises(InputError, match="its classes are not those that were trained"):
        restore(make_strategy(), tmp_path / "a", other)
    with pytest.raises(StateDamaged):
        restore(make_strategy(overrides=["optim.lr=0.3"]), tmp_path / "a", ours)
