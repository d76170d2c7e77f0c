"""What each number is, in a line, for those who read a page or a table."""

__all__ = ["MEANINGS"]

MEANINGS = {
    "average_accuracy": "mean over tasks of the accuracy at the end",
    "average_incremental_accuracy": "mean over the stream of the average accuracy so far",
    "forgetting": "best accuracy on a task before the end, less the last; mean over earlier tasks",
    "backward_transfer": "last accuracy on a task less the one just after it; negative: forgotten",
    "learning_accuracy": "mean accuracy on each task just after it was learned",
    "forgetting_first_minus_last": "accuracy just after a task less the last one",
    "relative_forgetting": "forgetting as a share of the best accuracy before",
    "sample_weighted_accuracy": "accuracy at the end, every test image weighing the same",
    "sample_weighted_incremental_accuracy": "mean over the stream of the accuracy on all test "
    "images so far, each weighing the same",
    "min_accuracy": "mean over earlier tasks of their lowest accuracy once learned",
    "worst_case_accuracy": "trade-off of the newest task's accuracy and the lowest of earlier ones",
    "gap_depth": "mean fall of an earlier task while another is learned",
    "recovery_steps": "mean steps from a switch back to 95% of the accuracy before",
    "windowed_forgetting_10": "greatest fall within ten evaluations, mean over tasks",
    "windowed_plasticity_10": "greatest rise within ten evaluations, mean over tasks",
    "anytime_accuracy": "mean accuracy over all evaluations",
    "evaluations": "how often was evaluated inside tasks",
    "expected_calibration_error": "gap between confidence and accuracy, mean over images",
    "negative_log_likelihood": "mean of -log p(true class), in nats",
    "knn_1": "accuracy of the nearest neighbour on frozen features",
    "knn_20": "the same by 20 neighbours",
    "knn_200": "the same by 200 neighbours",
    "linear": "accuracy of a logistic regression on frozen features",
    "few_shot_seen": "five images a class, nearest mean, among classes seen",
    "few_shot_unseen": "the same among classes still to come",
    "clustering_accuracy": "k-means of the features against the classes, best matching",
    "clustering_nmi": "the same by normalised mutual information",
    "clustering_ari": "the same by the adjusted Rand index",
    "knn_within": "accuracy of 20 neighbours among the classes of each task alone",
    "knn_within_forgetting": "what the features forget, by that accuracy",
    "knn_within_backward_transfer": "backward transfer of that accuracy",
    "knn_within_forward_transfer": "gain on a task before it is learned, over no training",
    "precision": "share of the given pseudo-labels that are right",
    "coverage": "share of the hidden images that are given one",
}
"""By the key in ``results.json``."""
