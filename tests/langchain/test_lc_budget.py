"""The turns of a run with a budget."""

import threading

from langchain_emby._budget import Budget


def test_a_call_waits_for_the_one_before_it() -> None:
    """A call waits for the previous one of its run, but not for other runs."""
    budget, go, done = Budget(), threading.Event(), []
    first = budget.turn("run")
    first.__enter__()

    def finish_first() -> None:
        go.wait()
        done.append("first")
        first.__exit__(None, None, None)

    thread = threading.Thread(target=finish_first)
    thread.start()
    with budget.turn("another run"):
        done.append("another")
    go.set()
    with budget.turn("run"):
        done.append("second")
    thread.join()
    assert done == ["another", "first", "second"]
