"""nbd.py: the least of an NBD client: fixed newstyle, simple replies, one request at a time or many without waiting."""

import socket
import struct

READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3


class Client:
    def __init__(self, path, export, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        magic, option_magic, flags = struct.unpack(">QQH", self.take(18))
        assert (magic, option_magic) == (0x4E42444D41474943, 0x49484156454F5054), "no NBD server"
        self.sock.sendall(struct.pack(">I", 3))  # fixed newstyle, no zeroes
        name = export.encode()
        self.sock.sendall(struct.pack(">QII", option_magic, 1, len(name)) + name)  # EXPORT_NAME
        self.size, self.flags = struct.unpack(">QH", self.take(10))
        self.cookie = 0

    def take(self, count):
        out = b""
        while len(out) < count:
            piece = self.sock.recv(count - len(out))
            if not piece:
                raise ConnectionError("the server closed the connection")
            out += piece
        return out

    def send(self, kind, offset=0, length=0, data=b"", flags=0):
        self.cookie += 1
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, flags, kind, self.cookie, offset, length or len(data)) + data)
        return self.cookie

    def reply(self):
        """Cookie and error of the next reply (of a request without data in its answer)."""
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698, "not a simple reply"
        return cookie, error

    def write(self, offset, data):
        self.send(WRITE, offset, data=data)
        _, error = self.reply()
        assert error == 0, f"write: error {error}"

    def read(self, offset, length):
        self.send(READ, offset, length)
        _, error = self.reply()
        assert error == 0, f"read: error {error}"
        return self.take(length)

    def flush(self):
        self.send(FLUSH)
        _, error = self.reply()
        assert error == 0, f"flush: error {error}"

    def close(self):
        self.sock.close()
