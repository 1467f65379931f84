"""Clips by the job: what to make and by which settings, batch by batch, into a folder with a manifest."""

from stgan.generation.contact_sheet import CONTACT_SHEET
from stgan.generation.job import FPS, MOST_TOGETHER, Companion, GenerationJob
from stgan.generation.output_folder import PREVIOUS

__all__ = ["CONTACT_SHEET", "FPS", "MOST_TOGETHER", "PREVIOUS", "Companion", "GenerationJob"]
