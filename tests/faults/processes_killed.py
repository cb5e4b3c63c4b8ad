#!/usr/bin/python3
"""Processes that die without a word: inference under load, compositing with jobs in progress, one of two behind a
balancer."""
import os
import re
import subprocess
import sys
import time

from faults import Load, Supervisor, free_port
from program import ROOT, Skip, main
from serving import (Server, avatars_folder, eventually, frame_digests, order_video, render_requests, speech16,
                     wait_for_video)


def inference_killed_ten_times(scratch):
    """Streams go on: what a dead server was asked for is asked again, and no frame is lost, doubled or different."""
    folder = avatars_folder(scratch)
    _, samples = speech16(scratch, 20)
    with Supervisor("--role", "inference", "--avatars", folder, http=False) as inference:
        with Server("--role", "compositing", "--avatars", folder, "--state", os.path.join(scratch, "state"),
                    "--inference", inference.grpc) as server:
            eventually(lambda: server.get("/readyz") is not None)
            stub = server.stub("Lipsync")
            expected = [f.data for f in stub.Render(render_requests("compiled", samples), timeout=120)]
            load = Load(scratch, server.grpc, "--clients", 2, "--fps", 5, "--batch", 2)
            for kill in range(10):
                found = []
                for frame in stub.Render(render_requests("compiled", samples), timeout=120):
                    found.append(frame.data)
                    if len(found) == 20 + 10 * kill:
                        inference.kill()
                assert found == expected, f"kill {kill}: {len(found)} frames, expected {len(expected)}"
            figures = load.stop()
            assert inference.starts == 11
            assert figures["frames"] > 0
            # Whoever asked a dead server was answered by the next one within its time.
            assert figures["errors"] <= 20, figures["error_kinds"]
            assert server.stop() == 0, server.text()


def compositing_killed_with_jobs(scratch):
    """Every video that was accepted is finished by who comes next, once, and is what it would have been."""
    folder = avatars_folder(scratch)
    wav, _ = speech16(scratch, 15)
    state = os.path.join(scratch, "state")
    with Supervisor("--avatars", folder, "--state", state) as supervisor:
        videos = [order_video(supervisor.server, "compiled", wav)["id"] for _ in range(8)]
        # Two kills while a job is under way: a third would fail those that were begun each time.
        for _ in range(2):
            eventually(lambda: any(v["status"] == "in_progress" for v in supervisor.server.json("GET", "/v1/videos")["data"]))
            time.sleep(0.3)
            supervisor.kill()
        copies = set()
        for number in videos:
            wait_for_video(supervisor.server, number, seconds=240)
            copy = os.path.join(scratch, "copy.mp4")
            with open(copy, "wb") as f:
                f.write(supervisor.server.get(f"/v1/videos/{number}/content"))
            copies.add(tuple(frame_digests(copy)))
        assert len(copies) == 1 and len(copies.pop()) == 375
        listed = [v["id"] for v in supervisor.server.json("GET", "/v1/videos?limit=100")["data"]]
        assert sorted(listed) == sorted(videos)
        left = [n for n in os.listdir(os.path.join(state, "videos")) if n.endswith(".part")]
        assert not left and not os.listdir(os.path.join(state, "uploads")), left


def one_of_two_behind_haproxy(scratch):
    """deploy/haproxy.cfg with two inference servers: one is killed and comes back; both get work before and after."""
    if subprocess.run(["which", "haproxy"], stdout=subprocess.DEVNULL).returncode:
        raise Skip("no haproxy")
    folder = avatars_folder(scratch)
    _, samples = speech16(scratch, 10)
    role = ("--role", "inference", "--avatars", folder)
    with Supervisor(*role) as a, Supervisor(*role) as b:
        door = free_port()
        with open(os.path.join(ROOT, "deploy", "haproxy.cfg")) as f:
            config = f.read().replace("bind 127.0.0.1:9001", f"bind 127.0.0.1:{door}")
        for name, address, server in (("a", r"10\.0\.0\.2:8001", a), ("b", r"10\.0\.0\.3:8001", b)):
            config, n = re.subn(f"server {name} {address} proto h2 check port 8000",
                                f"server {name} {server.grpc} proto h2 check port {server.http.split(':')[1]}", config)
            assert n == 1
        path = os.path.join(scratch, "haproxy.cfg")
        with open(path, "w") as f:
            f.write(config)
        balancer = subprocess.Popen(["haproxy", "-db", "-f", path], stderr=subprocess.DEVNULL)
        try:
            with Server("--role", "compositing", "--avatars", folder, "--state", os.path.join(scratch, "state"),
                        "--inference", f"127.0.0.1:{door}") as server:
                eventually(lambda: server.get("/readyz") is not None)
                stub = server.stub("Lipsync")
                expected = [f.data for f in stub.Render(render_requests("compiled", samples), timeout=120)]
                load = Load(scratch, server.grpc, "--clients", 4, "--fps", 5, "--batch", 2)
                for victim in (a, b, a):
                    time.sleep(3)
                    victim.kill()
                    assert [f.data for f in stub.Render(render_requests("compiled", samples), timeout=120)] == expected
                time.sleep(5)
                figures = load.stop()
                assert figures["errors"] <= 12, figures["error_kinds"]
                for inference in (a, b):
                    assert inference.server.metric("inlay_frames_drawn_total") > 0, "one of the servers gets no work"
                assert server.stop() == 0
        finally:
            balancer.kill()
            balancer.wait()


if __name__ == "__main__":
    sys.exit(main([inference_killed_ten_times, compositing_killed_with_jobs, one_of_two_behind_haproxy]))
