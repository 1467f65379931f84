"""Generation jobs: clips are made batch by batch and written into a folder with a manifest."""

from stgan.generation.contact_sheet import CONTACT_SHEET
from stgan.generation.init_files import read_init
from stgan.generation.job import FPS, MOST_TOGETHER, Companion, GenerationJob
from stgan.generation.output_folder import PREVIOUS

__all__ = ["CONTACT_SHEET", "FPS", "MOST_TOGETHER", "PREVIOUS", "Companion", "GenerationJob", "read_init"]
