"""One process that uses one store, and reports on its standard output.

usage: worker.py ENGINE TASK PATH [ARGUMENT]

The tasks are the functions below. They run in a process of their own, since some of them end with a
kill, and some stores end theirs.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import numpy
from engine import Engine
from engines import ENGINES

DIMENSIONS = 32
#: Records of a base that other tasks begin with.
BASE = 2000
BATCH = 20


def pool() -> numpy.ndarray:
    """The vectors of all records, by number; each has its own value."""
    return numpy.random.default_rng(1).random((120_000, DIMENSIONS), dtype=numpy.float32)


def queries(count: int = 20) -> numpy.ndarray:
    return numpy.random.default_rng(2).random((count, DIMENSIONS), dtype=numpy.float32)


def say(**members: object) -> None:
    print(json.dumps(members), flush=True)


def missing(engine: Engine, rows: numpy.ndarray, numbers: list[int]) -> int:
    """How many of the records are not there, or not as they were written."""
    found = engine.rows(numbers) if numbers else {}
    return sum(
        one not in found or not numpy.array_equal(numpy.asarray(found[one], numpy.float32), rows[one])
        for one in numbers)


def prepare(kind: type[Engine], path: str, _: str) -> None:
    """Writes the base."""
    engine, rows = kind(path, DIMENSIONS), pool()
    for first in range(0, BASE, 200):
        engine.insert(first, rows[first:first + 200])
    engine.close()


def write(kind: type[Engine], path: str, argument: str) -> None:
    """Opens, counts acknowledged records that are lost, and writes with receipts until it is killed.

    The argument is the list of acknowledged ranges.
    """
    ranges = json.loads(argument)
    rows = pool()
    started = time.monotonic()
    engine = kind(path, DIMENSIONS)
    if ranges:
        engine.search(rows[0], 10)
    seconds = time.monotonic() - started
    known = [one for first, last in ranges for one in range(first, last)]
    end = ranges[-1][1] if ranges else 0
    # A write without a receipt may be there or not. The next one comes behind it.
    unknown = engine.rows(list(range(end, end + 2 * BATCH))) if ranges else {}
    say(opened=seconds, lost=missing(engine, rows, known), known=len(known))
    first = max(unknown, default=end - 1) + 1
    while first + BATCH <= len(rows):
        engine.insert(first, rows[first:first + BATCH])
        say(first=first, last=first + BATCH)
        first += BATCH


def read(kind: type[Engine], path: str, _: str) -> None:
    """Reads the base, and searches."""
    engine = kind(path, DIMENSIONS)
    lost = missing(engine, pool(), list(range(BASE)))
    answers = [engine.search(query, 10) for query in queries()]
    say(lost=lost, answers=answers)
    engine.close()


def fill(kind: type[Engine], path: str, _: str) -> None:
    """Writes until the store refuses. A line on the standard input says that space is short."""
    engine, rows = kind(path, DIMENSIONS), pool()
    engine.insert(0, rows[:200])
    say(ready=True)
    sys.stdin.readline()
    written, error, limit = 200, "", time.monotonic() + 60
    while written + 100 <= len(rows) and time.monotonic() < limit:
        try:
            engine.insert(written, rows[written:written + 100])
        except BaseException as failure:  # some stores raise panics that are no exceptions
            error = f"{type(failure).__name__}: {failure}"
            break
        written += 100
        say(written=written)
    reads = True
    try:
        engine.search(rows[0], 10)
    except BaseException:
        reads = False
    say(written=written, error=error[:200], reads=reads)
    sys.stdout.flush()
    # What a program does that gives up; a clean end would be a second attempt to write.
    os._exit(0)


def after(kind: type[Engine], path: str, argument: str) -> None:
    """Counts records that are lost, and whether the store can be written again."""
    engine, rows, count = kind(path, DIMENSIONS), pool(), int(argument)
    lost = missing(engine, rows, list(range(count)))
    there = engine.rows(list(range(count, count + 200)))
    try:
        first = max(there, default=count - 1) + 1
        engine.insert(first, rows[first:first + 10])
        writes = missing(engine, rows, list(range(first, first + 10))) == 0
    except BaseException:
        writes = False
    say(lost=lost, writes=writes)
    engine.close()


def backup(kind: type[Engine], path: str, argument: str) -> None:
    """Copies the store while another thread writes records that no query of ours comes near to."""
    engine, rows = kind(path, DIMENSIONS), pool()
    answers = [engine.search(query, 10) for query in queries()]
    stop, failures, written = threading.Event(), [], [BASE]

    def writer() -> None:
        try:
            while not stop.is_set() and written[0] + BATCH <= len(rows):
                engine.insert(written[0], rows[written[0]:written[0] + BATCH] + 1000)
                written[0] += BATCH
        except BaseException as failure:
            failures.append(f"{type(failure).__name__}: {failure}"[:200])

    thread = threading.Thread(target=writer)
    thread.start()
    time.sleep(0.5)
    error = ""
    started, before = time.monotonic(), written[0]
    try:
        engine.backup(argument)
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"[:200]
    seconds = time.monotonic() - started
    stop.set()
    thread.join()
    say(answers=answers, before=before, during=written[0] - before, seconds=seconds, error=error,
        writer=failures)
    engine.close()


def restored(kind: type[Engine], path: str, argument: str) -> None:
    """Counts what a copy lacks of the first records, and searches."""
    before = int(argument)
    engine, rows = kind(path, DIMENSIONS), pool()
    rows[BASE:] += 1000
    say(lost=missing(engine, rows, list(range(before))),
        answers=[engine.search(query, 10) for query in queries()])
    engine.close()


def synced(kind: type[Engine], path: str, _: str) -> None:
    """Writes fifty single records, between two calls that a trace shows."""
    engine, rows = kind(path, DIMENSIONS), pool()
    for place in range(5):
        engine.insert(place, rows[place:place + 1])
    os.path.exists("/recovery-begin")
    for place in range(5, 55):
        engine.insert(place, rows[place:place + 1])
    os.path.exists("/recovery-end")
    os._exit(0)


def speed(kind: type[Engine], path: str, _: str) -> None:
    """Imports in batches, writes single records, and searches."""
    engine, rows = kind(path, DIMENSIONS), pool()
    started, count = time.monotonic(), 0
    while count < 10_000 and time.monotonic() - started < 30:
        engine.insert(count, rows[count:count + 100])
        count += 100
    rate = count / (time.monotonic() - started)
    single = []
    for place in range(count, count + 50):
        begun = time.perf_counter()
        engine.insert(place, rows[place:place + 1])
        single.append(time.perf_counter() - begun)
    engine.settle()
    wanted, times, right = queries(300), [], 0
    for place, query in enumerate(wanted):
        begun = time.perf_counter()
        found = engine.search(query, 10)
        times.append(time.perf_counter() - begun)
        if place < 100:
            distances = ((rows[:count + 50] - query) ** 2).sum(1)
            right += len(set(found) & set(numpy.argpartition(distances, 10)[:10].tolist()))
    say(records=count, rate=rate, write=float(numpy.median(single)), search=float(numpy.median(times)),
        recall=right / 1000)
    engine.close()


TASKS = {task.__name__: task for task in (
    prepare, write, read, fill, after, backup, restored, synced, speed)}

if __name__ == "__main__":
    ENGINES[sys.argv[1]].load()
    TASKS[sys.argv[2]](ENGINES[sys.argv[1]], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
    # Threads of stores must not hold up the end.
    sys.stdout.flush()
    os._exit(0)
