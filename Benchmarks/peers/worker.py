"""Builds the index of one peer, or opens it and measures searches. Run by compare.py: a process of
its own per step, so that engines share neither caches nor heaps and memory can be told apart.

usage: worker.py build ENGINE SET_DIRECTORY INDEX_PATH THREADS
       worker.py search ENGINE SET_DIRECTORY INDEX_PATH THREADS K
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from engines import ENGINES
from vectors import hits, read_vecs


def memory_bytes():
    """Resident bytes but for the pages of programs and libraries, and those that no file backs."""
    program = os.path.realpath("/proc/self/exe")
    resident, anonymous, counts = 0, 0, True
    for line in Path("/proc/self/smaps").read_text().splitlines():
        field, _, rest = line.partition(":")
        if field == "Rss":
            resident += int(rest.split()[0]) * 1024 * counts
        elif field == "Anonymous":
            anonymous += int(rest.split()[0]) * 1024 * counts
        elif "-" in line.split(" ", 1)[0]:
            counts = not (".so" in line or line.endswith(program))
    return np.array([resident, anonymous])


def build(engine, directory, path, threads):
    base = read_vecs(directory / "base.fvecs")
    start, start_cpu = time.perf_counter(), time.process_time()
    save = engine.build(base, path, threads)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    save()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"build_s": seconds, "build_cpu_s": cpu, "peak_bytes": peak}), flush=True)


def search(engine, directory, path, threads, k):
    queries = read_vecs(directory / "query.fvecs")
    # The library's own pages are not the index's memory.
    importlib.import_module(engine.module)
    before = memory_bytes()
    engine.open(path, threads)
    # The first call pays for what is set up once.
    engine.search(queries, k, engine.settings[0], threads)
    points = []
    for setting in engine.settings:
        seconds, cpu = [], []
        while len(seconds) < 3:
            start, start_cpu = time.perf_counter(), time.process_time()
            ids = engine.search(queries, k, setting, threads)
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
        points.append(
            (setting, ids, sorted(seconds)[1], sorted(cpu)[1], memory_bytes() - before))
    # Only now the base vectors, which would count as the engine's memory.
    base = read_vecs(directory / "base.fvecs")
    truth = read_vecs(directory / "truth.ivecs", np.int32)
    facts = json.loads((directory / "set.json").read_text())
    rows = getattr(engine, "rows", lambda ids: ids)
    for setting, ids, seconds, cpu, memory in points:
        found = hits(facts["metric"], base, queries, truth, rows(ids).astype(np.int64), k)
        print(json.dumps({
            "setting": setting, "recall": found / (k * len(queries)),
            "qps": len(queries) / seconds, "qps_cpu": len(queries) / cpu,
            "resident_bytes": int(memory[0]), "anonymous_bytes": int(memory[1]),
        }), flush=True)


def main():
    step, name, directory, path, threads = sys.argv[1:6]
    directory = Path(directory)
    facts = json.loads((directory / "set.json").read_text())
    engine = ENGINES[name](facts["metric"], facts["dimensions"], facts["count"])
    if step == "build":
        build(engine, directory, path, int(threads))
    else:
        search(engine, directory, path, int(threads), int(sys.argv[6]))
    # Some engines crash while the interpreter takes itself apart.
    sys.stdout.flush()
    os._exit(0)


main()
