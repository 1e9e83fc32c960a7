"""Runs vecdb and its peers in turn on the same data with the same number of threads, and prints
Markdown: build time, and searches per second at equal recall. Started by scripts/bench.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from vectors import prepare

HERE = Path(__file__).parent
EFS = "10,12,14,16,20,24,28,32,40,48,56,64,80,96,128,160,192,256,320,400,512"
TARGETS = [0.95, 0.99, 0.999]


def run(command):
    """The JSON lines that a command prints."""
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"failed with {result.returncode}: {' '.join(map(str, command))}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def measure(engine, options, directory, facts, build_threads, threads):
    """One process of an engine: builds its index if there is none, then searches."""
    store = options.work / directory.name / f"{engine}-{build_threads}"
    store.parent.mkdir(parents=True, exist_ok=True)
    if engine == "vecdb":
        files = [directory / name for name in ("base.fvecs", "query.fvecs", "truth.ivecs")]
        return run([
            options.vecdb, "bench", *files, "--metric", facts["metric"], "--json", "--ef", EFS,
            "--database", store, "--build-threads", str(build_threads), "-k", str(options.k),
            "--threads", str(threads), "--rounds", "3",
        ])
    return run([
        sys.executable, HERE / "worker.py", engine, directory, store, str(build_threads),
        str(threads), str(options.k), EFS,
    ])


def curve(runs):
    """Per setting of ef the recall, and the median speed over the rounds."""
    points = {}
    for lines in runs:
        for line in lines:
            points.setdefault(line["ef"], []).append(line)
    return [
        (ef, lines[0]["recall"], statistics.median(line["qps"] for line in lines))
        for ef, lines in sorted(points.items())
    ]


def fastest(points, target):
    good = [point for point in points if point[1] >= target]
    return max(good, key=lambda point: point[2]) if good else None


def report(name, facts, builds, curves, options):
    print(f"\n### {name}: {facts['count']:,} x {facts['dimensions']}, {facts['metric']}\n")
    print(f"Build (M 16, efConstruction 200); vecdb's is the whole durable import.\n")
    threads = sorted({count for _, count in builds})
    print("| engine | " + " | ".join(f"{count} thread(s), s | ratio" for count in threads) + " |")
    print("| --- |" + " ---: | ---: |" * len(threads))
    for engine in options.engines:
        cells = []
        for count in threads:
            seconds = builds[engine, count]
            cells.append(f"{seconds:.1f} | {seconds / builds['vecdb', count]:.2f}")
        print(f"| {engine} | " + " | ".join(cells) + " |")
    for count in options.threads:
        print(f"\nSearches per second, {count} thread(s), fastest setting that reaches the recall@{options.k}; "
              "the ratio is vecdb's speed to that engine's.\n")
        print("| engine | " + " | ".join(f"recall >= {target} | ef | q/s | ratio" for target in TARGETS) + " |")
        print("| --- |" + " ---: |" * 4 * len(TARGETS))
        for engine in options.engines:
            cells = []
            for target in TARGETS:
                own, point = (fastest(curves[e, count], target) for e in ("vecdb", engine))
                if point is None:
                    cells.append("not reached | | | ")
                    continue
                ratio = f"{own[2] / point[2]:.2f}" if own else "-"
                cells.append(f"{point[1]:.4f} | {point[0]} | {point[2]:,.0f} | {ratio}")
            print(f"| {engine} | " + " | ".join(cells) + " |")
    print(f"\n<details><summary>All settings</summary>\n\n| engine | threads | ef | recall@{options.k} | q/s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (engine, count), points in curves.items():
        for ef, recall, speed in points:
            print(f"| {engine} | {count} | {ef} | {recall:.4f} | {speed:,.0f} |")
    print("\n</details>", flush=True)


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vecdb", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--set", action="append", nargs=2, metavar=("NAME", "DIRECTORY"))
    parser.add_argument("--engines", nargs="+", default=["vecdb", "hnswlib", "faiss", "usearch"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--build-threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-k", type=int, default=10)
    options = parser.parse_args()
    if "vecdb" not in options.engines:
        options.engines.insert(0, "vecdb")

    print(f"{processor()}, {options.rounds} rounds, engines in turn, medians; peers through their batch calls.")
    for name, source in options.set:
        directory, facts = prepare(name, source, options.work / "data")
        # Old indexes would hide the build.
        shutil.rmtree(options.work / name, ignore_errors=True)
        builds, runs = {}, {}
        for build_threads in options.build_threads:
            for engine in options.engines:
                lines = measure(engine, options, directory, facts, build_threads, options.threads[0])
                builds[engine, build_threads] = lines[0]["build_s"]
                print(f"{name}: {engine} built with {build_threads} thread(s) in {lines[0]['build_s']:.1f} s",
                      file=sys.stderr)
        for turn in range(options.rounds):
            for threads in options.threads:
                for engine in options.engines:
                    lines = measure(engine, options, directory, facts, options.build_threads[-1], threads)
                    runs.setdefault((engine, threads), []).append(lines)
            print(f"{name}: round {turn + 1} of {options.rounds}", file=sys.stderr)
        report(name, facts, builds, {key: curve(value) for key, value in runs.items()}, options)


main()
