"""The schema: every key of a run with its type, its range and its meaning in one line.

Nothing heavy is imported here, so that a wrong key is answered at once. The values stand in the
YAML files under ``conf/`` and ``scenarios/``; this file says only what a value may be. The keys of
a part that is chosen by name (an objective, a model, a drift map, ...) belong to that part alone:
its YAML file declares them, with their ranges.

What a key has an effect on is marked once, beside it: see :data:`EFFECTS`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.config import JsonDict

from contsemi.config.scenario import Scenario
from contsemi.config.values import (
    Count,
    DeviationRgb,
    Interval,
    NonNegative,
    Probability,
    Rate,
    Rgb,
    Section,
    Side,
)

__all__ = [
    "EFFECTS",
    "Config",
    "Crop",
    "Data",
    "Init",
    "Jitter",
    "Memory",
    "Optim",
    "Scenario",
    "Views",
]

# What a key has an effect on: ``numbers`` that come out (every key that has no mark), ``measured``,
# what is measured beside them, ``images`` that are read, or ``nothing`` but where and how fast a
# run goes. A run's folder, what a saved run is bound to, and the comparison of runs go by it.
EFFECTS = ("numbers", "measured", "images", "nothing")
NOTHING: JsonDict = {"effect": "nothing"}
MEASURED: JsonDict = {"effect": "measured"}
IMAGES: JsonDict = {"effect": "images"}

# A part that is chosen by name: ``name`` and the keys that its YAML file declares.
Chosen = dict[str, Any]


class Data(Section):
    """Where the images lie and how they are decoded."""

    source: Chosen = Field(
        description="layout of data.root; auto finds out", json_schema_extra=IMAGES
    )
    root: str | None = Field(
        description="folder of the dataset, or a Hugging Face dataset id", json_schema_extra=IMAGES
    )
    download: bool = Field(
        description="download CIFAR where data.root lacks it", json_schema_extra=NOTHING
    )
    size: Side | None = Field(
        description="image side in pixels, which views follow; null keeps the source's own"
    )
    cache: str | None = Field(
        description="folder of decoded arrays; null for the user's cache",
        json_schema_extra=NOTHING,
    )
    workers: Annotated[int, Field(ge=0, le=256)] = Field(
        description="decoding processes, 0 for one per core", json_schema_extra=NOTHING
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="share of each class that is drawn for the test where no folder has test images"
    )


class Jitter(Section):
    """Colour jitter in random order, as torchvision's ColorJitter."""

    probability: Probability = Field(description="share of views that are jittered")
    brightness: NonNegative = Field(description="factor drawn from [max(0, 1-b), 1+b]")
    contrast: NonNegative = Field(description="factor drawn from [max(0, 1-c), 1+c]")
    saturation: NonNegative = Field(description="factor drawn from [max(0, 1-s), 1+s]")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(description="shift drawn from [-h, h]")


class RandAugment(Section):
    """Operations drawn for each view from those of RandAugment, in FixMatch's ranges."""

    operations: Annotated[int, Field(ge=0, le=14)] = Field(description="drawn for each view")
    probability: Probability = Field(description="probability that a drawn one is carried out")


class Crop(Section):
    """One kind of augmented view."""

    size: Side = Field(description="side of the view in pixels; follows data.size")
    scale: Interval = Field(description="share of the image's area that is cropped, [low, high]")
    ratio: Interval = Field(description="aspect ratio of the crop, [low, high]")
    flip: Probability = Field(description="probability of a horizontal flip")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(description="rotation in ±degrees")
    shift: Probability = Field(description="translation in ± share of the side")
    jitter: Jitter = Field(description="colour jitter")
    greyscale: Probability = Field(description="probability of greyscale")
    solarise: Probability = Field(description="probability of solarising above U(0, 1)")
    equalise: Probability = Field(description="probability of histogram equalisation")
    blur: Probability = Field(description="probability of a Gaussian blur")
    blur_sigma: Interval = Field(description="standard deviation of the blur in pixels")
    erase: Probability = Field(description="probability of erasing a rectangle")
    erase_scale: Interval = Field(description="share of the area that is erased")
    reflect: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="translation in ± share of the side, the image mirrored at its edge"
    )
    rand_augment: RandAugment = Field(description="strong operations, after all others")
    cutout: Probability = Field(description="side of a grey square, as a share of the view's")
    background: Literal["none", "remove", "random", "swap"] = Field(
        description="remove puts one grey in place of the background, random that of another "
        "image; swap does so, and gives methods on MoCo a negative of each query's own background"
    )
    background_probability: Probability = Field(
        description="share of views whose background is another"
    )
    background_least: Probability = Field(
        description="a view with a smaller share of foreground keeps its background"
    )


class Init(Section):
    """What the network starts from."""

    weights: str | None = Field(
        min_length=1,
        description="file of weights to start from (SwAV, DINO, Suave or ours); null for none",
    )
    projector: bool = Field(description="take the projector from that file too")


