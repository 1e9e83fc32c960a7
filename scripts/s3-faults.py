#!/usr/bin/env python3
"""Backups, archives, restores and prunes behind a proxy that fails, with SIGKILLs: for scripts/s3.

usage: scripts/s3-faults.py --vecdb PATH --endpoint HOST:PORT [--runs 100] [--seed N]

After each run the same command is repeated without faults and must succeed; then the repository must be
valid, every restore point that a backup promised and the rule keeps must be there, and every tenth time
the newest must restore to the digest of the database.
"""
import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vecdb", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    work = tempfile.mkdtemp(prefix="vecdb-s3-")
    port = free_port()
    proxy = subprocess.Popen(
        [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "s3-proxy.py"),
         "--listen", str(port), "--to", arguments.endpoint, "--rate", "0.12",
         "--seed", str(arguments.seed)], stdout=subprocess.PIPE, text=True)
    database = f"{work}/db"
    name = f"faults-{os.getpid()}"
    clean = f"s3://vecdb/{name}?endpoint=http://{arguments.endpoint}"
    faulty = f"s3://vecdb/{name}?endpoint=http://127.0.0.1:{port}"

    def run(*words, check=True, timeout=600):
        done = subprocess.run([arguments.vecdb, *words], capture_output=True, text=True,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise SystemExit(f"failed: {' '.join(words)}\n{done.stdout}{done.stderr}")
        return done

    number = 0

    def write(count):
        nonlocal number
        rows = []
        for _ in range(count):
            number += 1
            rows.append(json.dumps({"key": str(draw.randrange(4000)),
                                    "vector": [draw.random() for _ in range(32)]}))
        with open(f"{work}/rows.jsonl", "w") as file:
            file.write("\n".join(rows) + "\n")
        run("import", database, "items", f"{work}/rows.jsonl")

    promised = []
    outcomes = {"succeeded": 0, "failed": 0, "killed": 0}
    try:
        time.sleep(0.5)
        run("create", database, "items", "--dimensions", "32", "--metric", "l2")
        write(6000)
        for index in range(arguments.runs):
            kind = draw.choice(["backup", "backup", "archive", "restore", "prune"]) if promised \
                else "backup"
            if kind in ("backup", "archive"):
                write(draw.randrange(20, 400))
            copy = f"{work}/copy"
            shutil.rmtree(copy, ignore_errors=True)

            def command(address):
                if kind == "restore":
                    return ["restore", address, copy, "--json"]
                if kind == "prune":
                    return ["prune", address, "--keep-last", "3", "--force", "--grace", "0",
                            "--json"]
                return [kind, database, address, "--json"]

            process = subprocess.Popen([arguments.vecdb, *command(faulty)], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            kills = draw.random() < 0.45
            try:
                output, errors = process.communicate(
                    timeout=draw.uniform(0.02, 1.2) if kills else 600)
                result = "succeeded" if process.returncode == 0 else "failed"
            except subprocess.TimeoutExpired:
                process.kill()
                output, errors = process.communicate()
                result = "killed"
            outcomes[result] += 1
            if result == "succeeded" and kind == "backup":
                promised.append(json.loads(output.splitlines()[-1])["lsn"])
            if result == "failed":
                print(f"  run {index}: {kind} failed: {errors.strip()[:300]}", flush=True)
            shutil.rmtree(copy, ignore_errors=True)
            again = run(*command(clean))
            if kind == "backup":
                lsn = json.loads(again.stdout.splitlines()[-1])["lsn"]
                if not promised or promised[-1] != lsn:
                    promised.append(lsn)
            verified = run("verify", clean, "--verify", "quick", "--json", check=False)
            report = json.loads(verified.stdout.splitlines()[0])
            if report["problems"]:
                raise SystemExit(f"run {index} ({kind}, {result}): {report['problems'][:5]}")
            listed = {json.loads(line)["lsn"] for line in run("backups", clean, "--json")
                      .stdout.splitlines() if '"lsn"' in line and '"mark"' not in line}
            for lsn in promised[-3:]:
                if lsn not in listed:
                    raise SystemExit(f"run {index} ({kind}, {result}): restore point {lsn} is gone")
            if index % 10 == 9:
                shutil.rmtree(copy, ignore_errors=True)
                run("archive", database, clean)
                restored = json.loads(run("restore", clean, copy, "--json").stdout.splitlines()[-1])
                stats = json.loads(run("stats", database, "--json").stdout.splitlines()[0])
                if restored["dataDigest"] != stats["dataDigest"]:
                    raise SystemExit(f"run {index}: the restored data differ")
                print(f"  {index + 1} runs: {outcomes}", flush=True)
        print(f"{arguments.runs} runs: {outcomes}; the repository was valid each time")
    finally:
        proxy.terminate()
        print("requests by fault:", proxy.communicate()[0].strip())
        shutil.rmtree(work, ignore_errors=True)


main()
