"""The folder of a generation: what is kept, what is made again, what is refused, and who comes first."""

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from manifest_lines import read_lines

from stgan import files as stgan_files
from stgan.errors import StganError
from stgan.files import LOCK
from stgan.generation import CONTACT_SHEET, PREVIOUS, merge, output_folder
from stgan.generation.output_folder import OutputFolder, agree, is_of_another_version, join, start_anew, working_in
from stgan.generation.units import Companion, Generated, Unit
from stgan.manifest import Manifest
from stgan.parts import Run, listed
from stgan.scoring import generated_clips
from stgan.video import write_gif

SETTINGS: dict[str, Any] = {
    "seed": 3,
    "preset": "robust",
    "batch": 2,
    "settings": {"guidance": 0.25, "temporal_kernel": [0.05, 0.9, 0.05]},
    "hashes": {"generator": "ab12", "condition": {"lrcn": "cd34" * 16}},
}
MACHINE = {"version": "0.1.0", "device": "cpu", "threads": 1}
RUN = Run(counts={"left": 2, "up": 2}, settings=SETTINGS, begun=MACHINE)
RECORDED = {"run.json", "manifest.jsonl", LOCK}
GIF: Mapping[str, Companion] = {".gif": lambda clip, path: write_gif(path, clip.frames)}


def clip(action: str, index: int, level: int | None = None, value: float = 0.5) -> Generated:
    level = 10 * index + 5 if level is None else level
    return Generated((action, index), np.full((4, 8, 8, 3), level, np.uint8), {"probability": value}, index)


@contextmanager
def opened(path: Path, run: Run = RUN) -> Iterator[OutputFolder]:
    with working_in(path):
        yield OutputFolder(path, agree(path, join(path, run), run), MACHINE)


def make(path: Path, *units: Unit, run: Run = RUN, companions: Mapping[str, Companion] = {}) -> int:
    """Make the missing clips of units, and merge; returns how many were made."""
    made = 0
    with opened(path, run) as folder:
        for unit in units:
            missing, former = folder.missing(unit, companions)
            if missing:
                made += len(folder.add([clip(unit.action, number) for number in missing], former, companions))
    merge(path)
    return made


def unit(action: str = "left", num: int = 2) -> Unit:
    return Unit(action, range(num))


def files(path: Path) -> set[str]:
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in files(path)}


def check_whole(path: Path) -> int:
    """How many clips the manifest lists: each once, each the one of its line, and nothing else lies there."""
    merge(path)
    lines = read_lines(path)
    clips = [line["file"] for line in lines]
    assert len(set(clips)) == len(clips)
    for line in lines:
        assert sha256((path / line["file"]).read_bytes()).hexdigest() == line["sha256"]
    parts = {f"parts/{action}/{first:04d}.jsonl" for action, found in listed(path).items() for first, _ in found}
    assert files(path) == {*clips, *parts, *RECORDED, CONTACT_SHEET}
    return len(clips)


def test_a_line_holds_the_clip_and_all_its_settings(tmp_path: Path) -> None:
    make(tmp_path, unit(num=1))
    (entry,) = read_lines(tmp_path)
    assert entry["file"] == "left/left_seed3_0000.mp4" and len(entry["sha256"]) == 64
    assert entry.items() >= (SETTINGS | MACHINE).items() and check_whole(tmp_path) == 1


def test_starting_anew_sets_the_manifest_aside_and_removes_what_belonged_to_a_replaced_clip(tmp_path: Path) -> None:
    assert not start_anew(tmp_path) and files(tmp_path) == {"manifest.jsonl", LOCK}
    make(tmp_path, unit(), companions=GIF)
    former = (tmp_path / "manifest.jsonl").read_text()
    Manifest(tmp_path).write(())  # as after kill -9, which leaves nothing but parts
    assert start_anew(tmp_path) and (tmp_path / PREVIOUS).read_text() == former
    other = replace(RUN, settings=SETTINGS | {"preset": "paper"})
    make(tmp_path, unit(num=1), run=other)
    assert files(tmp_path) == {
        "left/left_seed3_0000.mp4", "left/left_seed3_0001.mp4", "left/left_seed3_0001.gif", "parts/left/0000.jsonl",
        CONTACT_SHEET, PREVIOUS, *RECORDED,
    }  # fmt: skip
    assert start_anew(tmp_path) and not start_anew(tmp_path)  # an empty manifest replaces none that was set aside
    assert json.loads((tmp_path / PREVIOUS).read_text())["preset"] == "paper"


