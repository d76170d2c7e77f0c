"""All classes at once: the same images and labels as the stream that it bounds."""

import torch


def test_the_joint_bound_has_the_labels_of_the_stream(small, stream_of):
    config = small("method=joint_semi", "seed=3")
    assert config.scenario.tasks == 1 and config.distiller["name"] == "none"
    (whole,) = stream_of(config)[0].experiences
    parts = stream_of(small("method=contsemi", "seed=3"))[0].experiences
    for name in ("labelled", "unlabelled"):
        own = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(own.sort().values, getattr(whole, name).sort().values)
