"""How vecdb and hnswlib grow with the number of vectors, on one thread: build time, searches per
second at recall@10 0.95, memory; Markdown and a plot. Started by scripts/bench --growth.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np

import report
from compare import HERE, Failure, run
from vectors import exact, read_vecs, write_vecs

TARGET = 0.95


def prepared(options, count):
    """A directory as the workers read it."""
    directory = options.work / "growth" / str(count)
    if not (directory / "set.json").exists():
        run([options.benchmarks, "growth", "--counts", count, "--write", directory.parent],
            silent=True)
        base, queries = (read_vecs(directory / f"{part}.fvecs") for part in ("base", "query"))
        write_vecs(directory / "truth.ivecs", exact("l2", base, queries))
        facts = {"metric": "l2", "count": count, "dimensions": base.shape[1]}
        (directory / "set.json").write_text(json.dumps(facts))
    return directory


def points(lines, options):
    clock = "qps_cpu" if options.clock == "cpu" else "qps"
    return [report.Point(line["setting"], line["recall"], line[clock],
                         line.get("resident_bytes", line.get("search_peak_bytes")), None)
            for line in lines]


def build_clock(options):
    return "build_cpu_s" if options.clock == "cpu" else "build_s"


def vecdb(options, count):
    lines, _ = run([
        options.benchmarks, "growth", "--counts", count, "--json",
        "--build-threads", options.build_threads])
    return lines[0][build_clock(options)], lines[0]["peak_bytes"], points(lines, options)


def hnswlib(options, count):
    directory = prepared(options, count)
    store = directory / "hnswlib"
    store.unlink(missing_ok=True)
    worker = [sys.executable, HERE / "worker.py"]
    built, _ = run([*worker, "build", "hnswlib", directory, store, options.build_threads])
    lines, _ = run([*worker, "search", "hnswlib", directory, store, 1, 10])
    return built[0][build_clock(options)], built[0]["peak_bytes"], points(lines, options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmarks", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peer-max", type=int, default=1_000_000,
                        help="the largest size that hnswlib builds")
    parser.add_argument("--build-threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    options.work = options.work.resolve()
    report.machine()
    print("### Growth: generated vectors, 128 dimensions, intrinsic dimension 16, l2\n")
    print(f"Built with {options.build_threads} thread(s), searched with one; q/s interpolated at "
          f"recall@10 {TARGET}"
          f"{', all times processor time' if options.clock == 'cpu' else ''}. The exponent is that "
          "between two sizes: time proportional to count^exponent; n log n is about 1.1. Import memory is the peak of the process, with "
          "hnswlib's the vectors that were read from the file counted too.\n")
    print("| engine | vectors | build s | exponent | setting | q/s | exponent | peak MB, import "
          "| MB, searches |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    speeds, builds = {}, {}
    last = {}
    for count in sorted(options.counts):
        for name, measure in (("vecdb", vecdb), ("hnswlib", hnswlib)):
            if name == "hnswlib" and count > options.peer_max:
                continue
            try:
                seconds, peak, curve = measure(options, count)
            except Failure as error:
                print(f"| {name} | {count:,} | failed: {error} |", flush=True)
                continue
            point = report.interpolated(curve, TARGET)
            if not point:
                print(f"| {name} | {count:,} | {seconds:.1f} | | not reached |", flush=True)
                continue
            slopes = ["-", "-"]
            if name in last:
                ratio = np.log(count / last[name][0])
                slopes = [f"{np.log(seconds / last[name][1]) / ratio:.2f}",
                          f"{np.log(point.qps / last[name][2]) / ratio:.2f}"]
            last[name] = count, seconds, point.qps
            builds.setdefault(f"{name}: build, vectors/s", []).append((count, count / seconds))
            speeds.setdefault(f"{name}: searches/s", []).append((count, point.qps))
            print(f"| {name} | {count:,} | {seconds:.1f} | {slopes[0]} | {point.setting} "
                  f"| {point.qps:,.0f} | {slopes[1]} | {peak / 1e6:.0f} "
                  f"| {point.resident_bytes / 1e6:.0f} |", flush=True)
        if count != max(options.counts):
            shutil.rmtree(options.work / "growth" / str(count), ignore_errors=True)
    path = report.lines(
        options.work / "growth.svg", {**speeds, **builds}, "growth, one thread", "vectors",
        "per second", logarithmic=True)
    print(f"\nPlot: {path}")


main()
