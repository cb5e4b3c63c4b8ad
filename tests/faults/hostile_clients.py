#!/usr/bin/python3
"""Clients that are slow, vanish, lie about their memory, or talk nonsense; a disk that is full."""
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time

import numpy as np

from faults import Load
from program import SPEECH, main
from serving import (eventually, order_video, protos, render_requests, serve, speech16, tensor_request, wait_for_video,
                     windows)


def answers(server):
    """The server still does its work."""
    stub = server.stub("GRPCInferenceService")
    assert len(stub.ModelInfer(tensor_request("compiled", [0], windows(1)), timeout=60).raw_output_contents[0]) == 320 * 320 * 3
    server.get("/healthz")


def slow_reader(scratch):
    """Who does not read holds its own stream back, and nothing else; memory does not grow."""
    _, samples = speech16(scratch, 120)
    with serve(scratch) as server:
        answers(server)
        calls = [server.stub("Lipsync").Render(render_requests("pack", samples), timeout=300) for _ in range(3)]
        for call in calls:
            next(call)
        begun = server.memory()
        time.sleep(8)
        assert server.memory() - begun < 100 << 20, (begun, server.memory())
        before = server.metric("inlay_frames_drawn_total")
        time.sleep(2)
        assert server.metric("inlay_frames_drawn_total") - before < 200, "frames are drawn that nobody takes"
        answers(server)
        for call in calls:
            call.cancel()
        assert server.stop() == 0, server.text()


def slow_http(scratch):
    """Half a request on each of many connections keeps nobody else out."""
    with serve(scratch, "--set", "limits.connections=64") as server:
        held = []
        for _ in range(50):
            s = socket.create_connection(server.http)
            s.sendall(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                      b"Content-Length: 100000\r\n\r\n--x\r\n")
            held.append(s)
        answers(server)
        for s in held:
            s.close()
        eventually(lambda: not os.listdir(os.path.join(scratch, "state", "uploads")))
        assert server.stop() == 0


def clients_gone(scratch):
    """Fifty clients leave in the middle of a stream: their work ends, and what they held is free."""
    _, samples = speech16(scratch, 60)
    with serve(scratch) as server:
        answers(server)
        for i in range(50):
            channel = server.channel()
            from serving import find_stub
            call = find_stub(channel, "Lipsync").Render(render_requests("compiled", samples), timeout=60)
            try:
                next(call)
            except Exception:
                pass  # too many at a time: refused, and that is fine
            if i % 2:
                call.cancel()
            channel.close()
        answers(server)

        def idle():
            before = server.metric("inlay_frames_drawn_total")
            time.sleep(1)
            return server.metric("inlay_frames_drawn_total") == before
        eventually(idle, 30, "work for those who left goes on")
        # And a process that dies with its connection open.
        load = Load(scratch, server.grpc, "--mode", "render", "--clients", 4, "--fps", 0)
        time.sleep(2)
        load.process.kill()
        load.process.wait()
        eventually(idle, 30, "work for a dead process goes on")
        assert server.stop() == 0, server.text()


