"""Work that is begun ahead: its order, its bounds, and its end."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from functools import partial

import pytest

from data_platform.sync.ahead import AT_ONCE, Ahead, Turn


def test_results_come_in_the_order_of_the_jobs_whichever_ends_first() -> None:
    second = threading.Event()

    def job(number: int) -> int:
        if number == 0:
            assert second.wait(30)
        elif number == 1:
            second.set()
        return number

    with Ahead([partial(job, number) for number in range(9)], pytest.fail) as coming:
        coming.begin()
        assert [coming.next() for _ in range(9)] == list(range(9))
        assert not coming
        assert coming.next() is None


def test_what_is_not_there_in_time_is_taken_later() -> None:
    go_on = threading.Event()
    with Ahead([lambda: go_on.wait(30)], pytest.fail) as coming:
        coming.begin()
        assert coming.next(0) is None
        assert coming.next(0.01) is None
        go_on.set()
        assert coming.next() is True


def test_what_a_job_raises_is_raised_where_its_result_is_taken() -> None:
    def fail() -> int:
        raise ValueError("this one")

    stopped: list[int] = []
    with (
        pytest.raises(ValueError, match="this one"),
        Ahead([lambda: 1, fail, lambda: 3], lambda: stopped.append(1)) as coming,
    ):
        coming.begin()
        assert coming.next() == 1
        coming.next()
    assert stopped == [1]


def test_who_leaves_early_begins_nothing_more_and_waits_for_what_is_under_way() -> None:
    interrupted = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        if number:
            assert interrupted.wait(30)
        ended.append(number)

    with Ahead([partial(job, number) for number in range(50)], interrupted.set) as coming:
        coming.begin()
        coming.next()
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= AT_ONCE + 1


def test_an_interrupt_while_a_thread_starts_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the process would never end: it waits for its threads, and they for work."""
    ended = threading.Event()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("commit"):
            raise KeyboardInterrupt

    threads: list[threading.Thread] = []

    def job() -> None:
        threads.append(threading.current_thread())
        assert ended.wait(30)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised, Ahead([job] * 3, ended.set) as coming:
        coming.begin()
    monkeypatch.undo()
    for thread in [t for t in threading.enumerate() if t.name.startswith("commit")]:
        thread.join(30)
        assert not thread.is_alive(), raised  # which keeps the pool itself, as an uncaught interrupt does
    assert len(threads) <= 1


def test_a_turn_that_is_never_given_back_ends_when_turns_do() -> None:
    turn = Turn()
    turn.__enter__()
    refused: list[type] = []

    def waiting() -> None:
        try:
            with turn:
                pytest.fail("it was given twice")
        except CancelledError as error:
            refused.append(type(error))

    others = [threading.Thread(target=waiting) for _ in range(3)]
    for other in others:
        other.start()
    turn.close()
    for other in others:
        other.join(30)
    assert refused == [CancelledError] * 3


def test_who_waits_for_a_turn_is_not_passed_by() -> None:
    """Who ends a turn and wants the next one at once stands behind the one that waits."""
    turn = Turn()
    taken: list[str] = []

    def waiting() -> None:
        with turn:
            taken.append("who waited")

    for _ in range(20):
        other = threading.Thread(target=waiting)
        with turn:
            other.start()
            while not turn._door.locked():
                pass
        with turn:
            taken.append("who had it")
        other.join()
    assert taken == ["who waited", "who had it"] * 20


def test_a_turn_that_is_closed_is_nobody_s() -> None:
    turn = Turn()
    with turn:
        turn.close()
    for _ in range(2):
        with pytest.raises(CancelledError), turn:
            pytest.fail("it was given")
