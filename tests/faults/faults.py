"""What the tests of faults share: the folder above, processes that are started again when they die, and load."""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from program import INLAY  # noqa: E402
from serving import Server  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Supervisor:
    """Keeps `inlay serve` running on the same ports, as a service manager does."""

    def __init__(self, *args, http=True):
        self.grpc = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}" if http else "off"
        self.args, self.starts, self.stopping = args, 0, False
        self.server = self.start()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def start(self):
        self.starts += 1
        return Server(*self.args, http=self.http, grpc=self.grpc)

    def watch(self):
        while not self.stopping:
            self.server.process.wait()
            if self.stopping:
                return
            try:
                self.server = self.start()
            except AssertionError as e:
                print(f"# started in vain: {e}", flush=True)
                time.sleep(0.2)

    def kill(self):
        """Ends the process at once; returns when its successor is there."""
        killed = self.server
        killed.process.kill()
        until = time.time() + 30
        while self.server is killed:
            assert time.time() < until, "not started again"
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        if self.server.process.poll() is None:
            self.server.kill()
        self.thread.join(10)


class Load:
    """inlay loadgen in the background; stop() gives its figures."""

    def __init__(self, scratch, url, *args, seconds=3600):
        self.path = os.path.join(scratch, f"load{random.random()}.json")
        self.process = subprocess.Popen([INLAY, "loadgen", "--url", url, "--seconds", str(seconds), "--json", self.path,
                                         *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=90)[1].decode()
        assert self.process.returncode in (0, 130), text
        with open(self.path) as f:
            return json.load(f)
