import torch
from scipy.stats import ks_2samp
from torchvision.transforms import RandomErasing

from contsemi.views.draws import Draws
from contsemi.views.erase import Erase, draw_erase

FILL = [0.2, 0.4, 0.6]


def test_erases_the_rectangle_and_nothing_else(photographs):
    images = photographs[:2].float() / 255
    start, length = torch.tensor([[3.0, 5.0], [0.0, 0.0]]), torch.tensor([[4.0, 7.0], [0.0, 0.0]])
    result = Erase(start=start, length=length, fill=torch.tensor([FILL, FILL])).apply(images)
    expected = images.clone()
    expected[0, :, 3:7, 5:12] = torch.tensor(FILL)[:, None, None]
    assert torch.equal(result, expected)


def test_distributed_as_torchvision(generator):
    count, scale = 3000, (0.02, 0.33)
    drawn = draw_erase(Draws(generator, count), 32, 0.5, scale, FILL)
    chosen = drawn.length[:, 0] > 0
    assert abs(chosen.float().mean() - 0.5) < 0.04
    ours = torch.cat((drawn.start, drawn.length), 1)[chosen]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        theirs = torch.tensor(
            [
                RandomErasing.get_params(torch.zeros(3, 32, 32), scale, (0.3, 3.3), [0.0])[:4]
                for _ in range(count)
            ]
        )
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    assert (ours[:, :2] + ours[:, 2:] <= 32).all()


def test_too_small_an_image_is_left(generator):
    drawn = draw_erase(Draws(generator, 4), 1, 1.0, (0.5, 1.0), FILL)
    images = torch.rand((4, 3, 1, 1), generator=generator)
    assert torch.equal(drawn.apply(images), images)
