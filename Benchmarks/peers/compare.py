"""Runs vecdb and its peers in turn on the same data with the same number of threads, and prints
Markdown: build time, memory, and searches per second at equal recall; writes a plot per set.
Started by scripts/bench.

An engine that is not installed, fails or takes too long is named at the end and left out.
"""

import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import report
from engines import EFS, ENGINES
from vectors import prepare

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 1800


class Failure(Exception):
    pass


def run(command, threads=1, silent=False):
    """The JSON lines that a command prints (none if it is a silent one), and the CPU seconds it
    used."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        result = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False,
            env=environment, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"took longer than {TIMEOUT_SECONDS} s") from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        words = result.stderr.strip().splitlines() or ["no message"]
        raise Failure(f"exit status {result.returncode}: {words[-1][:200]}")
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    if not lines and not silent:
        raise Failure("printed no result")
    return lines, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def discard(store):
    """Removes an index of an earlier run, which would hide the build."""
    shutil.rmtree(store, ignore_errors=True)
    store.unlink(missing_ok=True)


class Runner:
    """Builds and searches the indexes of one set."""

    def __init__(self, options, directory, facts):
        self.options, self.directory, self.facts = options, directory, facts

    def _store(self, engine, threads):
        return self.options.work / "indexes" / self.directory.name / f"{engine}-{threads}"

    def _vecdb(self, store, *arguments):
        files = [self.directory / name for name in ("base.fvecs", "query.fvecs", "truth.ivecs")]
        return run([
            self.options.vecdb, "bench", *files, "--metric", self.facts["metric"], "--json",
            "--database", store, "-k", self.options.k, *arguments])

    def build(self, engine, threads):
        """Wall and CPU seconds."""
        store = self._store(engine, threads)
        store.parent.mkdir(parents=True, exist_ok=True)
        if engine == "vecdb":
            discard(store)
            lines, cpu = self._vecdb(
                store, "--ef", 10, "--rounds", 1, "--build-threads", threads)
            return lines[0]["build_s"], cpu
        note = store.with_name(store.name + ".json")
        if self.options.reuse and note.exists():
            built = json.loads(note.read_text())
            return built["build_s"], built["build_cpu_s"]
        discard(store)
        note.unlink(missing_ok=True)
        lines, _ = run([
            sys.executable, HERE / "worker.py", "build", engine, self.directory, store, threads,
        ], threads)
        note.write_text(json.dumps(lines[0]))
        return lines[0]["build_s"], lines[0]["build_cpu_s"]

    def search(self, engine, build_threads, threads):
        """Points of setting, recall, qps; on one thread also per second of CPU, and memory."""
        store = self._store(engine, build_threads)
        if engine == "vecdb" and threads == 1:
            return run([
                self.options.benchmarks, "sweep", "--database", store, "--queries",
                self.directory / "query.fvecs", "--k", self.options.k, "--ef", *EFS,
            ])[0]
        if engine == "vecdb":
            lines, _ = self._vecdb(
                store, "--ef", ",".join(map(str, EFS)), "--threads", threads, "--rounds", 3)
            return [dict(line, setting=line["ef"]) for line in lines]
        return run([
            sys.executable, HERE / "worker.py", "search", engine, self.directory, store, threads,
            self.options.k,
        ], threads)[0]


def measure(name, source, options, failures):
    directory, facts = prepare(name, source, options.work / "data")
    runner = Runner(options, directory, facts)
    engines = list(options.engines)
    results = report.Results(name, facts, options)

    def attempt(engine, what, action):
        try:
            return action()
        except (Failure, KeyError, ValueError) as error:
            if engine == "vecdb":
                sys.exit(f"{name}: vecdb: {what}: {error}")
            failures.append(f"{name}: {engine} left out: {what}: {error}")
            print(failures[-1], file=sys.stderr)
            engines.remove(engine)
            return None

    for threads in options.build_threads:
        for engine in list(engines):
            built = attempt(engine, "build", lambda: runner.build(engine, threads))
            if built:
                results.builds[engine, threads] = built
                print(
                    f"{name}: {engine} built with {threads} thread(s) in {built[0]:.1f} s, "
                    f"{built[1]:.1f} s of CPU", file=sys.stderr)
    for turn in range(options.rounds):
        for threads in options.threads:
            for engine in list(engines):
                lines = attempt(
                    engine, "search",
                    lambda: runner.search(engine, options.build_threads[-1], threads))
                if lines:
                    results.add(engine, threads, lines)
        print(f"{name}: round {turn + 1} of {options.rounds}", file=sys.stderr)
    results.engines = engines
    return results


def installed(engines, failures):
    found = []
    for engine in engines:
        package = "vecdb" if engine == "vecdb" else ENGINES[engine].module.split(".")[0]
        if engine == "vecdb" or importlib.util.find_spec(package):
            found.append(engine)
        else:
            failures.append(f"{engine} left out: not installed for this Python")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vecdb", type=Path, required=True)
    parser.add_argument("--benchmarks", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--set", action="append", nargs=2, metavar=("NAME", "DIRECTORY"))
    parser.add_argument("--engines", nargs="+", choices=["vecdb", *ENGINES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--build-threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall",
                        help="cpu: searches per second of the one thread's processor time")
    parser.add_argument("--reuse", action="store_true",
                        help="take the peers' indexes of an earlier run")
    parser.add_argument("-k", type=int, default=10)
    options = parser.parse_args()
    # Some engines write their paths into their files.
    options.work = options.work.resolve()
    failures = []
    options.engines = ["vecdb"] + [
        engine for engine in options.engines or ENGINES if engine != "vecdb"]
    options.engines = installed(options.engines, failures)
    report.machine()
    print(f"Recall counts by distance: a hit is as near as the true {options.k}-th neighbour. "
          f"{options.rounds} rounds, engines in turn, each in a process of its own; the fastest of "
          "the rounds' medians counts, since other work on a machine only ever slows.", flush=True)
    if options.clock == "cpu":
        print("\nq/s are per second of processor time, since the machine has other work.")
    for name, source in options.set:
        results = measure(name, source, options, failures)
        results.write()
        print(f"\nPlot: {results.plot(options.work / f'{name}.svg')}", flush=True)
    for failure in failures:
        print(f"\n{failure}")


if __name__ == "__main__":
    main()
