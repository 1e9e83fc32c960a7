"""What scripts/floods does with its processes; see there."""

import argparse
import json
import os
import random
import resource
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

parser = argparse.ArgumentParser()
for name in ("--vecdb", "--work", "--kind"):
    parser.add_argument(name, required=True)
for name in ("--limit", "--connections"):
    parser.add_argument(name, type=int, required=True)
options = parser.parse_args()
os.makedirs(options.work)
processes = {}
problems = []
RATE = 500  # new connections a second
PATIENCE = 5  # seconds in which every check must succeed


def fail(text):
    problems.append(text)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


LISTEN, HTTP = {}, {}
LISTEN["a"], LISTEN["b"], HTTP["a"], HTTP["b"] = free_ports(4)


def database(node):
    return f"{options.work}/{node}.db"


def protection(node):
    if options.kind == "plain":
        return ["--insecure-loopback"]
    other = "b" if node == "a" else "a"
    return ["--tls-cert", f"{node}.pem", "--tls-key", f"{node}.key", "--tls-ca", "ca.pem",
            "--tls-allow", other]


def limit_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.limit, options.limit))


def start(node):
    address = ["--name", node, "--listen", f"127.0.0.1:{LISTEN[node]}",
               "--http", f"127.0.0.1:{HTTP[node]}"] + protection(node)
    if node == "a":
        arguments = ["import", database(node), "c", f"{options.work}/rows.jsonl", "--batch", "2",
                     "--rate", "400", "--receipts", receipts, "--replicas", "b", "--needed", "1",
                     "--peer", f"127.0.0.1:{LISTEN['b']}", "--ack-timeout", "20000"]
    else:
        arguments = ["replica", database(node), "--primary", f"127.0.0.1:{LISTEN['a']}"]
    log = open(f"{options.work}/{node}.log", "ab")
    processes[node] = subprocess.Popen(
        [options.vecdb] + arguments + address, stdout=log, stderr=log, preexec_fn=limit_files)


def run(*arguments, timeout=10):
    return subprocess.run([options.vecdb, *arguments], capture_output=True, text=True,
                          timeout=timeout)


def acknowledged():
    try:
        with open(receipts) as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


def within(seconds, what, body):
    """Tries until `body` is true; returns how long that took."""
    began = time.monotonic()
    while True:
        try:
            if body():
                return time.monotonic() - began
        except (OSError, ValueError, LookupError, subprocess.TimeoutExpired):
            pass
        if time.monotonic() - began > seconds:
            fail(f"{what} did not come about within {seconds} s")
            return seconds
        time.sleep(0.02)


def page(node, path):
    with socket.create_connection(("127.0.0.1", HTTP[node]), timeout=2) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := one.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def status(node):
    return json.loads(run("status", database(node), "--json").stdout)


