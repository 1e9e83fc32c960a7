#!/usr/bin/env python3
"""A proxy before an object store that fails at random: for scripts/s3.

usage: scripts/s3-proxy.py --listen PORT --to HOST:PORT [--rate 0.1] [--seed N]

Faults: an answer that breaks off, a flipped byte either way, a stall, 503 for a while, a connection that
is reset before or after the request was carried out, a token that has expired, a clock that is skewed,
and a success that carries an error. Prints how often each came when it is told to stop.
"""
import argparse
import collections
import email.utils
import random
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

FAULTS = ["truncate", "flip-answer", "flip-request", "stall", "storm", "reset-before", "reset-after",
          "expired", "skewed", "error-in-success"]
WEIGHTS = [3, 3, 2, 0.3, 1, 3, 4, 1, 1, 2]


def error(status, code, extra=""):
    body = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
    date = email.utils.formatdate(usegmt=True)
    return (f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nDate: {date}\r\n{extra}\r\n"
            ).encode() + body


class Proxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


class Handler(socketserver.BaseRequestHandler):
    def read_message(self, connection, is_answer, method=""):
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(1 << 16)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        fields = {}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        status = int(head.split(b" ", 2)[1]) if is_answer else 0
        if is_answer and (method == "HEAD" or status in (204, 304)):
            return head, body
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            while not body.endswith(b"0\r\n\r\n"):
                part = connection.recv(1 << 16)
                if not part:
                    return None
                body += part
            return head, body
        length = int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            part = connection.recv(1 << 16)
            if not part:
                return None
            body += part
        if not is_answer and fields.get(b"expect", b"").lower() == b"100-continue":
            pass
        return head, body

    def reset(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def handle(self):
        server = self.server
        upstream = None
        try:
            while True:
                message = self.read_message(self.request, False)
                if message is None:
                    return
                head, body = message
                method = head.split(b" ", 1)[0].decode()
                with server.lock:
                    fault = None
                    if time.monotonic() < server.storm_until:
                        fault = "in-storm"
                    elif server.random.random() < server.rate:
                        fault = server.random.choices(FAULTS, WEIGHTS)[0]
                    if fault == "storm":
                        server.storm_until = time.monotonic() + server.random.uniform(0.5, 3)
                    server.counts[fault or "none"] += 1
                    draw = server.random.random()
                if fault in ("storm", "in-storm"):
                    self.request.sendall(error(503, "SlowDown", "Retry-After: 1\r\n"))
                    continue
                if fault == "expired":
                    self.request.sendall(error(403, "ExpiredToken"))
                    continue
                if fault == "skewed":
                    self.request.sendall(error(403, "RequestTimeTooSkewed"))
                    continue
                if fault == "reset-before":
                    return self.reset()
                if fault == "flip-request" and body:
                    place = int(draw * len(body))
                    body = body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1:]
                if upstream is None:
                    upstream = socket.create_connection(server.target)
                upstream.sendall(head + b"\r\n\r\n" + body)
                answer = self.read_message(upstream, True, method)
                if answer is None:
                    return self.reset()
                if fault == "reset-after":
                    return self.reset()
                if fault == "error-in-success" and answer[0].split(b" ")[1] == b"200":
                    self.request.sendall(error(200, "InternalError"))
                    continue
                head, body = answer
                if fault == "flip-answer" and body:
                    place = int(draw * len(body))
                    body = body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1:]
                if fault in ("truncate", "stall") and body:
                    self.request.sendall(head + b"\r\n\r\n" + body[:len(body) // 2])
                    if fault == "stall":
                        time.sleep(30)
                    return self.reset()
                self.request.sendall(head + b"\r\n\r\n" + body)
        except OSError:
            return
        finally:
            if upstream is not None:
                upstream.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    server = Proxy(("127.0.0.1", arguments.listen), Handler)
    host, _, port = arguments.to.rpartition(":")
    server.target = (host, int(port))
    server.rate = arguments.rate
    server.random = random.Random(arguments.seed)
    server.lock = threading.Lock()
    server.storm_until = 0.0
    server.counts = collections.Counter()

    def stop(*_):
        print(" ".join(f"{name}={count}" for name, count in sorted(server.counts.items())), flush=True)
        sys.stdout.flush()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever()


main()
