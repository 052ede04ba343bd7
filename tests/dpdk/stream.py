#!/usr/bin/env python3
"""stream.py - a TCP stream of random bytes whose sum both ends know

    stream.py serve PORT              for one stream; prints its bytes and their sum
    stream.py send ADDRESS PORT SECONDS
                                      prints bytes, sum, and KB in a second
"""
import hashlib
import os
import socket
import sys
import time


def serve(port):
    listener = socket.create_server(("", port))
    listener.settimeout(20)
    peer, _ = listener.accept()
    peer.settimeout(20)
    total, digest = 0, hashlib.sha256()
    while True:
        data = peer.recv(1 << 18)
        if not data:
            break
        total += len(data)
        digest.update(data)
    peer.sendall(b"end")
    print(total, digest.hexdigest())


def connect(address, port):
    for _ in range(50):
        try:
            return socket.create_connection((address, port), timeout=5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("stream.py: nobody listens")


def send(address, port, seconds):
    peer = connect(address, port)
    peer.settimeout(20)
    total, digest, start = 0, hashlib.sha256(), time.monotonic()
    while time.monotonic() - start < seconds:
        data = os.urandom(1 << 16)
        peer.sendall(data)
        total += len(data)
        digest.update(data)
    peer.shutdown(socket.SHUT_WR)
    peer.recv(8)
    took = time.monotonic() - start
    print(total, digest.hexdigest(), int(total / took / 1000))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
