#!/usr/bin/env python3
"""Three etcd servers and three nodes of one cluster on loopback, under load, with faults.

usage: scripts/failover --automatic [--times N] [--short] [--policy block|async] [--lease SECONDS]
                        [--seed N] [--vecdb FILE] [--keep]

Four writers send small batches to the primary, and one of them to all nodes in turn; each notes what
was acknowledged, when, and by whom. Each turn has one fault: the primary is killed, or stands still and
goes on; it is cut off from etcd; etcd's leader is killed or stands still; the primary ends in an orderly
way, or hands over. Then everything has to become whole: one primary, two followers, equal digests.

In the end every acknowledged record must be there (with the policy block), and no node may have
acknowledged a write that began after another node, of a later epoch, had acknowledged one.
"""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

NODES = ("a", "b", "c")


def free_base():
    return random.randrange(20000, 30000)


class Proxy(threading.Thread):
    """Passes bytes between a node and one etcd server until it is cut."""

    def __init__(self, port, target):
        super().__init__(daemon=True)
        self.target, self.is_cut, self.open, self.lock = target, False, set(), threading.Lock()
        self.server = socket.create_server(("127.0.0.1", port), backlog=64)

    def cut(self, is_cut):
        with self.lock:
            self.is_cut = is_cut
            if is_cut:
                for connection in self.open:
                    try:
                        connection.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

    def run(self):
        while True:
            client, _ = self.server.accept()
            if self.is_cut:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                self.open |= {client, server}
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for connection in (source, sink):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            with self.lock:
                self.open.discard(connection)