def damage_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [damage_a_byte, Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.rename(path.parent / "x")],
)
def test_a_clip_that_is_not_the_one_of_its_line_is_made_again(harm: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path, unit(), unit("up"))
    before = contents(tmp_path)
    harm(tmp_path / "left/left_seed3_0000.mp4")
    with pytest.raises(StganError, match="--resume"):
        for found in generated_clips(tmp_path):
            found.check_file()
    with opened(tmp_path) as folder:
        assert len(folder.missing(unit("up"))[0]) == 0 and len(folder.missing(unit())[0]) == 2 and folder.damaged == 1
    assert make(tmp_path, unit(), unit("up")) == 2
    assert {name: content for name, content in contents(tmp_path).items() if name in before} == before


def test_a_clip_without_what_is_asked_for_beside_it_is_unfinished_but_stays_listed(tmp_path: Path) -> None:
    make(tmp_path, unit())
    before = contents(tmp_path)
    with opened(tmp_path) as folder:
        assert not folder.missing(unit())[0] and len(folder.missing(unit(), GIF)[0]) == 2
    assert contents(tmp_path) == before
    assert make(tmp_path, unit(), companions=GIF) == 2 and make(tmp_path, unit(), companions=GIF) == 0
    assert contents(tmp_path).items() > before.items() and (tmp_path / "left/left_seed3_0001.gif").is_file()


def test_a_unit_that_grows_keeps_its_clips(tmp_path: Path) -> None:
    make(tmp_path, unit(num=1))
    (tmp_path / "left/left_seed3_0000.mp4").rename(tmp_path / "kept")
    (tmp_path / "kept").rename(tmp_path / "left/left_seed3_0000.mp4")
    first = (tmp_path / "left/left_seed3_0000.mp4").stat()
    assert make(tmp_path, unit(num=2)) == 1 and make(tmp_path, unit(num=1)) == 0 and check_whole(tmp_path) == 2
    assert (tmp_path / "left/left_seed3_0000.mp4").stat() == first
    (tmp_path / "left/left_seed3_0000.mp4").unlink()
    assert make(tmp_path, unit(num=2)) == 2 and check_whole(tmp_path) == 2  # all after the first that is missing


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path, unit())
    mine = ["notes.part", "left/scores.tmp", ".hidden", "left/.a.part", "other/deep/.x.mp4.12.part"]
    leftovers = [
        ".manifest.jsonl.12.part", "left/.left_seed3_0001.mp4.345.part", "left/.a.gif.6.part", ".staged/x.mp4",
        "parts/left/.0002.jsonl.7.part",
    ]  # fmt: skip
    for name in (*mine, *leftovers):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    with opened(tmp_path):
        with opened(tmp_path):
            pass
        assert files(tmp_path) >= {*mine, *leftovers}  # they may be those of the other worker
    assert not files(tmp_path) & set(leftovers) and files(tmp_path) >= set(mine)


def test_a_folder_in_use_is_joined_but_not_started_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        folder.add([clip("left", 0), clip("left", 1)])
        with pytest.raises(StganError, match="another process is generating into"):
            start_anew(tmp_path)
        with opened(tmp_path) as other:
            assert not other.missing(unit())[0]
        assert merge(tmp_path) == 2 and len(generated_clips(tmp_path)) == 2  # reading is for everybody
        with pytest.raises(StganError, match="another process"):
            start_anew(tmp_path)  # one of two has left
    assert start_anew(tmp_path)