class Views(Section):
    """How images become network inputs."""

    name: str = Field(description="name of the policy")
    mean: Rgb = Field(description="mean per channel of pixels in [0, 1]")
    std: DeviationRgb = Field(description="standard deviation per channel of pixels in [0, 1]")
    policies: dict[str, Crop] = Field(
        description="how each kind of views is made, by the name that methods ask for"
    )
    drawn: dict[str, Chosen] = Field(
        default={},
        description="operations that are drawn for each view, after those above; [] for none",
    )
    masks: Literal["auto", "folder", "spectral"] = Field(
        description="foreground, where a policy changes backgrounds: from masks/ beside train/, by "
        "the images' spectra, or auto: from the folder where there is one"
    )
    test_size: Side = Field(description="side of test images in pixels; follows data.size")
    test_crop: Annotated[float, Field(gt=0, le=1)] = Field(
        description="share of the side kept by the centre crop of test images"
    )


class Memory(Section):
    """What is kept of earlier tasks."""

    exemplars: Annotated[int, Field(ge=0)] = Field(description="images kept, over all classes")
    pseudo_labels: Probability | None = Field(
        description="fill free places with images predicted at least this surely; null for none"
    )
    embeddings: Annotated[int, Field(ge=0)] = Field(
        description="rows of the index of past embeddings, over all classes"
    )
    anchors: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="unlabelled images that no task trains on, kept to fit maps of drift on",
    )
    top_labels: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        description="classes that the soft label of an embedding keeps; null for all of them"
    )
    bytes: Annotated[int, Field(ge=0)] | None = Field(
        description="bytes for images and embeddings together, and once more (256 MiB at least) "
        "for the index of these, which is divided among processes, or lies on disk, where it "
        "takes more; null to count rows only"
    )
    selection: Chosen = Field(
        description="which images of a class are kept: first come (NNCSL), or by a policy"
    )
    drift: Chosen = Field(
        description="map that carries stored embeddings into the new network's space"
    )
    index: Literal["auto", "torch", "flat", "ivf", "sq8", "pq"] = Field(
        description="search: torch, flat exact; ivf, sq8 approximate; auto by size; pq keeps rows "
        "themselves in codes of code_bytes bytes, and searches these"
    )
    code_bytes: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        description="bytes of an embedding with index=pq, at most; null keeps half precision, of "
        "which the index alone is compressed"
    )


class Optim(Section):
    """Optimiser and the schedule of each task."""

    name: Literal["sgd", "lars", "adamw"] = Field(description="optimiser")
    epochs: Count = Field(description="passes over the unlabelled pool in each task")
    lr: Annotated[float, Field(gt=0, le=1000)] = Field(description="peak learning rate")
    start_lr: Rate = Field(description="learning rate at the start of the warm-up")
    final_lr: Rate = Field(description="learning rate at the end of the cosine")
    curve: Literal["half", "quarter"] = Field(
        description="down to final_lr by half a cosine, or by the first part of one (FixMatch)"
    )
    warmup: Probability = Field(description="share of a task's steps that warm up linearly")
    classifier_lr: Rate | None = Field(
        description="peak learning rate of the classifier, which is then not decayed; null for lr"
    )
    backbone_lr: Rate | None = Field(
        default=None,
        description="peak learning rate of the backbone, smaller for one that is pre-trained; "
        "null for lr",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(description="momentum of SGD and LARS")
    nesterov: bool = Field(description="Nesterov's momentum, of SGD")
    weight_decay: NonNegative = Field(description="weight decay (not on biases and norms)")
    final_weight_decay: NonNegative | None = Field(
        description="weight decay at the end of a task, by a cosine; null for no change"
    )
    adapt_vectors: bool = Field(
        description="decay and adapt (LARS) biases and norms too, as SwAV and Suave do"
    )
    adapt_shortcut_norms: bool = Field(
        description="decay and adapt (LARS) the BatchNorm scales of shortcuts, as NNCSL does"
    )
    clip: NonNegative = Field(description="largest gradient norm; 0 for no clipping")
    clip_by: Literal["all", "tensor"] = Field(
        description="clip the norm of all gradients together, or of each tensor (DINO)"
    )
    max_loss: NonNegative = Field(
        description="a loss above it, in size, ends the run as NaN does; 0 for no limit"
    )
    freeze_batch_norm: bool = Field(
        description="from the second task on BatchNorm keeps the first one's statistics (NNCSL)"
    )
    freeze_directions: Annotated[int, Field(ge=0)] = Field(
        description="epochs of the first task in which prototypes and clusters stand still"
    )


class BatchSizes(Section):
    """Images of one step."""

    unlabelled: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        description="unlabelled images a step; BatchNorm needs two"
    )
    labelled: Count = Field(description="labelled images a step, unless drawn by class")
    classes_per_step: Annotated[int, Field(ge=2)] | None = Field(
        description="classes that labelled images of a step are drawn from, at most: the task's "
        "own and a sample of the others, each of which counts for several; null for all"
    )
    test: Count = Field(description="images of one evaluation batch")
    pieces: Annotated[int, Field(ge=1, le=1024)] = Field(
        description="run a step's rows in so many pieces, each with its own BatchNorm statistics; "
        "doubled by itself where the device has no memory for a step"
    )


