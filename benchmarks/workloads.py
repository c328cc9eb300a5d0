"""All workloads, by the names that ``--only`` takes: each makes rows of the table."""

from __future__ import annotations

from benchmarks import adversarial, contraction, convolution, linear, masked, networks, sequences
from benchmarks.race import Comparison
from benchmarks.resources import resources
from benchmarks.sweep import sweep

WORKLOADS = {
    "vae": [networks.VAES],
    "autoencoder": [networks.AUTOENCODERS],
    "small": [networks.SMALL],
    "linear": [linear.linear],
    "sweep": [sweep],
    "resources": [resources],
    "contraction": contraction.COMPARISONS,
    "convolution": [convolution.SPEED, convolution.memory],
    "sequences": sequences.COMPARISONS,
    "adversarial": [adversarial.STEP],
    "masked": masked.COMPARISONS,
}
CONTESTS = {
    name: [workload for workload in workloads if isinstance(workload, Comparison)]
    for name, workloads in WORKLOADS.items()
} | {"linear": linear.COMPARISONS}
COMPARISONS = {each.title: each for contests in CONTESTS.values() for each in contests}
