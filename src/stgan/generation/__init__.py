"""Generation jobs: clips are made batch by batch, by any number of workers, and written into a folder."""

from stgan.generation.contact_sheet import CONTACT_SHEET
from stgan.generation.init_files import read_init
from stgan.generation.job import MOST_TOGETHER, GenerationJob, GenerationRun
from stgan.generation.merging import merge
from stgan.generation.on_ray import cluster, make_on_ray
from stgan.generation.output_folder import PREVIOUS
from stgan.generation.units import FPS, Companion, Unit

__all__ = [
    "CONTACT_SHEET",
    "FPS",
    "MOST_TOGETHER",
    "PREVIOUS",
    "Companion",
    "GenerationJob",
    "GenerationRun",
    "Unit",
    "cluster",
    "make_on_ray",
    "merge",
    "read_init",
]