class Evaluate(Section):
    """What is measured beside the end of each task, where all test images so far are evaluated."""

    every_steps: Annotated[int, Field(ge=0)] = Field(
        description="evaluate after so many steps of a task; 0 for never"
    )
    every_epochs: Annotated[int, Field(ge=0)] = Field(
        description="evaluate after so many epochs of a task; 0 for never"
    )
    images: Annotated[int, Field(ge=0)] = Field(
        description="test images of the whole stream, chosen once per run; 0 for all"
    )
    embeddings: Annotated[int, Field(ge=0)] = Field(
        description="test images whose embeddings are written after each task; 0 for none"
    )
    probes: dict[str, Chosen] = Field(
        description="what is asked of the frozen features after each task; [] for nothing"
    )
    probe_images: Annotated[int, Field(ge=0)] = Field(
        description="training images of the whole stream whose labels the probes see; 0 for all"
    )
    pseudo_labels: Probability | None = Field(
        description="measure the labels given to unlabelled images at least this surely; null: no"
    )
    truth: bool = Field(
        default=False,
        description="measure what predict=moments would reach with the true labels of each pool, "
        "true drift and true class statistics",
    )
    discovery: Literal["none", "given", "estimated"] = Field(
        default="none",
        description="cluster the unlabelled images of all tasks so far, also of classes without a "
        "label, into the given or an estimated number of classes, and compare with the true ones",
    )


class Checkpoint(Section):
    """When the state of a run is saved."""

    seconds: NonNegative | Literal["auto"] = Field(
        description="save at least this often; 0 only after each task, auto each minute or, where "
        "that would take more than 1 % of the time, more rarely"
    )


class Config(Section):
    """One run."""

    scenario: Scenario = Field(description="the stream of tasks")
    label_ratio: Any = Field(description="labels: 0.8%, 0.008, 4/class, or one of these per task")
    coarse_ratio: Probability = Field(
        description="share of the images without a label whose coarse label is known, in each class"
    )
    method: str = Field(description="the method's name, part of every record")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(description="seed of every random draw")
    labels: Chosen = Field(description="which images get their label; keys in conf/labels/")
    objective: Chosen = Field(description="what is learned; keys in conf/objective/")
    distiller: Chosen = Field(description="what is kept; keys in conf/distiller/")
    baseline: Chosen = Field(
        description="a strategy of Avalanche in place of both; keys in conf/baseline/"
    )
    predict: Chosen = Field(
        description="which scores decide: the objective's own, or those of kept class moments"
    )
    model: Chosen = Field(description="the backbone; keys in conf/model/")
    init: Init = Field(description="what the network starts from")
    projector: Annotated[list[Count], Field(min_length=1)] = Field(
        description="widths of the projector; the last is D"
    )
    predictor: Annotated[list[Count], Field(min_length=1)] | None = Field(
        description="hidden widths of the predictor; null for one as wide as D"
    )
    head_norm: bool = Field(description="BatchNorm in the hidden layers of projector and predictor")
    head_activation: Literal["relu", "gelu"] = Field(description="activation of the same layers")
    data: Data = Field(description="where the images lie")
    views: Views = Field(description="augmentation")
    memory: Memory = Field(description="what is kept of earlier tasks")
    optim: Optim = Field(description="optimiser and schedule")
    batch: BatchSizes = Field(description="images of one step")
    evaluate: Evaluate = Field(description="evaluation while training", json_schema_extra=MEASURED)
    checkpoint: Checkpoint = Field(description="when the state is saved", json_schema_extra=NOTHING)
    device: str = Field(
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto, cpu or cuda[:n]",
        json_schema_extra=NOTHING,
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = Field(
        description="auto: bf16 where it is fast and two trial steps agree, on a GPU without it "
        "fp16, else fp32"
    )
    deterministic: bool = Field(
        description="the same bits in each run on a GPU, too, by slower operations"
    )
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = Field(
        description="mode of torch.compile, for the backbone of training steps; not with pieces"
    )
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        description="CPU threads of torch; 0 chooses by the work in a step",
        json_schema_extra=NOTHING,
    )
    output: str | None = Field(
        min_length=1, description="output folder; null names one", json_schema_extra=NOTHING
    )
    resume: Literal["auto", "never"] = Field(
        description="go on from a checkpoint, or start anew", json_schema_extra=NOTHING
    )
    display: Literal["auto", "live", "plain", "quiet"] = Field(
        description="what the screen shows", json_schema_extra=NOTHING
    )
    track: Literal["none", "tensorboard", "wandb"] = Field(
        description="where the numbers of metrics.jsonl go besides; extra: track",
        json_schema_extra=NOTHING,
    )

    @property
    def is_baseline(self) -> bool:
        """Whether a strategy of Avalanche learns, in place of objective and distiller."""
        return bool(self.baseline["name"] != "none")
