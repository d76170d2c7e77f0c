"""UML's tasks, similarities and hard negatives against the official arrays."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from contsemi.losses.few_shot import (
    draw_tasks,
    hard_indices,
    mixed_negatives,
    similarity_scores,
    task_logits,
)
from contsemi.models.task_attention import TaskAttention

FOLDER = Path(__file__).parents[1] / "reference" / "parts"
TRAINED = [path for path in sorted(FOLDER.glob("uml_*.npz")) if "eval" not in path.stem]
TSP = {
    "queries.weight": "w_qs.weight",
    "keys.weight": "w_ks.weight",
    "values.weight": "w_vs.weight",
    "out.weight": "fc.weight",
    "out.bias": "fc.bias",
    "norm.weight": "layer_norm.weight",
    "norm.bias": "layer_norm.bias",
}


def adapted(data, rows):
    """Rows [T, support; query] after the official attention layer, and their places."""
    support, query = data["support_index"], data["query_index"]
    layer = TaskAttention(
        rows.shape[1], heads=int(data["tsp_heads"]), dropout=0.2, attention_dropout=0.1
    )
    layer = layer.to(rows.dtype).eval()
    layer.load_state_dict({k: data[f"tsp_slf_attn.0.{v}"] for k, v in TSP.items()})
    found = layer(rows[torch.cat([support.flatten(1), query.flatten(1)], dim=1)])
    supports, asked = support[0].numel(), query[0].numel()
    places = torch.arange(supports + asked)
    tasks = len(support)
    return (
        layer,
        found,
        (
            places[:supports].view(support.shape[1:]).expand(tasks, -1, -1),
            places[supports:].view(query.shape[1:]).expand(tasks, -1, -1),
        ),
    )


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_logits_losses_and_gradients(path, official):
    data = official.load(path)
    rows = data["embeddings"].requires_grad_()
    places = data["support_index"], data["query_index"]
    kind = {"similarity": data["similarity"], "temperature": float(data["temperature"])}
    layer = None
    if "tsp_heads" in data:
        layer, found, places = adapted(data, rows)
        logits, right = task_logits(found, *places, **kind)
    elif "hard_index" in data:
        number = int(data["hard_negatives"])
        hard = hard_indices(rows, int(data["images"]), number, data["similarity"])
        assert torch.equal(hard.sort().values, data["hard_index"].sort().values)
        mixed = mixed_negatives(rows, data["hard_index"], data["mix_coefficient"])
        official.close(mixed, data["mixed"])
        logits, right = task_logits(rows, *places, **kind, negatives=mixed, scaled_negatives=False)
    else:
        logits, right = task_logits(rows, *places, **kind)
    official.close(logits, data["logits"])
    assert torch.equal(right, data["labels"])
    loss = F.cross_entropy(logits, right)
    official.close(loss, data["loss"])
    (gradient,) = torch.autograd.grad(loss, rows, retain_graph=True)
    official.close(gradient, data["grad_embeddings"])
    if layer is not None:
        found = torch.autograd.grad(loss, list(layer.parameters()))
        for (name, _), gradient in zip(layer.named_parameters(), found, strict=True):
            official.close(gradient, data[f"grad_tsp_slf_attn.0.{TSP[name]}"], name)


def test_tasks_are_made_of_different_images_and_their_views():
    support, query = draw_tasks(
        7, 4, ways=5, shots=1, tasks=300, generator=torch.Generator().manual_seed(0)
    )
    assert support.shape == (300, 1, 5) and query.shape == (300, 3, 5)
    rows = torch.cat([support, query], dim=1)
    image, copy = rows % 7, rows // 7
    assert (image == image[:, :1]).all()
    assert all(len(task.unique()) == 5 for task in image[:, 0])
    assert (copy.sort(dim=1).values == torch.arange(4)[:, None]).all()
    assert len(copy[:, 0].unique()) == 4  # each view supports now and then


def test_a_small_batch_has_tasks_of_fewer_ways():
    support, _ = draw_tasks(2, 2, ways=5, shots=1, tasks=3, generator=torch.Generator())
    assert support.shape == (3, 1, 2)


def test_no_view_left_to_ask_is_refused():
    with pytest.raises(ValueError, match="none is left"):
        draw_tasks(4, 2, ways=2, shots=2, tasks=1, generator=torch.Generator())


def test_the_temperature_divides_hard_negatives_unless_as_released():
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    place = torch.tensor([[[0, 1]]])
    mixed = mixed_negatives(rows, torch.tensor([[1], [0], [1], [0]]), torch.zeros(4, 1))
    given = {"similarity": "sns", "temperature": 0.5, "negatives": mixed}
    ours, _ = task_logits(rows, place, place + 2, **given)
    released, _ = task_logits(rows, place, place + 2, **given, scaled_negatives=False)
    torch.testing.assert_close(ours[:, 2:], 2 * released[:, 2:])
    torch.testing.assert_close(ours[:, :2], released[:, :2])


def test_semi_normalised_scores_grow_with_the_query_alone():
    query, prototype = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 5.0]])
    assert similarity_scores(query, prototype, "sns") == 4
    assert similarity_scores(2 * query, prototype, "sns") == 8
    assert similarity_scores(query, 2 * prototype, "sns") == 4
    assert similarity_scores(query, prototype, "dot") == 20
    torch.testing.assert_close(similarity_scores(query, prototype, "cosine"), torch.tensor([[0.8]]))
    assert similarity_scores(query, prototype, "euclidean") == -10
    with pytest.raises(ValueError, match="one of sns, dot"):
        similarity_scores(query, prototype, "angle")


def test_the_attention_needs_a_width_that_its_heads_divide():
    with pytest.raises(ValueError, match="no multiple of 4 heads"):
        TaskAttention(6, heads=4, dropout=0.0, attention_dropout=0.0)
