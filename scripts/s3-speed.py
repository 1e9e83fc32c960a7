#!/usr/bin/env python3
"""Measures a full backup and a restore beside rclone copy of the same bytes: for scripts/s3.

usage: scripts/s3-speed.py --vecdb PATH --rclone PATH --endpoint HOST:PORT [--megabytes 200]

Both go to the same server, in turns, twice; the faster of each counts.
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
import random
import struct


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vecdb", required=True)
    parser.add_argument("--rclone", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    work = tempfile.mkdtemp(prefix="vecdb-s3-speed-")
    try:
        rows = max(1, arguments.megabytes * 1_000_000 // 2_048)
        draw = random.Random(3)
        path = f"{work}/rows.npy"
        with open(path, "wb") as file:
            text = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 1024), }" % rows
            text += " " * ((64 - (len(text) + 11) % 64) % 64) + "\n"
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
            for _ in range(rows):
                file.write(draw.randbytes(1024))
        run = lambda *words: subprocess.run(words, check=True, capture_output=True, text=True)
        run(arguments.vecdb, "create", f"{work}/db", "items", "--dimensions", "1024", "--metric", "l2")
        run(arguments.vecdb, "import", f"{work}/db", "items", path)
        run(arguments.vecdb, "checkpoint", f"{work}/db")
        remote = (f":s3,provider=Ceph,endpoint='http://{arguments.endpoint}',env_auth=true:")
        best = {}
        for turn in range(2):
            address = f"s3://vecdb/speed-{os.getpid()}-{turn}?endpoint=http://{arguments.endpoint}"
            report = json.loads(run(arguments.vecdb, "backup", f"{work}/db", address, "--json").stdout)
            # The same bytes as files of the same sizes: a repository in a directory.
            local = f"{work}/repository-{turn}"
            run(arguments.vecdb, "backup", f"{work}/db", local, "--json")
            started = time.monotonic()
            run(arguments.rclone, "copy", local, f"{remote}vecdb/rclone-{os.getpid()}-{turn}",
                "--transfers", "24", "--s3-no-check-bucket")
            up = time.monotonic() - started
            started = time.monotonic()
            run(arguments.rclone, "copy", f"{remote}vecdb/rclone-{os.getpid()}-{turn}",
                f"{work}/back-{turn}", "--transfers", "24")
            down = time.monotonic() - started
            restored = json.loads(
                run(arguments.vecdb, "restore", address, f"{work}/copy-{turn}", "--verify", "quick",
                    "--json").stdout)
            figures = {"backup": report["seconds"], "rclone up": up,
                       "restore, copy": restored["copySeconds"],
                       "restore, with its proof": restored["totalSeconds"], "rclone down": down}
            for name, seconds in figures.items():
                best[name] = min(best.get(name, seconds), seconds)
            size = report["newBytes"]
            for place in (local, f"{work}/back-{turn}", f"{work}/copy-{turn}"):
                shutil.rmtree(place, ignore_errors=True)
        print(f"{size / 1e6:.0f} MB, {report['newBlocks']} blocks, {report['requests']}")
        for name, seconds in best.items():
            print(f"  {name:24} {seconds:7.2f} s  {size / 1e6 / seconds:7.1f} MB/s")
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