def garbage(scratch):
    """Random bytes, broken HTTP, broken HTTP/2, and gRPC messages that are none, on both doors."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    chance = random.Random(1)
    with serve(scratch) as server:
        answers(server)
        host, port = server.grpc.rsplit(":", 1)
        doors = [(host, int(port)), server.http]

        def nonsense(door, data):
            try:
                with socket.create_connection(door, timeout=5) as s:
                    s.settimeout(0.2)
                    s.sendall(data)
                    s.recv(1000)
            except OSError:
                pass
        starts = [b"", preface, b"GET / HTTP/1.1\r\n", b"POST /v1/videos HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                  b"GET /" + b"a" * 100000, b"\x16\x03\x01", b"POST /v2/models/pack/infer HTTP/1.1\r\nHost: localhost\r\n"
                  b"Inference-Header-Content-Length: -1\r\nContent-Length: 4\r\n\r\n"]
        for _ in range(20):
            for start in starts:
                for door in doors:
                    nonsense(door, start + chance.randbytes(chance.choice([0, 10, 1000, 20000])))
        channel = server.channel()
        paths = ["/inference.GRPCInferenceService/" + m for m in ("ModelInfer", "ModelMetadata", "RepositoryIndex",
                                                                  "SystemSharedMemoryRegister", "ModelStatistics")]
        paths += ["/compositing.CompositingService/InferBatchComposite", "/monolithic.MonolithicService/LoadModel",
                  "/inference.InferenceService/InferBatch", "/inlay.v1.Lipsync/GetAvatar", "/grpc.health.v1.Health/Check"]
        valid = tensor_request("compiled", [0], windows(1)).SerializeToString()
        for _ in range(40):
            for path in paths:
                data = bytearray(valid[:chance.randrange(200)] + chance.randbytes(chance.randrange(100)))
                try:
                    channel.unary_unary(path)(bytes(data), timeout=20)
                except Exception as e:
                    assert e.code().name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), (path, e.code(), e.details())
        answers(server)
        assert server.stop() == 0, server.text()


def truncated_shared_memory(scratch):
    """A client that cuts its memory while it is read or drawn into gets an error, and nobody else notices."""
    name = f"inlay-fault-{os.getpid()}"
    path = "/dev/shm/" + name
    with serve(scratch, "--shared-memory") as server:
        pb, stub = protos().kserve, server.stub("GRPCInferenceService")
        audio = windows(8)
        plain = tensor_request("compiled", range(8), audio)
        drawn = stub.ModelInfer(plain, timeout=60).raw_output_contents[0]
        size = audio.nbytes + len(drawn)
        whole = threading.Lock()  # while the object is registered

        def begin_anew():
            with whole:
                with open(path, "wb") as f:
                    f.write(audio.tobytes())
                    f.truncate(size)
                stub.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(name=""), timeout=10)
                stub.SystemSharedMemoryRegister(
                    pb.SystemSharedMemoryRegisterRequest(name="r", key="/" + name, byte_size=size), timeout=10)

        def shared(tensor, offset, length):
            tensor.parameters["shared_memory_region"].string_param = "r"
            tensor.parameters["shared_memory_offset"].int64_param = offset
            tensor.parameters["shared_memory_byte_size"].int64_param = length

        def refused(ask):
            try:
                stub.ModelInfer(ask, timeout=60)
                return 0
            except Exception as e:
                assert e.code().name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), (e.code(), e.details())
                return 1
        read, written = pb.ModelInferRequest(), pb.ModelInferRequest()
        read.CopyFrom(plain)
        del read.raw_input_contents[1]
        shared(read.inputs[1], 0, audio.nbytes)
        written.CopyFrom(plain)
        shared(written.outputs.add(name="output"), audio.nbytes, len(drawn))
        try:
            for request in (read, written):
                begin_anew()
                answer = stub.ModelInfer(request, timeout=60)
                with open(path, "rb") as f:
                    f.seek(audio.nbytes)
                    assert (f.read() if request is written else answer.raw_output_contents[0]) == drawn
                stop = threading.Event()

                def cut():
                    while not stop.wait(0.01):
                        with whole:
                            os.truncate(path, 0)
                            time.sleep(0.005)
                            os.truncate(path, size)
                cutter = threading.Thread(target=cut)
                cutter.start()
                found = 0
                for _ in range(40):
                    if refused(request):
                        found += 1
                        begin_anew()
                stop.set()
                cutter.join()
                assert found > 0
                os.truncate(path, 0)
                begin_anew()
                os.truncate(path, 0)
                assert refused(request), "an empty object was used"
        finally:
            os.unlink(path)
        answers(server)
        assert server.stop() == 0, server.text()


def full_disk(scratch):
    """Videos fail with the reason, uploads are refused, drawing goes on; with room again all is well."""
    wav, _ = speech16(scratch, 30)
    state = os.path.join(scratch, "state")
    os.mkdir(state)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", state], stderr=subprocess.DEVNULL).returncode == 0
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))
    try:
        with serve(scratch, preexec_fn=limit) as server:
            kinds = set()
            for _ in range(5):
                try:
                    video = order_video(server, "pack", SPEECH if mounted else wav)
                    kinds.add(wait_for_video(server, video["id"], "failed")["error"]["message"][:200] if not mounted else
                              server.json("GET", "/v1/videos/" + video["id"])["status"])
                except AssertionError as e:
                    kinds.add(str(e)[:200])
            if mounted:
                # The speech alone fills it.
                try:
                    order_video(server, "pack", wav)
                except AssertionError as e:
                    kinds.add(str(e)[:200])
                assert any("space" in k.lower() or "507" in k or "500" in k or "failed" in k for k in kinds), kinds
            answers(server)
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", state], check=True)
                wait_for_video(server, order_video(server, "pack", SPEECH)["id"])
            assert server.stop() == 0, server.text()
    finally:
        if mounted:
            subprocess.run(["umount", state], check=True)


def too_much_to_do(scratch):
    """More than can be done is refused at once, with the time to come again, and who was accepted is served."""
    with serve(scratch, "--set", "limits.waiting_frames=64") as server:
        answers(server)
        load = Load(scratch, server.grpc, "--clients", 48, "--fps", 0, "--batch", 25, "--mode", "infer")
        time.sleep(4)
        status, headers, _ = server.request("GET", "/healthz")
        assert status == 200
        figures = load.stop()
        assert figures["frames"] > 0
        assert {k["kind"] for k in figures["error_kinds"]} <= {"resource exhausted"}, figures["error_kinds"]
        answers(server)
        assert server.stop() == 0


def fairness(scratch):
    """A client that asks for little is served in time beside others who ask for everything."""
    with serve(scratch) as server:
        answers(server)
        greedy = Load(scratch, server.grpc, "--clients", 1, "--fps", 0, "--batch", 200, "--mode", "infer")
        time.sleep(1)
        stub, times = server.stub("GRPCInferenceService"), []
        for _ in range(20):
            begun = time.time()
            stub.ModelInfer(tensor_request("compiled", [0], windows(1)), timeout=60, metadata=[("client-id", "modest")])
            times.append(time.time() - begun)
            time.sleep(0.05)
        greedy.stop()
        assert np.median(times) < 0.5, times


if __name__ == "__main__":
    sys.exit(main([slow_reader, slow_http, clients_gone, garbage, truncated_shared_memory, full_disk, too_much_to_do,
                   fairness]))
