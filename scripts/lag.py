"""What scripts/lag does with its processes; see there."""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

parser = argparse.ArgumentParser()
for name in ("--vecdb", "--work", "--output"):
    parser.add_argument(name, required=True)
for name in ("--rows", "--dimensions"):
    parser.add_argument(name, type=int, required=True)
options = parser.parse_args()
work, dimensions = options.work, options.dimensions
processes = []


def say(text):
    print(text, file=sys.stderr, flush=True)


def vectors(path, rows, seed):
    """A .npy file of bytes around 100 centres."""
    generator = random.Random(seed)
    # Half of a centre plus an eighth of noise, all bytes of a row at once: no sum reaches 256.
    half, eighth = (int.from_bytes(bytes([part]) * dimensions, "big") for part in (0x7F, 0x1F))
    centres = [
        int.from_bytes(generator.randbytes(dimensions), "big") >> 1 & half for _ in range(100)
    ]
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, dimensions)
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        for row in range(rows):
            noise = int.from_bytes(generator.randbytes(dimensions), "big") >> 3 & eighth
            file.write((centres[row % 100] + noise).to_bytes(dimensions, "big"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*arguments):
    result = subprocess.run([options.vecdb, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"vecdb {arguments[0]} failed: {result.stderr}")
    return result.stdout


def start(*arguments):
    log = open(f"{work}/{arguments[0]}-{len(processes)}.log", "w")
    process = subprocess.Popen([options.vecdb, *arguments], stdout=log, stderr=log)
    processes.append(process)
    return process


def status(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def stop(process):
    process.terminate()
    process.wait()


def plain_copy(source, target):
    """Seconds to send the files over loopback, write and sync them."""
    os.makedirs(target)
    server = socket.create_server(("127.0.0.1", 0))
    files = [
        (os.path.join(directory, name), os.path.getsize(os.path.join(directory, name)))
        for directory, _, names in os.walk(source)
        for name in names
        if not name.endswith(".sock")
    ]

    def send():
        connection, _ = server.accept()
        for path, _ in files:
            with open(path, "rb") as file:
                connection.sendfile(file)
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    began = time.monotonic()
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_connection(server.getsockname()) as connection:
        for number, (_, size) in enumerate(files):
            with open(f"{target}/{number}", "wb") as file:
                while size:
                    count = connection.recv_into(buffer, min(size, len(buffer)))
                    file.write(buffer[:count])
                    size -= count
                file.flush()
                os.fsync(file.fileno())
    sender.join()
    return time.monotonic() - began


try:
    rows = options.rows
    vectors(f"{work}/base.npy", rows, 1)
    vectors(f"{work}/load.npy", rows, 2)
    run("create", f"{work}/a", "base", "--dimensions", str(dimensions), "--metric", "l2")
    run("create", f"{work}/a", "load", "--dimensions", str(dimensions), "--metric", "l2")
    run("import", f"{work}/a", "base", f"{work}/base.npy")
    size = sum(
        os.path.getsize(os.path.join(d, n)) for d, _, names in os.walk(f"{work}/a") for n in names
    )

    say("fetching a copy")
    port, other, page = free_port(), free_port(), free_port()
    primary = start(
        "serve", f"{work}/a", "--name", "a", "--listen", f"127.0.0.1:{port}", "--insecure-loopback"
    )
    time.sleep(1)
    plain = min(plain_copy(f"{work}/a", f"{work}/plain-{turn}") for turn in range(2))
    replica_arguments = [
        "replica", f"{work}/b", "--primary", f"127.0.0.1:{port}", "--name", "b",
        "--listen", f"127.0.0.1:{other}", "--http", f"127.0.0.1:{page}", "--insecure-loopback",
    ]
    began = time.monotonic()
    replica = start(*replica_arguments)
    while not (status(page) or {}).get("isConnected"):
        time.sleep(0.005)
    fetched = time.monotonic() - began
    stop(primary)

    def load(rate=None):
        """An import that serves the replica."""
        return start(
            "import", f"{work}/a", "load", f"{work}/load.npy", "--batch", "100",
            "--name", "a", "--listen", f"127.0.0.1:{port}", "--insecure-loopback",
            *(["--rate", str(rate)] if rate else []),
        )

    def written():
        return json.loads(run("status", f"{work}/a", "--json"))["lsn"]

    def connected():
        while not (status(page) or {}).get("isConnected"):
            time.sleep(0.01)

    def rate_of(process, seconds):
        """Batches a second that the primary makes durable and searchable."""
        time.sleep(1)
        first, began = written(), time.monotonic()
        time.sleep(seconds)
        last, ended = written(), time.monotonic()
        if process.poll() is not None:
            sys.exit("the import ended too early: give more --rows")
        return (last - first) / (ended - began)

    say("the peak while the replica follows, and while it pauses")
    process = load()
    connected()
    peak = rate_of(process, 4)
    replica.send_signal(signal.SIGSTOP)
    alone = rate_of(process, 4)
    stop(process)

    say("catching up")
    primary = start(
        "serve", f"{work}/a", "--name", "a", "--listen", f"127.0.0.1:{port}", "--insecure-loopback"
    )
    time.sleep(1)
    end = written()
    replica.send_signal(signal.SIGCONT)
    before = status(page)["lsn"]
    while (moving := status(page)["lsn"]) <= before:
        time.sleep(0.002)
    began = time.monotonic()
    while status(page)["lsn"] < end:
        time.sleep(0.005)
    catch_up = (end - moving) / (time.monotonic() - began)
    stop(primary)

    def lag_at(rate):
        """Sorted samples of the lag in milliseconds, at so many batches a second."""
        run("drop", f"{work}/a", "load")
        run("create", f"{work}/a", "load", "--dimensions", str(dimensions), "--metric", "l2")
        process = load(rate=int(rate * 100))
        connected()
        time.sleep(2)
        samples = []
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and process.poll() is None:
            samples.append(status(page)["lagSeconds"] * 1000)
            time.sleep(0.01)
        stop(process)
        return sorted(samples)

    say("lag at half of the peak")
    samples = lag_at(peak / 2)
    samples_alone = lag_at(alone / 2)
    report = {
        "copyBytes": size,
        "plainCopySeconds": round(plain, 3),
        "fetchSeconds": round(fetched, 3),
        "fetchShareOfPlain": round(plain / fetched, 3),
        "peakBatchesPerSecond": round(peak, 1),
        "peakAloneBatchesPerSecond": round(alone, 1),
        "catchUpBatchesPerSecond": round(catch_up, 1),
        "catchUpShareOfPeak": round(catch_up / alone, 2),
        "caughtUpBatches": end - before,
        "lagSamples": len(samples),
        "lagP50Milliseconds": samples[len(samples) // 2],
        "lagP99Milliseconds": samples[int(len(samples) * 0.99)],
        "lagAtHalfOfPeakAloneP50Milliseconds": samples_alone[len(samples_alone) // 2],
        "lagAtHalfOfPeakAloneP99Milliseconds": samples_alone[int(len(samples_alone) * 0.99)],
    }
    if options.output == "json":
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:36} {value}")
    missed = [
        name
        for name, is_met in {
            "lag": report["lagP99Milliseconds"] < 100,
            "catching up": report["catchUpShareOfPeak"] >= 1,
            "fetching": report["fetchShareOfPlain"] >= 0.7,
        }.items()
        if not is_met
    ]
    if missed:
        sys.exit("missed: " + ", ".join(missed))
finally:
    for process in processes:
        if process.poll() is None:
            process.kill()
