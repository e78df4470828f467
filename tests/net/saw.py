#!/usr/bin/python3
"""
tests/net/saw.py - who was seen: answer each TCP connection to port 7 with the address that it came from, and print one
line for each echo request, "ping ADDRESS ID", once "ready" was printed.

With "ask SECONDS [SECONDS]", for a ping and for TCP, and lines "ADDRESS ID" to read: ping and connect to hosts where
that runs, to all of them at once.  A line for each that works: "ID ping" when an answer came, "ID tcp" and the address
that the host saw.
"""
import os
import selectors
import socket
import subprocess
import sys
import threading

PORT = 7


def serve():
    tcp = socket.create_server(("", PORT), backlog=64)
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s = selectors.DefaultSelector()
    s.register(tcp, selectors.EVENT_READ)
    s.register(icmp, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in s.select():
            if key.fileobj is tcp:
                connection, peer = tcp.accept()
                with connection:
                    try:
                        connection.sendall(peer[0].encode() + b"\n")
                    except OSError:
                        pass
                continue
            packet, peer = icmp.recvfrom(65536)
            at = (packet[0] & 15) * 4
            if packet[at] == 8:
                print("ping", peer[0], int.from_bytes(packet[at + 4:at + 6], "big"), flush=True)


def say(line):
    os.write(1, line.encode())  # whole, whoever else says something


def ask(address, number, ping_s, tcp_s):
    if subprocess.run(["ping", "-n", "-q", "-c", "1", "-W", ping_s, "-e", number, address], capture_output=True).returncode == 0:
        say(number + " ping\n")
    try:
        with socket.create_connection((address, PORT), float(tcp_s)) as s:
            say("%s tcp %s\n" % (number, s.makefile().readline().strip()))
    except OSError:
        pass


if sys.argv[1:2] == ["ask"]:
    for line in sys.stdin:
        threading.Thread(target=ask, args=(*line.split(), sys.argv[2], sys.argv[-1])).start()
else:
    serve()
