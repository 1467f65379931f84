"""Jobs run one after another, can be followed, and end in a result or in a sentence."""

import threading

import pytest
from markupsafe import Markup

from stgan.app.work import Work, Worker
from stgan.errors import StganError


def test_jobs_wait_for_each_other() -> None:
    worker, go = Worker(), threading.Event()

    def first(work: Work) -> Markup:
        go.wait(60.0)
        return Markup("one")

    one = worker.submit("one", first)
    two = worker.submit("two", lambda work: Markup("two"))
    views = worker.views(two)
    assert next(views) == "<p>Waiting: 1 job is before it.</p>"
    go.set()
    assert two.wait(60.0) and list(worker.views(one)) == ["one"] and list(views)[-1] == "two"
    assert worker.get(two.number) is two and worker.get(99) is None and worker.get(None) is None


def test_a_job_that_waits_can_be_cancelled_and_others_go_on() -> None:
    worker, go = Worker(), threading.Event()
    worker.submit("one", lambda work: Markup(go.wait(60.0)))
    two, three = (worker.submit(name, lambda work: Markup("done")) for name in ("two", "three"))
    two.cancel()
    go.set()
    assert three.wait(60.0)
    (said,) = worker.views(two)
    assert 'role="alert"' in said and "cancelled" in said and two.error and not three.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StganError("<b> is wrong; correct it"), "&lt;b&gt; is wrong; correct it"),
        (MemoryError(), "too little memory"),
        (ZeroDivisionError(), "stgan failed (ZeroDivisionError)"),
    ],
)
def test_an_error_is_a_sentence(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(work: Work) -> Markup:
        raise error

    worker = Worker()
    work = worker.submit("fails", fail)
    assert work.wait(60.0) and said in "".join(worker.views(work))
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, ZeroDivisionError)