def test_a_folder_that_another_command_keeps_for_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stgan_files, "_PATIENCE", 0.1)
    with (
        stgan_files.locked(tmp_path),
        pytest.raises(StganError, match="for itself"),
        working_in(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("former", "message"),
    [
        ({"seed": 4}, "was made with seed 4, not 3; "),
        ({"hashes": {**SETTINGS["hashes"], "generator": "00"}}, "with hashes.generator '00', not 'ab12'; "),
        ({"version": "0.0.9", "seed": 4}, "was made by another version of stgan, with seed 4, not 3; "),
        ({"settings": {"action_guidance": 3}}, "another version of stgan, with settings.action_guidance 3, not none"),
        ({"preset": "paper", "settings": {"step": 3}}, "'.*' was made with preset 'paper', not 'robust'; "),
    ],
)
def test_a_refused_resume_names_what_differs_and_changes_nothing(
    former: dict[str, Any], message: str, tmp_path: Path
) -> None:
    begun = MACHINE | {name: former.pop(name) for name in ("version",) if name in former}
    make(tmp_path, unit(), run=replace(RUN, settings=SETTINGS | former, begun=begun))
    before = contents(tmp_path)
    with (
        pytest.raises(StganError, match=f"{message}.*choose another --out, or leave --resume and --shard away"),
        opened(tmp_path),
    ):
        pass
    assert contents(tmp_path) == before


def test_clips_of_another_version_and_machine_are_continued(tmp_path: Path) -> None:
    make(tmp_path, unit(), run=replace(RUN, begun={"version": "0.0.9", "device": "abacus"}))
    assert make(tmp_path, unit("up")) == 2 and check_whole(tmp_path) == 4


def test_settings_of_settings_tell_the_version_too() -> None:
    former, now = (
        {"preset": "robust", "settings": {"transforms": each}} for each in ({"shift": 4}, {"shift": 4, "zoom": 1})
    )
    assert is_of_another_version(former, now) and not is_of_another_version(now, now)


def test_a_folder_of_an_earlier_version_is_read_but_not_resumed(tmp_path: Path) -> None:
    make(tmp_path, unit())
    for name in files(tmp_path):
        if name.startswith("parts/") or name == "run.json":
            (tmp_path / name).unlink()
    before = contents(tmp_path)
    assert len(generated_clips(tmp_path)) == 2
    with pytest.raises(StganError, match=r"cannot resume: .* no run\.json, so an earlier version"), opened(tmp_path):
        pass
    assert contents(tmp_path) == before
    assert start_anew(tmp_path) and make(tmp_path, unit()) == 2


def test_more_actions_and_clips_than_before_are_planned_too(tmp_path: Path) -> None:
    make(tmp_path, unit())
    with opened(tmp_path, replace(RUN, counts={"up": 5, "grow": 1})) as folder:
        assert folder.run.counts == {"left": 2, "up": 5, "grow": 1}
    assert json.loads((tmp_path / "run.json").read_text())["counts"] == {"left": 2, "up": 5, "grow": 1}


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    make(out, unit(num=1))
    linked = out / "left/left_seed3_0000.mp4"
    linked.rename(outside / "clip.mp4")
    linked.symlink_to(outside / "clip.mp4")
    with pytest.raises(StganError, match="is a link"):
        generated_clips(out)[0].check_file()
    linked.unlink()
    linked.symlink_to(linked)
    with pytest.raises(StganError, match=r"is missing|cannot be read|is a link"):
        generated_clips(out)[0].check_file()
    for name in ("up", "parts/up", ".staged"):
        (out / name).symlink_to(outside)
        with opened(out) as folder, pytest.raises(StganError, match="link to another folder"):
            folder.add([clip("up", 0)])
        (out / name).unlink(missing_ok=True)
    assert {path.name for path in outside.iterdir()} == {"clip.mp4"}


def test_numbers_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as folder, pytest.raises(StganError, match="values that are not finite"):
        folder.add([clip("left", 0, value=float("nan"))])
    assert files(tmp_path) == RECORDED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: out.rename(out.with_name("elsewhere")),
        lambda out: (out / "parts/up").write_text("a file where a folder should be"),
        lambda out: (out / "up").write_text("a file where a folder should be"),
    ],
    ids=["the folder is taken away", "a file in place of parts", "a file in place of clips"],
)
def test_a_folder_that_is_spoiled_on_the_way_ends_with_a_sentence(spoil: Callable[[Path], Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(out) as folder:
        folder.add([clip("left", 0)])
        spoil(out)
        with pytest.raises(StganError, match="cannot write to") as caught:
            folder.add([clip("up", 0)])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.part")) and (out.exists() or os.listdir(tmp_path) == ["elsewhere"])


def test_a_clip_is_on_the_disk_before_its_part_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, create = output_folder.flush, output_folder.create
    monkeypatch.setattr(output_folder, "flush", lambda path: (flush(path), done.append(path.suffix)))
    with opened(tmp_path) as folder:
        monkeypatch.setattr(output_folder, "create", lambda *file: (done.append(file[0].name), create(*file))[1])
        folder.add([clip("left", 0)], companions=GIF)
    assert done == [".gif", ".mp4", "0000.jsonl"]


# Several workers


def test_of_workers_with_other_bytes_the_first_one_counts(tmp_path: Path) -> None:
    """All parts tell the hashes of the files, whoever comes first, though moments decide it."""
    workers, rounds = 4, 25
    with opened(tmp_path) as folder:
        for number in range(rounds):
            barrier, won = Barrier(workers), []

            def work(level: int, number: int = number, barrier: Barrier = barrier, won: list = won) -> None:
                own = OutputFolder(tmp_path, folder.run, MACHINE | {"device": f"device {level}"})
                barrier.wait()
                clips = [clip("left", 2 * number + place, 60 * (level // 2) + 9 * place) for place in (0, 1)]
                won.append(len(own.add(clips, companions=GIF if number % 2 else {})))

            threads = [Thread(target=work, args=(level,)) for level in range(workers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(won) == [0, 0, 0, 2]
    for path in tmp_path.glob("left/*.gif"):
        path.unlink()
    assert check_whole(tmp_path) == 2 * rounds


@pytest.mark.parametrize("slow", ["replace", "link"])
def test_where_renaming_is_slow_a_worker_that_joins_takes_nothing_away(
    slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds a part whose clips are not in place yet, and makes clips faster than the first one moves its own."""
    original = getattr(os, slow)

    def slowly(*paths: Any) -> None:
        time.sleep(0.02)
        original(*paths)

    with opened(tmp_path) as folder:
        monkeypatch.setattr(os, slow, slowly)
        first = Thread(target=folder.add, args=([clip("left", number, 200) for number in range(12)],))
        first.start()
        rounds = 0
        while first.is_alive() or not rounds:
            with opened(tmp_path) as other:
                missing, former = other.missing(unit(num=12))
                if missing:
                    other.add([clip("left", number, 50) for number in missing], former)
            rounds += 1
        first.join()
        assert not folder.missing(unit(num=12))[0] and folder.damaged == 0
    assert check_whole(tmp_path) == 12


@pytest.mark.parametrize("who", ["who resumes", "who merges", "who leaves last"])
def test_a_part_whose_worker_was_killed_before_its_clips_were_in_place_is_completed(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as other:
        with opened(tmp_path) as folder, monkeypatch.context() as patch:
            patch.setattr(output_folder, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                folder.add([clip("left", 0), clip("left", 1)], companions=GIF)
        assert not list(tmp_path.glob("left/*"))
        if who == "who resumes":
            assert not other.missing(unit(), GIF)[0] and other.damaged == 0
        elif who == "who merges":
            merge(tmp_path)
    assert len(list(tmp_path.glob("left/*.gif"))) == 2 and not (tmp_path / ".staged").exists()
    assert make(tmp_path, unit(), companions=GIF) == 0


def test_a_part_that_another_worker_has_replaced_is_left(tmp_path: Path) -> None:
    make(tmp_path, unit())
    (tmp_path / "left/left_seed3_0000.mp4").unlink()
    with opened(tmp_path) as slow, opened(tmp_path) as fast:
        found = slow.missing(unit())
        clips = [clip("left", number, 90) for number in fast.missing(unit())[0]]
        assert len(fast.add(clips, found[1])) == 2
        assert slow.add([clip("left", number, 140) for number in found[0]], found[1]) == []
    assert check_whole(tmp_path) == 2


@pytest.mark.parametrize("number", ["EPERM", "EOPNOTSUPP", "ENOSYS"])
def test_where_there_are_no_hard_links_one_worker_does(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(getattr(errno, number), "no links here")

    monkeypatch.setattr(os, "link", refused)
    assert make(tmp_path, unit(), unit("up")) == 4 and make(tmp_path, unit(), unit("up")) == 0
    assert check_whole(tmp_path) == 4
