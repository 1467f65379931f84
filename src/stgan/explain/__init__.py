"""Explanations of what a classifier says of a clip: where it looks, and the smallest change that changes its answer."""

from stgan.explain.attribution import Attribution, attribute
from stgan.explain.counterfactual import Counterfactual, CounterfactualSettings, find_counterfactual
from stgan.explain.explanation import (
    FILM,
    RECORD,
    Explainer,
    Explanation,
    Looks,
    SecondNetwork,
    read_explanation,
)

__all__ = [
    "FILM",
    "RECORD",
    "Attribution",
    "Counterfactual",
    "CounterfactualSettings",
    "Explainer",
    "Explanation",
    "Looks",
    "SecondNetwork",
    "attribute",
    "find_counterfactual",
    "read_explanation",
]