class Run:
    def __init__(self, options):
        self.options = options
        self.vecdb = options.vecdb
        self.work = tempfile.mkdtemp(prefix="vecdb-automatic-")
        self.base = free_base()
        self.etcd, self.nodes = {}, {}
        self.acks, self.lock = [], threading.Lock()
        self.is_over = False
        self.random = random.Random(options.seed)
        self.proxies = {}
        self.unknown = 0
        # Nobody writes to the files of a node that is down: no coordination would know of it.
        self.down = set()

    # MARK: processes

    def start_etcd(self, number):
        def peer(n):
            return f"http://127.0.0.1:{self.base + 2 * n + 1}"
        client = f"http://127.0.0.1:{self.base + 2 * number}"
        log = open(f"{self.work}/etcd-{number}.log", "ab")
        self.etcd[number] = subprocess.Popen(
            ["etcd", "--name", f"e{number}", "--data-dir", f"{self.work}/etcd-{number}",
             "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", peer(number), "--initial-advertise-peer-urls", peer(number),
             "--initial-cluster", ",".join(f"e{n}={peer(n)}" for n in range(3)),
             "--initial-cluster-token", "vecdb", "--logger", "zap", "--log-level", "warn"],
            stdout=log, stderr=log)

    def etcd_leader(self):
        for number in range(3):
            found = subprocess.run(
                ["etcdctl", "--endpoints", f"127.0.0.1:{self.base + 2 * number}",
                 "--command-timeout", "1s", "endpoint", "status", "-w", "json"],
                capture_output=True, env={**os.environ, "ETCDCTL_API": "3"})
            try:
                status = json.loads(found.stdout)[0]["Status"]
                if status["header"]["member_id"] == status["leader"]:
                    return number
            except (ValueError, KeyError, IndexError):
                continue
        return 0

    def coordinator(self, name=None):
        ports = [self.base + 2 * n for n in range(3)]
        if name:
            ports = [self.base + 20 + 3 * NODES.index(name) + n for n in range(3)]
        return "etcd://" + ",".join(f"127.0.0.1:{port}" for port in ports)

    def start_node(self, name):
        command = [
            self.vecdb, "node", f"{self.work}/{name}", "--cluster", "photos", "--coordinator",
            self.coordinator(name), "--name", name, "--listen",
            f"127.0.0.1:{self.base + 10 + NODES.index(name)}", "--insecure-loopback", "--lease",
            str(self.options.lease)]
        if self.options.policy == "block":
            command += ["--replicas", "a,b,c", "--ack-timeout", "3000"]
        else:
            command += ["--asynchronous", "--loss", "any"]
        log = open(f"{self.work}/{name}.log", "ab")
        self.nodes[name] = subprocess.Popen(command, stdout=log, stderr=log)
        while name in self.down and self.nodes[name].poll() is None and not self.status(name):
            time.sleep(0.05)
        self.down.discard(name)

    def ask(self, *arguments, timeout=20):
        try:
            found = subprocess.run(
                [self.vecdb, *arguments, "--json"], capture_output=True, timeout=timeout)
            return json.loads(found.stdout) if found.returncode == 0 else None
        except (subprocess.TimeoutExpired, ValueError):
            return None

    def status(self, name):
        return self.ask("status", f"{self.work}/{name}", timeout=5)

    def cluster(self):
        return self.ask("cluster", "photos", "--coordinator", self.coordinator())

    def leader(self):
        cluster = self.cluster()
        return cluster.get("leader") if cluster else None

    def wait_whole(self, seconds):
        """One writable primary, two that follow it, equal digests; the primary's name."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = {name: self.status(name) for name in NODES}
            if all(found.values()):
                primaries = [n for n in NODES if found[n].get("isWritable")]
                followers = [n for n in NODES if found[n].get("followsPrimary")]
                if len(primaries) == 1 and len(followers) == 2 and self.leader() == primaries[0]:
                    return primaries[0]
            time.sleep(0.1)
        self.fail(f"the cluster did not become whole within {seconds} s: {self.cluster()}")

    def fail(self, text):
        for name in NODES:
            print(f"--- {name}")
            with open(f"{self.work}/{name}.log", errors="replace") as log:
                print("".join(log.readlines()[-12:]))
        raise SystemExit(f"failover --automatic: {text}")

    # MARK: writers

    def write(self, writer):
        sequence, target = 0, NODES[writer % 3]
        file = f"{self.work}/load-{writer}.jsonl"
        is_stubborn = writer == 0
        while not self.is_over:
            keys = [f"w{writer}-{sequence}-{row}" for row in range(5)]
            with open(file, "w") as out:
                for key in keys:
                    out.write(json.dumps(
                        {"key": key, "vector": [random.random() for _ in range(8)]}) + "\n")
            while not self.is_over:
                if is_stubborn:
                    target = NODES[(NODES.index(target) + 1) % 3]
                if target in self.down:
                    target = NODES[(NODES.index(target) + 1) % 3]
                    time.sleep(0.02)
                    continue
                begun = time.monotonic()
                process = subprocess.Popen(
                    [self.vecdb, "import", f"{self.work}/{target}", "c", file, "--batch", "5"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    status = process.wait(timeout=6)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    status = -1
                if status == 0:
                    with self.lock:
                        self.acks.append((begun, time.monotonic(), target, keys))
                    sequence += 1
                    break
                self.unknown += 1
                if not is_stubborn:
                    target = NODES[(NODES.index(target) + 1) % 3]
                time.sleep(0.05)
            time.sleep(0.02)

    # MARK: faults

    def strike(self, turn):
        faults = ["kill", "stop", "cut", "etcd-kill", "etcd-stop", "term", "switchover"]
        fault = faults[turn] if turn < len(faults) else self.random.choice(faults)
        primary = self.wait_whole(90)
        time.sleep(self.random.uniform(0.5, 2.0))
        begun = time.monotonic()
        took = None
        if fault == "kill":
            self.down.add(primary)
            self.nodes[primary].kill()
            self.nodes[primary].wait()
            time.sleep(self.random.uniform(0.4, 2.5) * self.options.lease)
            self.start_node(primary)
        elif fault == "stop":
            self.nodes[primary].send_signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(0.8, 2.5) * self.options.lease)
            self.nodes[primary].send_signal(signal.SIGCONT)
        elif fault == "cut":
            for proxy in self.proxies[primary]:
                proxy.cut(True)
            time.sleep(self.random.uniform(2, 2.5 * self.options.lease))
            for proxy in self.proxies[primary]:
                proxy.cut(False)
        elif fault in ("etcd-kill", "etcd-stop"):
            number = self.etcd_leader()
            if fault == "etcd-kill":
                self.etcd[number].kill()
                self.etcd[number].wait()
            else:
                self.etcd[number].send_signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(2, 2 * self.options.lease))
            if fault == "etcd-kill":
                self.start_etcd(number)
            else:
                self.etcd[number].send_signal(signal.SIGCONT)
        elif fault == "term":
            self.down.add(primary)
            self.nodes[primary].terminate()
            self.nodes[primary].wait(timeout=60)
            took = time.monotonic() - begun
            time.sleep(1)
            self.start_node(primary)
        else:
            done = self.ask("cluster", "photos", "switchover", "--coordinator", self.coordinator(),
                            timeout=60)
            took = time.monotonic() - begun
            if not done:
                self.fail("the switchover did not come about")
        after = self.wait_whole(120)
        whole = time.monotonic()
        time.sleep(0.5)
        with self.lock:
            moments = sorted(end for _, end, _, _ in self.acks if end > begun - 2)
        moments = [begun] + [moment for moment in moments if moment > begun]
        gap = max([b - a for a, b in zip(moments, moments[1:])], default=whole - begun)
        print(f"{turn + 1:4}  {fault:10}  {primary} -> {after}  {gap:8.2f}  {whole - begun:8.2f}"
              + (f"  took {took:.2f}" if took else ""), flush=True)
        return fault, primary != after, gap

    # MARK: what must hold

    def lost(self, primary):
        subprocess.run([self.vecdb, "export", f"{self.work}/{primary}", "c", "--output",
                        f"{self.work}/export.jsonl"], check=True, stdout=subprocess.DEVNULL)
        with open(f"{self.work}/export.jsonl") as rows:
            there = {json.loads(row)["key"] for row in rows}
        return [key for _, _, _, keys in self.acks for key in keys if key not in there]

    def overlaps(self):
        """Acknowledgements by a node that began after another one had taken over, and before it took
        over again."""
        found, order = [], sorted(self.acks, key=lambda ack: ack[1])
        reign = []
        for ack in order:
            if not reign or reign[-1][0] != ack[2]:
                reign.append((ack[2], ack[1]))
        # A change there and back within the time of one write is two nodes at a moment.
        for (_, first), (node, second), (again, third) in zip(reign, reign[1:], reign[2:]):
            begun = [a[0] for a in order if a[2] == again and a[1] == third][0]
            if third - second < 0.5 and begun < second:
                found.append((node, again, third))
        return found

    def run(self):
        options = self.options
        subprocess.run([self.vecdb, "create", f"{self.work}/a", "c", "--dimensions", "8",
                        "--metric", "l2"], check=True, stdout=subprocess.DEVNULL)
        for number in range(3):
            self.start_etcd(number)
        for name in NODES:
            self.proxies[name] = [
                Proxy(self.base + 20 + 3 * NODES.index(name) + n, self.base + 2 * n)
                for n in range(3)]
            for proxy in self.proxies[name]:
                proxy.start()
        self.start_node("a")
        deadline = time.monotonic() + 60
        while self.leader() != "a":
            if time.monotonic() > deadline:
                self.fail("the first node did not become the primary")
            time.sleep(0.2)
        for name in ("b", "c"):
            self.start_node(name)
        self.wait_whole(120)
        writers = [threading.Thread(target=self.write, args=(n,), daemon=True)
                   for n in range(2 if options.short else 4)]
        for writer in writers:
            writer.start()
        print(f"seed {options.seed}; policy {options.policy}; lease {options.lease} s; "
              f"{options.times} faults")
        print("turn  fault       primary   without writes s  whole s")
        results = [self.strike(turn) for turn in range(options.times)]
        self.is_over = True
        for writer in writers:
            writer.join(timeout=15)
        primary = self.wait_whole(60)
        deadline = time.monotonic() + 60
        while True:
            found = [self.status(name) for name in NODES]
            if all(found) and len({(s["lsn"], s["dataDigest"]) for s in found}) == 1:
                break
            if time.monotonic() > deadline:
                self.fail("the digests are not equal")
            time.sleep(0.2)
        lost, overlaps = self.lost(primary), self.overlaps()
        taken = sorted(gap for fault, _, gap in results if fault in ("kill", "stop"))
        planned = sorted(gap for fault, _, gap in results if fault in ("term", "switchover"))
        others = sorted(gap for fault, _, gap in results if fault.startswith("etcd") or fault == "cut")
        print(f"{len(self.acks)} batches acknowledged, {self.unknown} attempts failed; "
              f"{len(lost)} acknowledged records lost, {len(overlaps)} overlapping "
              f"acknowledgements; digests equal")
        for label, gaps in (("primary killed or stopped", taken), ("planned", planned),
                            ("etcd", others)):
            if gaps:
                worst = gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))]
                print(f"without writes, {label}: median {statistics.median(gaps):.2f} s, "
                      f"p99 {worst:.2f} s of {len(gaps)}")
        if overlaps or lost and options.policy == "block":
            raise SystemExit(f"failover --automatic: lost {lost[:5]}, overlaps {overlaps[:5]}")

    def end(self):
        self.is_over = True
        for process in [*self.nodes.values(), *self.etcd.values()]:
            try:
                process.send_signal(signal.SIGCONT)
                process.kill()
            except OSError:
                pass
        if self.options.keep:
            print(f"kept: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(
        prog="failover --automatic", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--policy", choices=("block", "async"), default="block")
    parser.add_argument("--lease", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--vecdb", default=f"{root}/.build/release/vecdb")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    random.seed(options.seed)
    if options.short:
        options.times = min(options.times, 4)
    run = Run(options)
    try:
        run.run()
    finally:
        run.end()


if __name__ == "__main__":
    sys.exit(main())
