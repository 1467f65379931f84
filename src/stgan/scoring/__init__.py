"""Scores of clips by a network that did not steer them: which clips, which network, measured how, and what follows."""

from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import (
    MIDDLE,
    Clip,
    Protocol,
    SteeredBy,
    evenly,
    folder_clips,
    generated_clips,
    given_clips,
    labelled_clips,
    unlisted,
)
from stgan.scoring.evaluation import evaluate
from stgan.scoring.evaluators import Evaluator, as_evaluator, evaluator_of, find_evaluator
from stgan.scoring.examples import Example, examples
from stgan.scoring.generator_draws import Judging
from stgan.scoring.generator_scores import (
    Difference,
    Estimate,
    GeneratorComparison,
    GeneratorScores,
    read_generator_comparison,
)
from stgan.scoring.generators import Generator, compare_generators, find_generators
from stgan.scoring.measurements import BATCH, Measurements, Skipped, measure
from stgan.scoring.pixels import PixelScores, score_pixels
from stgan.scoring.protocols import PROTOCOLS, ByProtocol, Rules, prepared
from stgan.scoring.real import Real
from stgan.scoring.saved import SAVED, SavedMeasurements, find_given, load_measurements, save_measurements
from stgan.scoring.scores import (
    GENERATED,
    QUOTED,
    SCORES,
    ClipScores,
    Compared,
    Comparison,
    Copied,
    Copies,
    Quoted,
    Scores,
    SetScores,
    kept_scores,
    read_scores,
)
from stgan.scoring.tensor_clips import tensor_clips

__all__ = [
    "BATCH",
    "GENERATED",
    "MIDDLE",
    "PROTOCOLS",
    "QUOTED",
    "SAVED",
    "SCORES",
    "ByProtocol",
    "Clip",
    "ClipScores",
    "Compared",
    "Comparison",
    "Copied",
    "Copies",
    "Difference",
    "Estimate",
    "Evaluator",
    "Example",
    "Generator",
    "GeneratorComparison",
    "GeneratorScores",
    "Judging",
    "Measurements",
    "PixelScores",
    "Protocol",
    "Quoted",
    "Real",
    "Rules",
    "SavedMeasurements",
    "ScoreCache",
    "Scores",
    "SetScores",
    "Skipped",
    "SteeredBy",
    "as_evaluator",
    "compare_generators",
    "evaluate",
    "evaluator_of",
    "evenly",
    "examples",
    "find_evaluator",
    "find_generators",
    "find_given",
    "folder_clips",
    "generated_clips",
    "given_clips",
    "kept_scores",
    "labelled_clips",
    "load_measurements",
    "measure",
    "prepared",
    "read_generator_comparison",
    "read_scores",
    "save_measurements",
    "score_pixels",
    "tensor_clips",
    "unlisted",
]
