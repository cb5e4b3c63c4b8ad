#!/usr/bin/python3
"""What it costs to serve in two processes instead of one, and to call instead of drawing oneself.

usage: serve.py INLAY AVATARS [--rounds N] [--seconds S] [--clients N] [--json FILE]

AVATARS is a folder for `inlay serve --avatars`. Frames a second of CompositingService, flat out, from one process and
from two on this machine, which take turns, and the processor time that the servers take for a frame; then what a KServe call of 24 frames takes beyond drawing them, with the
tensors in shared memory and in the messages: the client's latency less the compute_infer of the model's statistics.
"""
import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import urllib.request

BATCH = 24


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, args, *options):
        self.args = args
        self.http, self.grpc = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.process = subprocess.Popen(
            [args.inlay, "serve", "--avatars", args.avatars, "--http", self.http, "--grpc", self.grpc,
             "--shared-memory", *options], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if re.search("serving .* on ", line):
                return
        raise SystemExit(f"serve.py: the server did not start: {self.args.inlay} serve {' '.join(options)}")

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)

    def load(self, mode, *options, clients=None):
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run([self.args.inlay, "loadgen", "--url", self.grpc, "--mode", mode, "--fps", "0", "--clients",
                            str(clients or self.args.clients), "--seconds", str(self.args.seconds), "--json", out.name,
                            "--progress", "never", *options], check=True, stdout=subprocess.DEVNULL)
            figures = json.load(open(out.name))
        if figures["errors"]:
            raise SystemExit(f"serve.py: errors under load: {figures['error_kinds']}")
        return figures

    def processor_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def drawn(self):
        """Calls and nanoseconds of drawing, over all models."""
        with urllib.request.urlopen(f"http://{self.http}/v2/models/stats") as answer:
            all_stats = [m["inference_stats"]["compute_infer"] for m in json.load(answer)["model_stats"]]
        return sum(s["count"] for s in all_stats), sum(s["ns"] for s in all_stats)


@contextlib.contextmanager
def serving(args, state, split):
    servers = []
    try:
        if split:
            servers.append(Server(args, "--role", "inference"))
            servers.append(Server(args, "--role", "compositing", "--inference", servers[0].grpc, "--state", state))
        else:
            servers.append(Server(args, "--state", state))
        yield servers
    finally:
        for server in reversed(servers):
            server.stop()


def composite(servers):
    """Frames a second, and milliseconds of the processors for one."""
    before = sum(s.processor_s() for s in servers)
    figures = servers[-1].load("composite")
    took = sum(s.processor_s() for s in servers) - before
    return figures["frames_per_s"], took * 1e3 / figures["frames"]


def beyond_drawing(server, *options):
    calls, ns = server.drawn()
    figures = server.load("infer", "--batch", str(BATCH), *options, clients=1)
    calls, ns = (now - before for now, before in zip(server.drawn(), (calls, ns)))
    return figures["latency_ms"]["mean"] - ns / calls / 1e6


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("inlay")
    parser.add_argument("avatars")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json")
    args = parser.parse_args()
    fps, processor, beyond = {False: [], True: []}, {False: [], True: []}, {"shared memory": [], "messages": []}
    with tempfile.TemporaryDirectory() as state:
        with serving(args, os.path.join(state, "one"), False) as one, \
                serving(args, os.path.join(state, "two"), True) as two:
            for servers in (one, two):
                composite(servers)  # avatars are loaded, sessions open
            for number in range(args.rounds):
                for split in (False, True) if number % 2 else (True, False):
                    rate, ms = composite(two if split else one)
                    fps[split].append(rate)
                    processor[split].append(ms)
                beyond["shared memory"].append(beyond_drawing(one[-1], "--shared-memory"))
                beyond["messages"].append(beyond_drawing(one[-1]))
    ms = [statistics.median(processor[split]) for split in (False, True)]
    one, two = statistics.median(fps[False]), statistics.median(fps[True])
    ratio = statistics.median(t / o for o, t in zip(fps[False], fps[True]))
    print(f"one process {one:.1f} frames a second, two {two:.1f}: {ratio:.3f} (median of {args.rounds} pairs)")
    print(f"processor time a frame: one process {ms[0]:.2f} ms, two {ms[1]:.2f}: {ms[1] / ms[0]:.3f}")
    for way, values in beyond.items():
        print(f"a call of {BATCH} frames takes {statistics.median(values):.2f} ms beyond drawing, tensors in {way}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"one_fps": fps[False], "two_fps": fps[True], "ratio": ratio, "one_processor_ms": processor[False],
                       "two_processor_ms": processor[True], "beyond_ms": beyond}, f, indent=2)


if __name__ == "__main__":
    main()
