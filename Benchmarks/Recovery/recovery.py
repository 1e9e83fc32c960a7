"""What embedded vector stores do on a bad day: one command measures them all.

usage: recovery.py [--short] [--kills N] [--flips N] [--engine NAME]… [--part PART]… [--output DIR]

Writes a JSON file for each store, a table and a plot to the output. Needs Linux, root for the full
disk (a small tmpfs), and strace.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import report
from engines import ENGINES

HERE = os.path.dirname(os.path.abspath(__file__))
#: Seconds after which a task counts as hanging.
PATIENCE = 90


def start(name: str, task: str, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A process of its own group, so that helpers of a store are killed with it."""
    return subprocess.Popen(
        [*before, sys.executable, os.path.join(HERE, "worker.py"), name, task, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})


def end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(name: str, task: str, *arguments: str, before: tuple[str, ...] = ()) -> dict[str, Any]:
    """The last report of a task, with `error` or `crash` where there is none."""
    process = start(name, task, *arguments, before=before)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        end(process)
        process.communicate()
        return {"crash": "hangs"}
    finally:
        end(process)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if process.returncode < 0:
        return {"crash": signal.Signals(-process.returncode).name}
    if process.returncode != 0 or (not lines and task not in ("prepare", "synced")):
        return {"error": (errors.strip().splitlines() or ["no message"])[-1][:200]}
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def kills(name: str, directory: str, count: int, numbers: random.Random) -> dict[str, Any]:
    """Kills a writer again and again, and counts acknowledged records that are gone."""
    path, ranges, opened = directory + "/db", [], []
    lost, failed = 0, ""
    for place in range(count + 1):
        process = start(name, "write", path, json.dumps(ranges))
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        # The killer waits for the first receipt, which comes after the store was checked.
        limit, deadline, ready = time.monotonic() + PATIENCE, 0.0, False
        rest, new, is_over = b"", [], False
        while not is_over:
            now = time.monotonic()
            if now > limit or (deadline and now > deadline) or (place == count and ready):
                end(process)
                # What came through the pipe before was acknowledged, too.
                is_over = True
            elif not select.select([pipe], [], [], 0.002)[0]:
                continue
            while part := os.read(pipe, 65536):
                rest += part
                if not is_over:
                    break
            else:
                is_over = True
            *lines, rest = rest.split(b"\n")
            for line in lines:
                said = json.loads(line) if line.startswith(b"{") else {}
                if "opened" in said:
                    ready, lost = True, max(lost, said["lost"])
                    if place:
                        opened.append(said["opened"])
                elif "first" in said:
                    new.append((said["first"], said["last"]))
                    deadline = deadline or time.monotonic() + numbers.uniform(0.05, 0.6)
        end(process)
        errors = process.communicate()[1]
        for first, last in new:
            if ranges and ranges[-1][1] == first:
                ranges[-1] = (ranges[-1][0], last)
            else:
                ranges.append((first, last))
        if not ready:
            failed = (errors.strip().splitlines() or ["it does not open"])[-1][:200]
            break
        if len(ranges) and ranges[-1][1] > 100_000:
            break
    known = sum(last - first for first, last in ranges)
    return {"acknowledged": known, "lost": lost, "kills": len(opened), "failed": failed,
            "reopen": sorted(opened)[len(opened) // 2] if opened else None}


def used_blocks(base: str) -> list[tuple[str, int, int]]:
    """File, place and length of the blocks of 512 bytes that are not all zero.

    Some stores reserve a hundred times the space that they use.
    """
    found = []
    for parent, folders, names in os.walk(base):
        folders.sort()
        for one in sorted(names):
            path = os.path.join(parent, one)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as handle:
                offset = 0
                while block := handle.read(512):
                    if any(block):
                        found.append((os.path.relpath(path, base), offset, len(block)))
                    offset += len(block)
    return found


def flips(name: str, directory: str, count: int, numbers: random.Random) -> dict[str, Any]:
    """Flips one bit of a closed store, and looks what reading it does."""
    base = directory + "/base"
    run(name, "prepare", base)
    truth = run(name, "read", base)
    if truth.get("lost") != 0:
        return {"failed": str(truth)}
    blocks = used_blocks(base)
    outcomes: Counter[str] = Counter()
    seen: list[str] = []
    for place in range(count):
        copy = f"{directory}/flip{place}"
        shutil.copytree(base, copy)
        file, first, length = numbers.choice(blocks)
        with open(os.path.join(copy, file), "r+b") as handle:
            offset = first + numbers.randrange(length)
            handle.seek(offset)
            byte = handle.read(1)[0]
            handle.seek(offset)
            handle.write(bytes([byte ^ 1 << numbers.randrange(8)]))
        found = run(name, "read", copy)
        kind = ("crashed" if "crash" in found else "found" if "error" in found
                else "harmless" if found == truth else "wrong")
        outcomes[kind] += 1
        if kind in ("wrong", "crashed"):
            seen.append(f"{file} at {offset}: {kind} {found.get('crash', '')}")
        shutil.rmtree(copy, ignore_errors=True)
    return {**{kind: outcomes[kind] for kind in ("found", "harmless", "wrong", "crashed")},
            "bytes": sum(length for _, _, length in blocks), "cases": seen[:20]}


def full(name: str, directory: str) -> dict[str, Any]:
    """Lets the disk of a store run full under its writes, and then makes room again."""
    mount = directory + "/small"
    os.mkdir(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192m", "none", mount]).returncode:
        return {"failed": "this needs root, for a small tmpfs"}
    try:
        process = start(name, "fill", mount + "/db")
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        if not line:
            end(process)
            return {"failed": process.communicate()[1].strip()[-200:]}
        state = os.statvfs(mount)
        free = state.f_bavail * state.f_frsize
        with open(mount + "/ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, max(free - (2 << 20), 1))
        output, errors = "", ""
        try:
            output, errors = process.communicate("go\n", timeout=PATIENCE + 30)
        except subprocess.TimeoutExpired:
            end(process)
            output, errors = process.communicate()
        said = [json.loads(one) for one in output.splitlines() if one.startswith("{")]
        last: dict[str, Any] = said[-1] if said else {"written": 200}
        code = process.returncode
        end(process)
        os.unlink(mount + "/ballast")
        crash = "" if code == 0 else signal.Signals(-code).name if code < 0 else errors[-200:]
        return {"written": last["written"], "error": last.get("error", ""), "crash": crash,
                "reads": last.get("reads", False),
                "after": run(name, "after", mount + "/db", str(last["written"]))}
    finally:
        for _ in range(20):
            if subprocess.run(["umount", mount], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)


def backups(name: str, directory: str) -> dict[str, Any]:
    """Backs up a store under writes, restores it, and compares the answers."""
    base, copy, again = (directory + part for part in ("/live", "/copy", "/again"))
    run(name, "prepare", base)
    live = run(name, "backup", base, copy)
    if "answers" not in live or live["error"]:
        return {"failed": str(live.get("error") or live)[:200]}
    try:
        ENGINES[name].restore(copy, again)
    except Exception as failure:
        return {"failed": f"{type(failure).__name__}: {failure}"[:200]}
    found = run(name, "restored", again, str(live["before"]))
    if "answers" not in found:
        return {"failed": str(found)[:200], "during": live["during"]}
    same = sum(one == other for one, other in zip(live["answers"], found["answers"]))
    return {"same": same, "queries": len(live["answers"]), "lost": found["lost"],
            "known": live["before"], "during": live["during"], "seconds": live["seconds"]}


def syncs(name: str, directory: str) -> dict[str, Any]:
    """Counts the calls that wait for the disk in fifty writes of one record."""
    trace = directory + "/trace"
    calls = "fsync,fdatasync,msync,sync_file_range,syncfs,pwritev2"
    found = run(name, "synced", directory + "/db", before=(
        "strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls},stat,statx,newfstatat,access"))
    if found:
        return {"failed": str(found)[:200]}
    count: Counter[str] = Counter()
    inside = False
    with open(trace, errors="replace") as lines:
        for line in lines:
            if "/recovery-begin" in line:
                inside = True
            elif "/recovery-end" in line:
                break
            elif inside and "resumed" not in line:
                call = line.split(maxsplit=1)[-1].split("(")[0]
                if call in calls.split(",") and (call != "pwritev2" or "DSYNC" in line):
                    count[call] += 1
    return {"each": sum(count.values()) / 50, "calls": dict(count)}


def measured(name: str, options: argparse.Namespace) -> None:
    """Measures all about one store, or some parts anew, into its file."""
    found: dict[str, Any] = {
        "label": ENGINES[name].label(), "settings": ENGINES[name].settings,
        "backup_method": ENGINES[name].backup_method}
    path = os.path.join(options.output, name.replace(" ", "-") + ".json")
    if options.part and os.path.exists(path):
        with open(path) as file:
            found = {**json.load(file), **found}
    for part, body in {
            "kills": lambda place: kills(name, place, options.kills, numbers),
            "flips": lambda place: flips(name, place, options.flips, numbers),
            "full": lambda place: full(name, place),
            "backup": lambda place: backups(name, place),
            "syncs": lambda place: syncs(name, place),
            "speed": lambda place: run(name, "speed", place + "/db")}.items():
        if options.part and part not in options.part:
            continue
        numbers = random.Random(options.seed)
        with tempfile.TemporaryDirectory(
                prefix="recovery-", dir=options.work, ignore_cleanup_errors=True) as place:
            started = time.monotonic()
            found[part] = body(place)
            with open(path, "w") as file:
                json.dump(found, file, indent=1)
            print(f"{name}: {part} {json.dumps(found[part])} "
                  f"({time.monotonic() - started:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="3 kills and 5 flips")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--flips", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", action="append", choices=list(ENGINES))
    parser.add_argument("--part", action="append", metavar="PART",
                        help="kills, flips, full, backup, syncs or speed: only measure this anew")
    parser.add_argument("--output", default="recovery")
    parser.add_argument("--work", default="/var/tmp", help="a directory on the disk to measure")
    options = parser.parse_args()
    options.kills = options.kills or (3 if options.short else 20)
    options.flips = options.flips or (5 if options.short else 40)
    os.makedirs(options.output, exist_ok=True)
    for name in options.engine or list(ENGINES):
        try:
            ENGINES[name].label()
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is left out: it is not installed", flush=True)
            continue
        measured(name, options)
    report.write(options.output)


if __name__ == "__main__":
    main()
