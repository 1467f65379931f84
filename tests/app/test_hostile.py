"""What no browser would send: wrong values, files that are not theirs, and damaged clips. Each gets a sentence."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from stgan.app.desk import Desk

HUGE = 10**400
SECRET = "secret of this machine"


class Client:
    """Calls events of the page as a browser does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.config = json.loads(self.get("/config"))

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return str(answer.read().decode(errors="replace"))

    def make(self, *data: Any) -> str:
        """All that the page answers to the button Make, the only event with so many inputs."""
        number = next(each["id"] for each in self.config["dependencies"] if len(each["inputs"]) == len(USUAL))
        session = {"session_hash": "hostile"}
        body = json.dumps({"fn_index": number, "data": list(data), "trigger_id": None, **session}).encode()
        headers = {"Content-Type": "application/json"}
        join = urllib.request.Request(f"{self.address}/gradio_api/queue/join", body, headers)
        try:
            with urllib.request.urlopen(join, timeout=60):
                return self.get("/gradio_api/queue/data?session_hash=hostile")
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")


USUAL = ["tiny", "both", ["left"], 1, 0, "default", "default", 0, 2, None, 0.5]
PATH = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
WRONG: list[tuple[int, Any]] = [
    (0, "../../etc"), (0, None), (0, {"a": 1}), (0, "weizmann"), (1, "os:system"), (1, "/tmp/my.py:make"), (1, []),
    (2, ["<script>alert(1)</script>"]), (2, ["left"] * 20_000), (2, "left"), (3, HUGE), (3, -1), (3, "1; rm -rf /"),
    (3, 10_000), (4, 10**30), (4, "x"), (5, "../paper"), (5, []), (6, "faster"), (7, 10**9), (7, -5), (8, 10**9),
    (8, -1), (9, PATH), (9, "/etc/passwd"), (9, {"path": "../../secret"}), (10, "many"), (10, -1),
]  # fmt: skip


def test_wrong_values_get_a_sentence_and_the_page_lives_on(
    desk: Desk, address: str, tiny_clips: Path, tmp_path: Path
) -> None:
    client, unanswered = Client(address), []
    for place, value in WRONG:
        data = list(USUAL)
        data[place] = value
        answer = client.make(*data)
        if '"success":false' not in answer.replace(" ", "") and "alert" not in answer:
            unanswered.append((place, value))
        assert "Traceback" not in answer and "root:" not in answer, (place, value)
    assert unanswered == []
    assert not any(work.error.startswith("stgan failed") for work in desk.worker._known.values())
    assert "<video" in client.make(*USUAL)


def test_files_of_the_machine_are_not_served(desk: Desk, address: str, tmp_path: Path) -> None:
    client = Client(address)
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    (desk.folder / "inside.txt").write_text(SECRET)
    (desk.temporary / "link.txt").symlink_to(secret)
    for path in (secret, "/etc/passwd", desk.folder / "inside.txt", f"{desk.temporary}/../secret.txt", Path(__file__)):
        try:
            answer = client.get(f"/gradio_api/file={path}")
        except urllib.error.HTTPError as error:
            answer = str(error.code)
        assert SECRET not in answer and "root:" not in answer and "urllib" not in answer, path


@pytest.mark.parametrize("kind", ["empty", "noise", "cut", "text", "large"])
def test_damaged_clips_get_a_sentence(desk: Desk, tiny_clips: Path, tmp_path: Path, kind: str, unchecked: None) -> None:
    from stgan.app.judge import uploaded
    from stgan.app.shown import verdicts
    from stgan.errors import StganError

    whole = (tiny_clips / "left" / "clip0.mp4").read_bytes()
    data = {
        "empty": b"", "noise": bytes(range(256)) * 40, "cut": whole[: len(whole) // 3], "text": b"<script>" * 99,
        "large": whole[:64] + b"\0" * 100_000,
    }[kind]  # fmt: skip
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(StganError, match=r"clip\.mp4"):
        verdicts(desk, "tiny", uploaded(desk, [str(path)]))
