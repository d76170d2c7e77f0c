import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics
from avalanche.logging import InteractiveLogger
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from contsemi import compose
from contsemi.strategies import SemiSupervisedStrategy, semi_supervised

digits = load_digits()
images, targets = torch.tensor(digits.images / 16)[:, None], torch.tensor(digits.target)
train = TensorDataset(images[:1500], targets[:1500])
test = TensorDataset(images[1500:], targets[1500:])
theirs = nc_benchmark(train, test, n_experiences=5, task_labels=False, seed=0)
benchmark = semi_supervised(theirs, label_ratio="5%", seed=0)

metrics = [*accuracy_metrics(experience=True, stream=True), *forgetting_metrics(stream=True)]
evaluator = EvaluationPlugin(metrics, loggers=[InteractiveLogger()])
config = compose.load(["method=contsemi", "model.width=8", "optim.epochs=5"])
strategy = SemiSupervisedStrategy(config=config, plugins=[EWCPlugin(0.1)], evaluator=evaluator)
for experience in benchmark.train_stream:
    strategy.train(experience)
    results = strategy.eval(benchmark.test_stream)
