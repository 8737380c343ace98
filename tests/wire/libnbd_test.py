#!/usr/bin/python3
"""libnbd against the server: every command through other people's eyes.

libnbd_test.py WIRE_SERVE
"""
import os
import random
import subprocess
import sys
import tempfile
import threading
import unittest

import nbd

SERVE = sys.argv.pop(1)


class Server:
    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="brindle-wire-")
        self.socket = os.path.join(self.folder.name, "s")
        self.process = subprocess.Popen(
            [SERVE, "--socket", self.socket, "--tcp", "127.0.0.1:0", "--pool-size", "512M", *arguments],
            stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline().split()
        assert self.ready[0] == "ready"

    def tcp(self):
        return self.ready[2].split(":")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0
        self.process.stdout.close()
        self.folder.cleanup()


class Libnbd(unittest.TestCase):
    def setUp(self):
        self.server = Server("--cores", "2", "db=64M", "db@monday", "big=1T")

    def tearDown(self):
        self.server.stop()

    def open(self, export="db", structured=True, tcp=False):
        h = nbd.NBD()
        h.set_export_name(export)
        h.set_request_structured_replies(structured)
        h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
        if tcp:
            h.connect_tcp(*self.server.tcp())
        else:
            h.connect_unix(self.server.socket)
        return h

    def test_random_requests_equal_a_plain_model(self):
        for structured, tcp in ((True, False), (False, True)):
            rng = random.Random(7)
            h = self.open(structured=structured, tcp=tcp)
            size = 4 << 20
            h.zero(size, 0)
            model = bytearray(size)
            for _ in range(400):
                length = rng.choice((1, 511, 512, 4096, 5000, 65536, 300000))
                at = rng.randrange(size - length)
                if rng.random() < 0.5:
                    at = at // 4096 * 4096
                kind = rng.random()
                if kind < 0.45:
                    data = rng.randbytes(length)
                    h.pwrite(data, at, nbd.CMD_FLAG_FUA if rng.random() < 0.1 else 0)
                    model[at:at + length] = data
                elif kind < 0.6:
                    h.zero(length, at, rng.choice((0, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO)))
                    model[at:at + length] = bytes(length)
                elif kind < 0.95:
                    self.assertEqual(h.pread(length, at), model[at:at + length])
                else:
                    h.flush()
            self.assertEqual(h.pread(size, 0), model)
            h.shutdown()

    def test_structured_reads_report_data_and_holes(self):
        h = self.open()
        h.pwrite(b"x" * 4096, 4096)
        seen = []
        h.pread_structured(16384, 0, lambda data, at, status, error: seen.append((at, len(data), status)))
        self.assertEqual(seen, [(0, 4096, nbd.READ_HOLE), (4096, 4096, nbd.READ_DATA), (8192, 8192, nbd.READ_HOLE)])
        seen.clear()
        h.pread_structured(16384, 0, lambda data, at, status, error: seen.append((at, len(data), status)), nbd.CMD_FLAG_DF)
        self.assertEqual(seen, [(0, 16384, nbd.READ_DATA)])

    def test_block_status_of_a_terabyte(self):
        h = self.open("big")
        h.pwrite(b"x" * 8192, 900 << 30)
        extents = []

        def note(context, at, entries, error):
            extents.extend(zip(entries[::2], entries[1::2]))
        h.block_status((4 << 30) - 4096, (899 << 30), note)
        self.assertEqual(extents, [(1 << 30, 3), (8192, 0), ((3 << 30) - 8192 - 4096, 3)])
        extents.clear()
        h.block_status(1 << 30, 900 << 30, note, nbd.CMD_FLAG_REQ_ONE)
        self.assertEqual(extents, [(8192, 0)])

    def test_many_requests_at_once_on_many_connections(self):
        handles = [self.open(tcp=i % 2 == 1) for i in range(6)]
        failures = []

        def work(number):
            try:
                h = handles[number]
                base = number * (8 << 20)
                rng = random.Random(number)
                blocks = {}
                pending = 0
                for i in range(600):
                    at = base + rng.randrange(2048) * 4096
                    if at in blocks:
                        continue
                    data = rng.randbytes(4096)
                    blocks[at] = data
                    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), at)
                    pending += 1
                    if pending > 64:
                        h.poll(-1)
                        while h.aio_peek_command_completed() > 0:
                            cookie = h.aio_peek_command_completed()
                            h.aio_command_completed(cookie)
                            pending -= 1
                while h.aio_in_flight() > 0:
                    h.poll(-1)
                h.flush()
                for at, data in blocks.items():
                    if handles[(number + 1) % 6] is h or h.pread(4096, at) != data:
                        failures.append(at)
            except Exception as error:  # a thread's failure must reach the test
                failures.append(error)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_flags_and_limits_are_what_the_contract_says(self):
        h = self.open()
        for can in (h.can_flush, h.can_fua, h.can_trim, h.can_zero, h.can_fast_zero, h.can_df, h.can_cache, h.can_multi_conn):
            self.assertTrue(can(), can.__name__)
        self.assertFalse(h.is_read_only())
        self.assertEqual([h.get_block_size(i) for i in range(3)], [1, 4096, 32 << 20])
        snapshot = self.open("db@monday")
        self.assertTrue(snapshot.is_read_only())
        self.assertFalse(snapshot.can_trim() or snapshot.can_zero())
        with self.assertRaises(nbd.Error):
            self.open("nothing")

    def test_listing_and_info_leave_the_connection_usable(self):
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.connect_unix(self.server.socket)
        names = []
        h.opt_list(lambda name, description: names.append(name))
        self.assertEqual(names, ["big", "db", "db@monday"])
        h.set_export_name("nothing")
        with self.assertRaises(nbd.Error):
            h.opt_info()
        h.set_export_name("db@monday")
        h.set_full_info(True)
        h.opt_info()
        self.assertEqual(h.get_export_description(), "snapshot of db, 64.0 MiB")
        h.set_export_name("db")
        h.opt_go()
        self.assertEqual(h.get_size(), 64 << 20)
        h.shutdown()


if __name__ == "__main__":
    unittest.main()
