"""Scores of clips by a network that did not steer them: which clips, which network, measured how, and what follows."""

from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import Clip, Steering, evenly, folder_clips, generated_clips, labelled_clips, unlisted
from stgan.scoring.comparison import SHOWN
from stgan.scoring.evaluation import evaluate
from stgan.scoring.evaluators import EVALUATOR, Evaluator, as_evaluator, evaluator_of, find_evaluator
from stgan.scoring.measurements import BATCH, Measurements, Protocol, Skipped, measure
from stgan.scoring.real import Real
from stgan.scoring.scores import FORMAT, GENERATED, QUOTED, SCORES, Compared, Comparison, Quoted, Row, Scores

__all__ = [
    "BATCH",
    "EVALUATOR",
    "FORMAT",
    "GENERATED",
    "QUOTED",
    "SCORES",
    "SHOWN",
    "Clip",
    "Compared",
    "Comparison",
    "Evaluator",
    "Measurements",
    "Protocol",
    "Quoted",
    "Real",
    "Row",
    "ScoreCache",
    "Scores",
    "Skipped",
    "Steering",
    "as_evaluator",
    "evaluate",
    "evaluator_of",
    "evenly",
    "find_evaluator",
    "folder_clips",
    "generated_clips",
    "labelled_clips",
    "measure",
    "unlisted",
]
