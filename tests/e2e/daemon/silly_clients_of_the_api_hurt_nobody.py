"""Garbage, half requests, huge ones, clients that do not read, more clients than there is room for: the API goes on."""

import os
import socket
import threading
import time

from daemon import MIB, Daemon, check, equal, folder

with folder() as state:
    with Daemon(state, "--pool-size", "256M", "--http", "127.0.0.1:0") as daemon:

        def connect():
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(10)
            sock.connect(daemon.control())
            return sock

        def answer_to(data, end=True):
            with connect() as sock:
                try:
                    sock.sendall(data)
                    if end:
                        sock.shutdown(socket.SHUT_WR)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                out = b""
                try:
                    while piece := sock.recv(65536):
                        out += piece
                except ConnectionResetError:
                    pass
                return out

        def quick():
            begin = time.monotonic()
            daemon.get("/v1/volumes")
            took = time.monotonic() - begin
            check(took < 1, f"a short call took {took:.2f} s")

        for garbage, status in [
            (b"\x00\x01\x02\xff" * 1000, b"400"),
            (b"hello\r\n\r\n", b"400"),
            (b"GET /v1/status HTTP/9.9\r\n\r\n", b"400"),
            (b"GET v1/status HTTP/1.1\r\nHost: b\r\n\r\n", b"400"),
            (b"GET /v1/%zz HTTP/1.1\r\nHost: b\r\n\r\n", b"400"),
            (b"GET /v1/status HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", b"431"),
            (b"POST /v1/delete HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
            (b"POST /v1/delete HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"POST /v1/delete HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
            (b"GET /v2/status HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /v1/volumes/../status HTTP/1.1\r\n\r\n", b"404"),
            (b"BREW /v1/status HTTP/1.1\r\n\r\n", b"405"),
            (b"", b""),
            (b"POST /v1/volumes HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", b""),
        ]:
            out = answer_to(garbage)
            check(out[9:12] == status if status else out == b"", f"{garbage[:60]!r}: {out[:200]!r}, expected {status!r}")
            if status:
                check(b"application/problem+json" in out, f"{garbage[:60]!r}: {out[:200]!r}")
        big = b"POST /v1/delete HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * MIB + b"\r\n") * 20
        check(answer_to(big)[9:12] == b"413", "a body of 20 MiB")
        quick()

        def post(text):
            head = f"POST /v1/volumes HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
            return answer_to(head.encode() + text)

        for body, says in [
            (b"{", b"not JSON"),
            (b"[]", b"array"),
            (b"7", b"not an object"),
            (b'"x"', b"not an object"),
            (b'{"name": "a", "size": 1e300}', b"size"),
            (b'{"name": "a", "size": -4096}', b"negative"),
            (b'{"name": "a", "size": 4096.5}', b"size"),
            (b'{"name": "a", "size": "4096", "size": "8192"}', b"twice"),
            (b'{"name": "a", "size": null}', b"null"),
            (b'{"name": ["a"], "size": 4096}', b"name must be"),
            (b'{"name": "a\xff", "size": 4096}', b"not JSON"),
            (b'{"name": "a", "size": 4096} x', b"not JSON"),
            (b'{"name": "a", "size": 4096, "labels": {"k": 1}}', b"only strings"),
            (b'{"name": "a", "size": 4096, "labels": {"k": {}}}', b"list or object in"),
            (b'{"name": "a", "size": 4096, "sise": 1}', b"sise"),
            (b'{"name": "a"}', b"size is missing"),
            (b'{"name": "-a", "size": 4096}', b"begins with"),
            (b'{"name": "a@b", "size": 4096}', b"name"),
            (b'{"a":' * 100000, b"list or object in"),
            (b"[" * 1000000, b"array"),
        ]:
            out = post(body)
            check(out[9:12] == b"400" and says in out, f"{body[:60]!r}: {out[:400]!r}, expected {says!r}")
        equal(daemon.get("/v1/volumes"), [], "volumes after all that")

        # Names with a % in the path are decoded; what is no name is refused, not looked up.
        daemon.post("/v1/volumes", name="db", size="16M")
        equal(daemon.get("/v1/volumes/%64b")["name"], "db", "a percent-encoded name")
        daemon.refused("GET", "/v1/volumes/d%2fb", None, 400, "invalid")
        daemon.refused("GET", "/v1/volumes/nosuch", None, 404, "not_found")
        daemon.refused("GET", "/v1/volumes?sort=colour", None, 400, "invalid")
        daemon.refused("GET", "/v1/volumes?limit=-1", None, 400, "invalid")
        daemon.refused("GET", "/v1/volumes?labels=a", None, 400, "invalid")
        daemon.refused("PATCH", "/v1/volumes/db", {"size": "32M", "name": "x"}, 400, "invalid")
        daemon.refused("PATCH", "/v1/volumes/db", {}, 400, "invalid")
        daemon.refused("PATCH", "/v1/volumes/db", {"labels": {}, "set_labels": {"a": "b"}}, 400, "invalid")
        daemon.refused("PATCH", "/v1/volumes/db", {"set_labels": ["a"]}, 400, "invalid")
        daemon.refused("PATCH", "/v1/volumes/db", {"set_labels": {"a=b": "c"}}, 400, "invalid")

        # Pages of other sites, which a browser on this machine may show, reach the TCP address.
        address = daemon.get("/v1/status")  # the port is in the ready line
        port = int(daemon.ready.split("http://127.0.0.1:")[1].split(",")[0])

        def over_tcp(head, body=b""):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                sock.sendall(head.replace(b"\n", b"\r\n") + body)
                sock.shutdown(socket.SHUT_WR)
                out = b""
                while piece := sock.recv(65536):
                    out += piece
                return out[9:12]

        equal(over_tcp(b"GET /v1/status HTTP/1.1\nHost: 127.0.0.1\n\n"), b"200", "TCP")
        equal(over_tcp(b"GET /v1/status HTTP/1.1\nHost: 127.0.0.1\nOrigin: http://evil.example\n\n"), b"400", "a page's request")
        equal(over_tcp(b"POST /v1/sync HTTP/1.1\nHost: evil.example\nOrigin: http://evil.example\n\n"), b"400", "DNS rebinding")
        equal(over_tcp(b"GET /v1/volumes HTTP/1.1\nHost: evil.example:%d\n\n" % port), b"400", "DNS rebinding, where a browser tells no origin")
        equal(over_tcp(b"GET /v1/status HTTP/1.1\nHost: localhost:%d\n\n" % port), b"200", "localhost")
        equal(over_tcp(b"GET /v1/status HTTP/1.1\nHost: [::1]:%d\n\n" % port), b"200", "an IPv6 address")
        form = b"POST /v1/delete HTTP/1.1\nHost: 127.0.0.1\nContent-Type: text/plain\nContent-Length: 16\n\n"
        equal(over_tcp(form, b'{"names":["db"]}'), b"400", "a form")

        # Half requests hold their own connection only, and when all are taken the idle ones make room.
        begun = [connect() for _ in range(20)]
        for sock in begun:
            sock.sendall(b"GET /v1/status HTTP/1.1\r\nX:")
        quick()
        idle = [connect() for _ in range(150)]
        quick()
        for sock in begun + idle:
            sock.close()

        # One who asks for much and reads nothing.
        daemon.post("/v1/clones", source="db", names=[f"clone-{i:05}" for i in range(5000)])
        deaf = [connect() for _ in range(10)]
        for sock in deaf:
            sock.sendall(b"GET /v1/volumes HTTP/1.1\r\nHost: b\r\n\r\n" * 20)
        time.sleep(0.2)
        begin = time.monotonic()
        equal(len(daemon.get("/v1/volumes")), 5001, "volumes")
        check(time.monotonic() - begin < 2, "a list beside clients that do not read")
        quick()
        took = daemon.stop()
        check(took < 4, f"ending took {took:.2f} s")
        for sock in deaf:
            sock.close()
