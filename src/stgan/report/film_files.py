"""Clips as files beside a page that has too many for one file. A second run takes those that are there."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from PIL import Image

from stgan.errors import StganError
from stgan.files import remove, remove_leftovers, replacing
from stgan.report.films import Encoded, Film, Films, encode_film
from stgan.report.page import BROWSE, folder_beside, make_beside, write_page
from stgan.scoring import Clip
from stgan.video import TensorClip
from stgan.video.frame_folders import clip_sha256

_FORMAT = 2  # of the films; must be raised when they change
_WHOLE_FOLDER = 4_000_000_000  # bytes of all films together
_KINDS = ("mp4", "webm", "jpg")  # the poster is written last: where it is, the film is whole
_NAME = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(_KINDS)})")
_POSTER_QUALITY = 85  # of JPEG

Watch = Callable[[Iterable[Film | None], str, int], Iterable[Film | None]]


@dataclass
class FilmFolder:
    """The films of a page as files in a folder beside it, named by the content of the clips.

    One clip at a time is in memory. A film that is there is not made again: its name is a hash of the clip's file.

    refused:  why clips could not be shown, by path.
    left_out: the number of clips for which the folder has no space left.
    """

    beside: ClassVar = True

    folder: Path
    refused: dict[Path | TensorClip, str] = field(default_factory=dict)
    left_out: int = 0
    _made: dict[Path | TensorClip, Film] = field(default_factory=dict)
    _bytes: int = 0

    @classmethod
    def of(cls, page: Path) -> "FilmFolder":
        """The folder of a page: `report_files/films` for `report.html`. StganError if `make_beside` refuses it.

        Two levels down, the films are not taken for clips of an action if the page is in a folder of clips.
        """
        folder = folder_beside(page, "files") / "films"
        make_beside(folder)
        return cls(folder)

    def write(
        self,
        clips: Sequence[Clip],
        watch: Watch = lambda films, description, total: films,
        wide: bool = False,
    ) -> None:
        """Make the films of these clips. watch: may wrap the films to show progress. wide: as for `encode_film`."""
        once = {clip.source: clip for clip in clips}.values()
        for _ in watch((self.get(clip, wide) for clip in once), "films", len(once)) if once else ():
            pass

    def prune(self) -> None:
        """Remove the films that nobody asked for since, which a page of before had."""
        used = {Path(film.mp4).stem for film in self._made.values()}
        for path in list(self.folder.iterdir()):
            if _NAME.fullmatch(path.name) and path.stem not in used:
                remove(path)
        remove_leftovers(self.folder)

    def get(self, clip: Clip, wide: bool = False) -> Film | None:
        """The film of a clip; None if it cannot be shown, does not match its manifest, or there is no space left.

        wide: as for `encode_film`.
        """
        path = clip.source
        if path in self._made or path in self.refused:
            return self._made.get(path)
        if self._bytes > _WHOLE_FOLDER:
            self.left_out += 1
            return None
        try:
            clip.check_file()
            name = hashlib.sha256(f"{_FORMAT} {wide} {clip.sha256 or clip_sha256(path)}".encode()).hexdigest()[:32]
            self._made[path] = self._kept(name) or self._new(name, encode_film(path, wide))
        except StganError as error:
            self.refused[path] = str(error)
            return None
        self._bytes += sum(file.stat().st_size for file in self._files(name))
        return self._made[path]

    def _files(self, name: str) -> list[Path]:
        return [self.folder / f"{name}.{kind}" for kind in _KINDS]

    def _kept(self, name: str) -> Film | None:
        """The film of this name, if it is there. Links are no films: the page would bring in their targets."""
        files = self._files(name)
        if not all(file.is_file() and not file.is_symlink() for file in files):
            return None
        try:
            with Image.open(files[-1], formats=["JPEG"]) as poster:
                return self._film(name, poster.size)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None

    def _new(self, name: str, film: Encoded) -> Film:
        mp4, webm, poster = self._files(name)
        for path, data in ((mp4, film.mp4), (webm, film.webm)):
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        with replacing(poster) as temporary:
            film.poster.save(temporary, format="JPEG", quality=_POSTER_QUALITY)
        return self._film(name, film.poster.size)

    def _film(self, name: str, size: tuple[int, int]) -> Film:
        inside = quote(os.fsencode(self.folder.relative_to(self.folder.parents[1])))
        mp4, webm, poster = (f"./{inside}/{file.name}" for file in self._files(name))
        return Film(mp4, webm, poster, *size)


def films_of(
    page: Path, places: Sequence[tuple[Clip, bool]], watch: Watch, *, beside: bool = False
) -> Films | FilmFolder:
    """The films of a page: inside it if all of them fit, else files beside it.

    Args:
        places: what the page shows: each a clip, and whether its film is wide. A clip that it shows twice is there
            twice.
        beside: they are files beside the page in any case.
    """
    inside = Films()
    if not beside and inside.hold(places):
        return inside
    films = FilmFolder.of(page)
    for wide in (False, True):
        films.write([clip for clip, is_wide in places if is_wide is wide], watch, wide)
    return films


def write_with_films(
    path: Path, template: str, films: Films | FilmFolder, page: Mapping[str, object]
) -> tuple[Path, Path | None]:
    """Write a page, then remove the films that only the former one showed.

    Returns:
        The page, and the folder of the films beside it, if there is one.
    """
    beside = films.folder if isinstance(films, FilmFolder) else None
    written = write_page(path, template, script=BROWSE if beside else "", page=page)
    if isinstance(films, FilmFolder):
        films.prune()
    return written, beside
