"""What was measured, as Markdown tables and a plot."""

import math
import os
import platform
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

from engines import ENGINES

TARGETS = [0.95, 0.99]
Point = namedtuple("Point", "setting recall qps resident_bytes anonymous_bytes vector_bytes",
                   defaults=[0])


def title(engine):
    return ENGINES[engine].title if engine in ENGINES else "vecdb (M 16, efConstruction 128)"


def first_line(*command):
    if not shutil.which(command[0]):
        return f"no {command[0]}"
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout or result.stderr).splitlines()[0].strip()


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def memory_text():
    try:
        kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
        return f"{kilobytes / 1e6:.0f} GB of memory"
    except (OSError, ValueError, IndexError):
        return "memory unknown"


def machine():
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Machine: {processor()}, {os.cpu_count()} cores, {memory_text()}; "
          f"{platform.system()} {platform.release()}; "
          f"{first_line('swift', '--version')}; Python {platform.python_version()}.")
    print(f"Load averages before the run: {load}.\n", flush=True)


def interpolated(points, target):
    """The speed where the curve crosses the target: linear in recall between the two neighbouring
    settings, in the logarithm of the speed; at the first setting if that is above already."""
    ordered = sorted(points, key=lambda point: point.recall)
    below = [point for point in ordered if point.recall < target]
    above = [point for point in ordered if point.recall >= target]
    if not above:
        return None
    right = max(above, key=lambda point: point.qps)
    if not below:
        return right
    left = max(below, key=lambda point: point.recall)
    if left.qps <= right.qps or right.recall == left.recall:
        return right
    share = (target - left.recall) / (right.recall - left.recall)
    qps = math.exp(math.log(left.qps) * (1 - share) + math.log(right.qps) * share)
    return right._replace(qps=qps)


