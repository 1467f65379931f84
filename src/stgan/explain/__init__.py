"""Explanations of what a classifier says of a clip: where it looks, and the smallest change that changes its answer."""

from stgan.explain.attribution import Attribution, attribute
from stgan.explain.counterfactual import Counterfactual, CounterfactualSettings, find_counterfactual
from stgan.explain.explanation import RECORD, Explainer, Explanation, SecondNetwork, read_explanation

__all__ = [
    "RECORD",
    "Attribution",
    "Counterfactual",
    "CounterfactualSettings",
    "Explainer",
    "Explanation",
    "SecondNetwork",
    "attribute",
    "find_counterfactual",
    "read_explanation",
]