def memory(node):
    with open(f"/proc/{processes[node].pid}/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))


def descriptors(node):
    return len(os.listdir(f"/proc/{processes[node].pid}/fd"))


class Flood(threading.Thread):
    """Keeps so many connections open, of all kinds, spread over all ports."""

    def __init__(self, count):
        super().__init__(daemon=True)
        self.count = count
        self.ending = threading.Event()
        self.made = 0
        self.most = 0
        self.generator = random.Random(7)

    def first_words(self, kind, port):
        if kind == "idle":
            return b""
        if kind == "slow":
            return b"GET /sta" if port in HTTP.values() else b"VDBW"
        if kind == "greeting":
            # The header of a frame of 16 MiB that nobody sends, or of a TLS hello.
            return b"\x16\x03\x01\x40\x00" if options.kind == "tls" else b"VDBW\x01\x00\x01\x00"
        return self.generator.randbytes(self.generator.randrange(1, 2000))

    def run(self):
        open_ones = {}
        chooser = selectors.DefaultSelector()
        kinds = ["idle", "slow", "garbage", "greeting"]
        ports = list(LISTEN.values()) + list(HTTP.values())
        began = time.monotonic()
        last_drip = began
        while not self.ending.is_set():
            due = int((time.monotonic() - began) * RATE) - self.made
            for _ in range(min(due, self.count - len(open_ones), 50)):
                one = socket.socket()
                one.setblocking(False)
                kind, port = kinds[self.made % 4], ports[self.made // 4 % 4]
                self.made += 1
                one.connect_ex(("127.0.0.1", port))
                open_ones[one] = [kind, self.first_words(kind, port)]
                chooser.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE)
            self.most = max(self.most, len(open_ones))
            for key, events in chooser.select(0.02):
                one = key.fileobj
                try:
                    if events & selectors.EVENT_READ and not one.recv(65536):
                        raise ConnectionError
                    if events & selectors.EVENT_WRITE:
                        words = open_ones[one][1]
                        if words:
                            one.send(words)
                            open_ones[one][1] = b""
                        chooser.modify(one, selectors.EVENT_READ)
                except (ConnectionError, OSError):
                    chooser.unregister(one)
                    del open_ones[one]
                    one.close()
            if time.monotonic() > last_drip + 0.5:
                last_drip = time.monotonic()
                for one, (kind, _) in open_ones.items():
                    if kind == "slow":
                        try:
                            one.send(b"x")
                        except OSError:
                            pass
        for one in open_ones:
            one.close()


def silent_members(count):
    """Connections with a good certificate, over which nothing is said."""
    if options.kind == "plain":
        return []
    context = ssl.create_default_context(cafile="ca.pem")
    context.check_hostname = False
    context.load_cert_chain("b.pem", "b.key")
    made = []
    for _ in range(count):
        try:
            raw = socket.create_connection(("127.0.0.1", LISTEN["a"]), timeout=2)
            made.append(context.wrap_socket(raw))
        except OSError:
            pass
    return made


def check(flood):
    slowest = {"write": 0, "health": 0, "search": 0}
    for node in "ab":
        took = within(PATIENCE, f"/health of {node}", lambda: page(node, "/health")[0] == 200)
        slowest["health"] = max(slowest["health"], took)
        took = within(PATIENCE, f"a search on {node}", lambda: "r1" in run(
            "query", database(node), "c", "--key", "r1", "-k", "1", "--exact").stdout)
        slowest["search"] = max(slowest["search"], took)
    before = acknowledged()
    slowest["write"] = within(PATIENCE, "an acknowledged write", lambda: acknowledged() > before)
    for node, process in processes.items():
        if process.poll() is not None:
            fail(f"{node} has ended with {process.returncode}")
    return slowest


resource.setrlimit(resource.RLIMIT_NOFILE, (options.connections + 500,) * 2)
receipts = f"{options.work}/receipts"
with open(f"{options.work}/rows.jsonl", "w") as file:
    for row in range(200_000):
        file.write('{"key":"r%d","vector":[%d,%d,%d,4]}\n' % (row, row % 97, row % 89, row % 83))
run("create", database("a"), "c", "--dimensions", "4", "--metric", "l2")
try:
    start("a")
    start("b")
    within(30, "a start", lambda: acknowledged() > 20 and status("b")["isConnected"])
    before = {node: memory(node) for node in "ab"}
    rows = acknowledged()
    flood = Flood(options.connections)
    flood.start()
    began = time.monotonic()
    worst = {"write": 0, "health": 0, "search": 0}
    most = 0
    members = []
    restarted = False
    # Until all of them are there, and then as long as a connection may say nothing.
    while time.monotonic() < began + options.connections / RATE + 8 and len(problems) < 5:
        for name, took in check(flood).items():
            worst[name] = max(worst[name], took)
        most = max(most, *(descriptors(node) for node in "ab"))
        if not restarted and time.monotonic() > began + 5:
            restarted = True
            members = silent_members(40)
            processes["b"].kill()
            processes["b"].wait()
            start("b")
            comes = within(20, "the replica's return", lambda: status("b")["isConnected"])
    flood.ending.set()
    flood.join()
    for one in members:
        one.close()
    written = acknowledged() - rows
    seconds = time.monotonic() - began
    for node in "ab":
        grown = memory(node) - before[node]
        # Besides what the rows take that were written meanwhile.
        if node == "a" and grown > 64 or memory(node) > 400:
            fail(f"{node} has grown by {grown} MiB")
        with open(f"{options.work}/{node}.log", errors="replace") as file:
            lines = file.read().count("\n")
        if lines > 60:
            fail(f"{node} has logged {lines} lines")
        found = status(node)
        if found["alarms"]:
            fail(f"{node}: {found['alarms']}")
    within(PATIENCE, "a replica that keeps up", lambda: status("b")["isConnected"])
    if flood.made < options.connections:
        fail(f"only {flood.made} connections were made")
    if most > options.limit:
        fail(f"{most} descriptors were open")
    print(
        f"{options.kind:5}  limit {options.limit:5}: {flood.made} connections, {flood.most} at a time; "
        f"{written} batches in {seconds:.0f} s; slowest write {worst['write']:.2f} s, "
        f"health {worst['health']:.2f} s, search {worst['search']:.2f} s; "
        f"replica back after {comes:.1f} s; at most {most} descriptors, "
        f"{memory('a')} and {memory('b')} MiB")
finally:
    for process in processes.values():
        process.send_signal(signal.SIGKILL)
        process.wait()
for problem in problems[:10]:
    print(f"  PROBLEM  {problem}")
if problems:
    for node in "ab":
        print(f"  {node}: " + open(f"{options.work}/{node}.log", errors="replace").read()[-1500:])
sys.exit(1 if problems else 0)