class Results:
    """Of one set: builds as (wall, CPU) seconds, curves of points, memory in bytes."""

    def __init__(self, name, facts, options):
        self.name, self.facts, self.options = name, facts, options
        self.engines = list(options.engines)
        self.builds, self.rounds = {}, {}

    def add(self, engine, threads, lines):
        self.rounds.setdefault((engine, threads), []).append(lines)

    def curve(self, engine, threads):
        clock = "qps_cpu" if self.options.clock == "cpu" and threads == 1 else "qps"
        settings = {}
        for lines in self.rounds.get((engine, threads), []):
            for line in lines:
                settings.setdefault(line["setting"], []).append(line)
        return [
            Point(setting, lines[0]["recall"], max(line[clock] for line in lines),
                  lines[-1].get("resident_bytes"), lines[-1].get("anonymous_bytes"),
                  lines[-1].get("vector_bytes", 0))
            for setting, lines in settings.items()
        ]

    def at(self, engine, threads, target):
        return interpolated(self.curve(engine, threads), target)

    def write(self):
        facts = self.facts
        print(f"\n### {self.name}: {facts['count']:,} x {facts['dimensions']}, {facts['metric']}\n")
        for engine in self.engines:
            print(f"- {engine}: {title(engine)}")
        self._write_builds()
        for threads in self.options.threads:
            self._write_searches(threads)
        self._write_settings()

    def _write_builds(self):
        counts = sorted({threads for _, threads in self.builds})
        print("\nBuild, seconds. vecdb's is the whole durable import through its log, zvec's and "
              "NGT's end on disk too; the others' in memory. Memory is what the process's "
              "data, without programs and libraries, grew by from before opening to after the "
              "searches at 0.99; \"f32 from files\" are the pages of "
              "vecdb's float32 vectors that re-ranking touched, clean pages of files that the kernel "
              "takes back when they are not used; the ratio leaves them out; \"no file\" is memory "
              "that no file backs. Ratios are to vecdb.\n")
        head = [f"{count} thread(s): CPU s | wall s | CPU ratio" for count in counts]
        print("| engine | " + " | ".join(head)
              + " | resident MB at 0.99 | f32 from files | ratio | no file, MB |")
        print("| --- |" + " ---: | ---: | ---: |" * len(counts) + " ---: | ---: | ---: | ---: |")
        own = self.at("vecdb", self.options.threads[0], 0.99)
        for engine in self.engines:
            cells = []
            for count in counts:
                wall, cpu = self.builds[engine, count]
                cells.append(
                    f"{cpu:.1f} | {wall:.1f} | {cpu / self.builds['vecdb', count][1]:.2f}")
            point = self.at(engine, self.options.threads[0], 0.99)
            if point and point.resident_bytes:
                cold = point.resident_bytes - point.vector_bytes
                ratio = (f"{cold / (own.resident_bytes - own.vector_bytes):.2f}" if own else "-")
                cells.append(f"{point.resident_bytes / 1e6:.0f} | {point.vector_bytes / 1e6:.0f} "
                             f"| {ratio} | {point.anonymous_bytes / 1e6:.0f}")
            else:
                cells.append("- | - | - | -")
            print(f"| {engine} | " + " | ".join(cells) + " |")

    def _write_searches(self, threads):
        print(f"\nSearches per second, k={self.options.k}, {threads} thread(s), interpolated at the "
              "recall; beside it the first setting at or above it and the recall that has. The "
              "ratio is vecdb's speed to that engine's.\n")
        head = [f"q/s at {target} | ratio | setting | recall" for target in TARGETS]
        print("| engine | " + " | ".join(head) + " |")
        print("| --- |" + " ---: |" * 4 * len(TARGETS))
        for engine in self.engines:
            cells = []
            for target in TARGETS:
                own, point = self.at("vecdb", threads, target), self.at(engine, threads, target)
                if not point:
                    cells.append("not reached | | | ")
                    continue
                ratio = f"{own.qps / point.qps:.2f}" if own else "-"
                cells.append(f"{point.qps:,.0f} | {ratio} | {point.setting} | {point.recall:.4f}")
            print(f"| {engine} | " + " | ".join(cells) + " |")

    def _write_settings(self):
        print(f"\n<details><summary>All settings</summary>\n\n| engine | threads | setting | "
              f"recall@{self.options.k} | q/s |\n| --- | ---: | ---: | ---: | ---: |")
        for engine, threads in self.rounds:
            if engine not in self.engines:
                continue
            for point in self.curve(engine, threads):
                print(f"| {engine} | {threads} | {point.setting} | {point.recall:.4f} "
                      f"| {point.qps:,.0f} |")
        print("\n</details>", flush=True)

    def plot(self, path):
        """Writes recall against speed at the first number of threads; the path, or why not."""
        threads = self.options.threads[0]
        curves = {engine: sorted(
            ((point.recall, point.qps) for point in self.curve(engine, threads)
             if 0.8 <= point.recall < 1)) for engine in self.engines}
        return lines(
            path, curves, f"{self.name}, k={self.options.k}, {threads} thread(s)",
            f"recall@{self.options.k}", "queries per second", misses=True)


def lines(path, curves, heading, across, up, misses=False, logarithmic=False):
    """A plot of lines with a logarithmic vertical axis. With `misses` the horizontal one is spread
    towards 1, where recalls differ most."""
    try:
        import matplotlib
    except ImportError:
        return "none, matplotlib is not installed"
    matplotlib.use("svg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for name, points in curves.items():
        own = name.startswith("vecdb")
        horizontal = [1 - x if misses else x for x, _ in points]
        axes.plot(horizontal, [y for _, y in points], marker="o", markersize=3, label=name,
                  linewidth=2.5 if own else 1.2, zorder=3 if own else 2)
    axes.set_yscale("log")
    if misses or logarithmic:
        axes.set_xscale("log")
    if misses:
        axes.invert_xaxis()
        ticks = [0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
        axes.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set(title=heading, xlabel=across, ylabel=up)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return path
