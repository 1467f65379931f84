"""Video files, windows of frames, and folders of labelled clips."""

from stgan.video.clip_cache import ClipCache
from stgan.video.clip_folder import SPLITS, ClipFile, ClipFolder
from stgan.video.decoding import resize_and_crop
from stgan.video.encoding import write_gif, write_video
from stgan.video.folders import data_root, find_clips
from stgan.video.frame_folders import VIDEOS as EXTENSIONS
from stgan.video.io import DecodedVideo, VideoError, read_video, to_float, to_uint8
from stgan.video.survey import Survey, survey_clips
from stgan.video.tensors import TensorClip
from stgan.video.windows import center_window, random_window, random_windows, spread_windows, window_at, windows_in_view

__all__ = [
    "EXTENSIONS",
    "SPLITS",
    "ClipCache",
    "ClipFile",
    "ClipFolder",
    "DecodedVideo",
    "Survey",
    "TensorClip",
    "VideoError",
    "center_window",
    "data_root",
    "find_clips",
    "random_window",
    "random_windows",
    "read_video",
    "resize_and_crop",
    "spread_windows",
    "survey_clips",
    "to_float",
    "to_uint8",
    "window_at",
    "windows_in_view",
    "write_gif",
    "write_video",
]
