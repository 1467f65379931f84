"""Clips by the job: what to make and by which settings, batch by batch, into a folder with a manifest."""

from stgan.generation.contact_sheet import CONTACT_SHEET
from stgan.generation.job import FPS, MOST_TOGETHER, Companion, Generated, GenerationJob, GenerationRun, as_before
from stgan.generation.output_folder import PREVIOUS, Key, OutputFolder, open_output

__all__ = [
    "CONTACT_SHEET",
    "FPS",
    "MOST_TOGETHER",
    "PREVIOUS",
    "Companion",
    "Generated",
    "GenerationJob",
    "GenerationRun",
    "Key",
    "OutputFolder",
    "as_before",
    "open_output",
]
