"""Forward passes side by side on a processor: several batches at a time, each on few of its threads.

One pass on all threads has them wait for each other at the end of every operation, some of which (small ones, those
that move data) hardly gain from a second thread. Two passes of one thread each do not wait.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

P, R = TypeVar("P"), TypeVar("R")
AT_ONCE = 4  # most passes at a time: each holds its own states in memory


class SideBySide:
    """A context in which `count` pieces of work run at a time, and share `threads` of torch's as evenly as may be.

    With a count of one all runs in the caller's thread, with the caller's number of threads.
    """

    def __init__(self, count: int, threads: int) -> None:
        self.count = count
        self.shares = [threads // count + (number < threads % count) for number in range(count)]
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "SideBySide":
        if self.count > 1:
            import torch

            left = iter(self.shares)  # each of the pool's threads takes its share when it starts

            self._pool = ThreadPoolExecutor(self.count, "pass", lambda: torch.set_num_threads(next(left)))
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def run(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[tuple[P, R]]:
        """Each piece with what became of it, in the order of the pieces. Raises what the work raises."""
        if not self._pool:
            yield from ((piece, work(piece)) for piece in pieces)
            return
        waiting: deque[tuple[P, Future[R]]] = deque()
        for piece in pieces:
            waiting.append((piece, self._pool.submit(work, piece)))
            if len(waiting) > self.count:  # one more than are at work, so that none waits for the caller
                yield _first(waiting)
        while waiting:
            yield _first(waiting)


def _first(waiting: deque[tuple[P, Future[R]]]) -> tuple[P, R]:
    piece, future = waiting.popleft()
    return piece, future.result()


def at_first_use(make: Callable[[], R]) -> Callable[[], R]:
    """A function that makes something when it is first called, and gives the same ever after, in whatever thread."""
    made: list[R] = []
    lock = Lock()

    def get() -> R:
        with lock:
            if not made:
                made.append(make())
        return made[0]

    return get


def passes_for(device: str, threads: int) -> SideBySide:
    """How to share `threads` among passes: a GPU takes one at a time, a processor AT_ONCE at most."""
    count = min(AT_ONCE, threads) if device == "cpu" else 1
    return SideBySide(count, threads)
