#!/usr/bin/python3
"""inlay serve, as its clients meet it: every service and route, frames equal to those of inlay lipsync, and its life."""
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np

from program import INLAY, PACK, ROOT, SPEECH, Skip, fails, main, probe, works
from serving import (PROTOS, Server, avatars_folder, eventually, find_stub, form, frame_digests, lipsync_jpegs,
                     order_video, protos, render_requests, serve, speech16, tensor_request, wait_for_video, windows)


def status_of(call):
    """The status name and text with which a call fails."""
    import grpc
    try:
        result = call()
        if hasattr(result, "__next__"):
            for _ in result:
                pass
    except grpc.RpcError as e:
        return e.code().name, e.details()
    return "OK", ""


# ---- doors ----

def says_where_it_listens(scratch):
    with serve(scratch) as server:
        lines = server.text().splitlines()
        assert len(lines) == 2 and "curl" in lines[1], lines
        assert server.get("/healthz") is not None
        eventually(lambda: server.get("/readyz") is not None)
        assert b"<html" in server.get("/").lower()
        assert server.stop() == 0, server.text()


def health_and_reflection(scratch):
    with serve(scratch) as server:
        pb = protos()
        health = server.stub("Health")
        assert health.Check(pb.health.HealthCheckRequest(), timeout=10).status == 1
        assert next(iter(health.Watch(pb.health.HealthCheckRequest(), timeout=10))).status == 1
        assert status_of(lambda: health.Check(pb.health.HealthCheckRequest(service="none"), timeout=10))[0] == "NOT_FOUND"
        for version in ("reflection", "reflection_v1alpha"):
            messages = getattr(pb, version)
            stub = getattr(pb, version + "_grpc").ServerReflectionStub(server.channel())
            asks = [messages.ServerReflectionRequest(list_services=""),
                    messages.ServerReflectionRequest(file_containing_symbol="inlay.v1.Lipsync"),
                    messages.ServerReflectionRequest(file_containing_symbol="no.such.thing")]
            answers = list(stub.ServerReflectionInfo(iter(asks), timeout=10))
            names = {s.name for s in answers[0].list_services_response.service}
            assert {"inference.GRPCInferenceService", "inference.InferenceService", "compositing.CompositingService",
                    "monolithic.MonolithicService", "inlay.v1.Lipsync", "grpc.health.v1.Health"} <= names, names
            assert answers[1].file_descriptor_response.file_descriptor_proto
            assert answers[2].error_response.error_code == 5
        assert server.stop() == 0


def unknown_methods_and_routes(scratch):
    with serve(scratch) as server:
        call = server.channel().unary_unary("/no.Service/Method")
        assert status_of(lambda: call(b"", timeout=10))[0] == "UNIMPLEMENTED"
        server.get("/nothing", 404)
        assert server.request("DELETE", "/healthz")[0] == 405
        server.get("/v1/avatars/..%2F..%2Fetc", 404)


# ---- KServe v2 ----

def kserve_every_method(scratch):
    with serve(scratch) as server:
        pb, stub = protos().kserve, server.stub("GRPCInferenceService")
        assert stub.ServerLive(pb.ServerLiveRequest(), timeout=10).live
        assert stub.ServerReady(pb.ServerReadyRequest(), timeout=10).ready
        assert "inlay" in stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=10).name
        assert {m.name for m in stub.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=10).models} == {"pack", "compiled"}
        for avatar in ("pack", "compiled"):
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=avatar), timeout=60)
            assert stub.ModelReady(pb.ModelReadyRequest(name=avatar), timeout=10).ready
            model = stub.ModelMetadata(pb.ModelMetadataRequest(name=avatar), timeout=60)
            shapes = {t.name: (t.datatype, list(t.shape)) for t in model.inputs}
            assert shapes["frame_index"] == ("INT32", [-1]) and shapes["audio"] == ("FP32", [-1, 32, 16, 16]), shapes
            assert [(t.datatype, list(t.shape)) for t in model.outputs] == [("UINT8", [-1, 320, 320, 3])]
            assert stub.ModelConfig(pb.ModelConfigRequest(name=avatar), timeout=10).config.name == avatar
            answer = stub.ModelInfer(tensor_request(avatar, [3, 3, 70], windows(3), id="x"), timeout=60)
            assert answer.id == "x" and list(answer.outputs[0].shape) == [3, 320, 320, 3]
            assert len(answer.raw_output_contents[0]) == 3 * 320 * 320 * 3
            streamed = list(stub.ModelStreamInfer(iter([tensor_request(avatar, [3, 3, 70], windows(3))] * 2), timeout=60))
            assert [s.infer_response.raw_output_contents[0] for s in streamed] == [answer.raw_output_contents[0]] * 2
            counts = stub.ModelStatistics(pb.ModelStatisticsRequest(name=avatar), timeout=10).model_stats[0]
            assert counts.inference_count == 9 and counts.execution_count >= 3, counts
        assert stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="pack"), timeout=10) is not None
        status, text = status_of(lambda: stub.ModelInfer(tensor_request("nobody", [0], windows(1)), timeout=10))
        assert status in ("NOT_FOUND", "INVALID_ARGUMENT") and "unknown model" in text, (status, text)
        for frames, audio in (([-1], windows(1)), ([75], windows(1)), ([0, 1], windows(1)),
                              ([0], windows(1)[:, :16]), ([0], np.full((1, 32, 16, 16), np.nan))):
            status, text = status_of(lambda: stub.ModelInfer(tensor_request("pack", frames, audio), timeout=10))
            assert status == "INVALID_ARGUMENT" and text, (frames, audio.shape, status, text)
        assert status_of(lambda: stub.SystemSharedMemoryRegister(
            pb.SystemSharedMemoryRegisterRequest(name="r", key="/r", byte_size=1), timeout=10))[0] != "OK"


def one_frame_and_many_are_the_same(scratch):
    """A batch, its frames one by one, and both at a time from several threads."""
    with serve(scratch) as server:
        stub = server.stub("GRPCInferenceService")
        audio, frames = windows(16), list(range(40, 56))
        for avatar in ("pack", "compiled"):
            whole = stub.ModelInfer(tensor_request(avatar, frames, audio), timeout=60).raw_output_contents[0]
            found = [None] * 16

            def ask(k):
                request = tensor_request(avatar, frames[k:k + 1], audio[k:k + 1])
                found[k] = stub.ModelInfer(request, timeout=60).raw_output_contents[0]
            threads = [threading.Thread(target=ask, args=(k,)) for k in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert b"".join(found) == whole, avatar


def kserve_shared_memory(scratch):
    name = f"inlay-test-{os.getpid()}"
    path = "/dev/shm/" + name
    with serve(scratch, "--shared-memory") as server:
        pb, stub = protos().kserve, server.stub("GRPCInferenceService")
        audio = windows(2)
        expected = stub.ModelInfer(tensor_request("compiled", [1, 2], audio), timeout=60).raw_output_contents[0]
        with open(path, "wb") as f:
            f.write(audio.tobytes())
            f.truncate(audio.nbytes + len(expected))
        try:
            size = audio.nbytes + len(expected)
            stub.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name="r", key="/" + name, byte_size=size),
                                            timeout=10)
            regions = stub.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest(), timeout=10).regions
            assert regions["r"].byte_size == size, regions
            request = tensor_request("compiled", [1, 2], audio)
            del request.raw_input_contents[1]
            request.inputs[1].parameters["shared_memory_region"].string_param = "r"
            request.inputs[1].parameters["shared_memory_byte_size"].int64_param = audio.nbytes
            model = stub.ModelMetadata(pb.ModelMetadataRequest(name="compiled"), timeout=10)
            output = request.outputs.add(name=model.outputs[0].name)
            output.parameters["shared_memory_region"].string_param = "r"
            output.parameters["shared_memory_byte_size"].int64_param = len(expected)
            output.parameters["shared_memory_offset"].int64_param = audio.nbytes
            stub.ModelInfer(request, timeout=60)
            with open(path, "rb") as f:
                f.seek(audio.nbytes)
                assert f.read() == expected
            request.inputs[1].parameters["shared_memory_offset"].int64_param = size
            assert status_of(lambda: stub.ModelInfer(request, timeout=10))[0] == "INVALID_ARGUMENT"
            stub.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(name=""), timeout=10)
            assert not stub.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest(), timeout=10).regions
        finally:
            os.unlink(path)
        assert server.stop() == 0


def kserve_over_http(scratch):
    with serve(scratch) as server:
        assert "inlay" in server.json("GET", "/v2")["name"]
        server.get("/v2/health/live")
        server.get("/v2/health/ready")
        model = server.json("GET", "/v2/models/compiled")
        assert {t["name"] for t in model["inputs"]} >= {"frame_index", "audio"}
        server.get("/v2/models/compiled/ready")
        server.get("/v2/models/compiled/config")
        server.get("/v2/models/compiled/stats")
        assert {m["name"] for m in server.json("POST", "/v2/repository/index", {})} == {"pack", "compiled"}
        server.json("POST", "/v2/repository/models/pack/load", {})
        server.json("POST", "/v2/repository/models/pack/unload", {})
        audio = windows(1)
        inputs = [{"name": "frame_index", "datatype": "INT32", "shape": [1], "data": [5]},
                  {"name": "audio", "datatype": "FP32", "shape": list(audio.shape), "data": audio.ravel().tolist()}]
        answer = server.json("POST", "/v2/models/compiled/infer", {"inputs": inputs})
        expected = server.stub("GRPCInferenceService").ModelInfer(tensor_request("compiled", [5], audio), timeout=60)
        assert bytes(answer["outputs"][0]["data"]) == expected.raw_output_contents[0]
        # The same with binary tensors.
        inputs[1] = {"name": "audio", "datatype": "FP32", "shape": list(audio.shape),
                     "parameters": {"binary_data_size": audio.nbytes}}
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        status, headers, body = server.request("POST", "/v2/models/compiled/infer", head + audio.tobytes(),
                                               {"Inference-Header-Content-Length": str(len(head))})
        assert status == 200, body[:300]
        assert body[int(headers["inference-header-content-length"]):] == expected.raw_output_contents[0]
        assert "unknown model" in server.json("GET", "/v2/models/nobody", status=404)["error"].lower()
        server.json("POST", "/v2/models/compiled/infer", "{", status=400)


# ---- the services that are taken the place of ----

def origin_services(scratch):
    with serve(scratch, "--quality", 75) as server:
        pb, features = protos(), windows(4)
        frames = {}
        for module, service in ((pb.compositing, "CompositingService"), (pb.monolithic, "MonolithicService")):
            stub = server.stub(service)
            assert stub.Health(module.HealthRequest(), timeout=10).healthy
            assert {m.model_id for m in stub.ListModels(module.ListModelsRequest(), timeout=10).models} == {"pack", "compiled"}
            assert stub.LoadModel(module.LoadModelRequest(model_id="compiled"), timeout=60).success
            answer = stub.InferBatchComposite(module.CompositeBatchRequest(
                model_id="compiled", audio_features=features.tobytes(), batch_size=4, start_frame_idx=2), timeout=60)
            assert answer.success and not answer.error and len(answer.composited_frames) == 4, answer.error
            assert answer.total_time_ms >= answer.inference_time_ms > 0
            single = [stub.InferBatchComposite(module.CompositeBatchRequest(
                model_id="compiled", audio_features=features[k].tobytes(), batch_size=1, start_frame_idx=2 + k),
                timeout=60).composited_frames[0] for k in range(4)]
            assert single == list(answer.composited_frames)
            frames[service] = single
            sound = np.zeros(10240, "<f4")
            answer = stub.InferBatchComposite(module.CompositeBatchRequest(
                model_id="pack", raw_audio=sound.tobytes(), batch_size=2, sample_rate=16000), timeout=60)
            assert answer.success and len(answer.composited_frames) == 2, answer.error
            for wrong in (dict(model_id="nobody"), dict(batch_size=0), dict(batch_size=1000), dict(audio_features=b"123"),
                          dict(audio_features=b"", raw_audio=sound.tobytes(), sample_rate=8000)):
                request = {**dict(model_id="compiled", audio_features=features[0].tobytes(), batch_size=1), **wrong}
                answer = stub.InferBatchComposite(module.CompositeBatchRequest(**request), timeout=60)
                assert not answer.success and answer.error, wrong
            assert stub.GetModelStats(module.GetModelStatsRequest(), timeout=10).models
            assert stub.UnloadModel(module.UnloadModelRequest(model_id="compiled"), timeout=10).success
            assert not stub.LoadModel(module.LoadModelRequest(model_id="nobody"), timeout=60).success
        assert frames["CompositingService"] == frames["MonolithicService"]
        module, stub = pb.inference_origin, server.stub("InferenceService")
        answer = stub.InferBatch(module.InferBatchRequest(model_id="compiled", audio_features=features.tobytes(), batch_size=4),
                                 timeout=60)
        assert answer.success and len(answer.outputs) == 4, answer.error
        mouth = np.frombuffer(answer.outputs[0].data, "<f4")
        assert mouth.shape == (3 * 320 * 320,) and 0 <= mouth.min() and mouth.max() <= 1
        kserve = server.stub("GRPCInferenceService").ModelInfer(tensor_request("compiled", range(4), features), timeout=60)
        expected = np.frombuffer(kserve.raw_output_contents[0], np.uint8).reshape(4, 320, 320, 3)[0].transpose(2, 0, 1)
        assert np.array_equal(np.rint(mouth * 255).astype(np.uint8).reshape(3, 320, 320), expected)
        assert stub.ListModels(module.ListModelsRequest(), timeout=10).models
        assert stub.LoadModel(module.LoadModelRequest(model_id="pack"), timeout=60).success
        assert stub.GetModelStats(module.GetModelStatsRequest(), timeout=10).models
        assert stub.UnloadModel(module.UnloadModelRequest(model_id="pack"), timeout=10).success
        assert stub.Health(module.HealthRequest(), timeout=10).healthy


# ---- streams ----

def render_equals_lipsync(scratch):
    wav, samples = speech16(scratch)
    avatars_folder(scratch)
    with serve(scratch) as server:
        pb, stub = protos().lipsync, server.stub("Lipsync")
        for avatar, path in (("pack", PACK), ("compiled", os.path.join(scratch, "avatars", "compiled.inlay"))):
            expected = lipsync_jpegs(path, wav)
            found = list(stub.Render(render_requests(avatar, samples), timeout=120))
            assert [f.index for f in found] == list(range(len(expected))), (len(found), len(expected))
            assert all(abs(f.pts_ms - 40 * f.index) < 1e-3 and (f.width, f.height) == (640, 480) for f in found)
            wrong = [f.index for f, e in zip(found, expected) if f.data != e]
            assert not wrong, f"{avatar}: frames {wrong} differ from those of inlay lipsync"
            # Pieces of any size, floats, and a start in the middle of the avatar.
            expected = lipsync_jpegs(path, wav, "--start-frame", 70, "--order", "bounce", "--frames", 20)
            found = list(stub.Render(render_requests(avatar, samples, piece=333, f32=True, start_frame=70, max_frames=20,
                                                     order=pb.RenderOptions.BOUNCE), timeout=120))
            assert [f.data for f in found] == expected, avatar
        assert server.stop() == 0


def render_formats(scratch):
    wav, samples = speech16(scratch)
    with serve(scratch) as server:
        pb, stub = protos().lipsync, server.stub("Lipsync")
        raw = works("lipsync", "--avatar", PACK, "--audio", wav, "--format", "rawvideo", "-o", "-", "--frames", 5).stdout
        found = list(stub.Render(render_requests("pack", samples, format=pb.RenderOptions.I420, max_frames=5), timeout=60))
        assert b"".join(f.data for f in found) == raw
        found = list(stub.Render(render_requests("pack", samples, format=pb.RenderOptions.BGR, max_frames=2), timeout=60))
        assert [len(f.data) for f in found] == [640 * 480 * 3] * 2
        assert {a.id for a in stub.ListAvatars(pb.ListAvatarsRequest(), timeout=10).avatars} == {"pack", "compiled"}
        avatar = stub.GetAvatar(pb.GetAvatarRequest(id="pack"), timeout=60)
        assert (avatar.frames, avatar.width, avatar.height, avatar.fps_num / avatar.fps_den) == (75, 640, 480, 25)


def render_comes_as_the_speech_does(scratch):
    """Frames leave while the client still speaks, and the wait for one is short."""
    _, samples = speech16(scratch, 6)
    with serve(scratch) as server:
        stub, sent = server.stub("Lipsync"), []

        def speak():
            for request in render_requests("compiled", samples, piece=640):
                sent.append(time.time())
                yield request
                time.sleep(0.04)
        arrived = [time.time() for _ in stub.Render(speak(), timeout=120)]
        assert len(arrived) >= 140
        assert sum(t < sent[-1] for t in arrived) > len(arrived) // 2, "frames waited for the end of the speech"


def render_refused(scratch):
    _, samples = speech16(scratch)
    with serve(scratch) as server:
        pb, stub = protos().lipsync, server.stub("Lipsync")
        cases = [(render_requests("nobody", samples), "NOT_FOUND"), (render_requests("../pack", samples), "NOT_FOUND"),
                 (iter([]), "INVALID_ARGUMENT"), (iter([pb.RenderRequest(audio=b"12")]), "INVALID_ARGUMENT"),
                 (iter([pb.RenderRequest(options=pb.RenderOptions(avatar="pack", sample_rate=44100))]), "INVALID_ARGUMENT"),
                 (iter([pb.RenderRequest(options=pb.RenderOptions(avatar="pack"), audio=b"123")]), "INVALID_ARGUMENT"),
                 (render_requests("pack", samples, jpeg_quality=101), "INVALID_ARGUMENT")]
        for requests, expected in cases:
            status, text = status_of(lambda: stub.Render(requests, timeout=30))
            assert status == expected and text, (status, text, expected)
        assert stub.GetAvatar(pb.GetAvatarRequest(id="pack"), timeout=30).loaded


# ---- videos ----

def videos_equal_lipsync(scratch):
    wav, _ = speech16(scratch)
    talk = os.path.join(scratch, "talk.mp4")
    works("lipsync", "--avatar", PACK, "--audio", wav, "-o", talk)
    with serve(scratch) as server:
        video = order_video(server, "pack", wav)
        assert video["object"] == "video" and video["status"] in ("queued", "in_progress"), video
        done = wait_for_video(server, video["id"])
        assert 'inlay_videos{status="completed"} 1' in server.get("/metrics").decode()
        assert done["progress"] == 100, done
        path = f"/v1/videos/{video['id']}/content"
        body = server.get(path)
        copy = os.path.join(scratch, "copy.mp4")
        with open(copy, "wb") as f:
            f.write(body)
        assert frame_digests(copy) == frame_digests(talk)
        assert "audio" in probe(copy)
        assert server.get(path, 206, Range="bytes=10-19") == body[10:20]
        assert server.get(path, 206, Range="bytes=-7") == body[-7:]
        server.get(path, 416, Range=f"bytes={len(body)}-")
        listed = server.json("GET", "/v1/videos")["data"]
        assert [v["id"] for v in listed] == [video["id"]]
        for format, codec in (("webm", "vp9"), ("mkv", "h264"), ("mov", "h264")):
            other = wait_for_video(server, order_video(server, "compiled", SPEECH, format=format, frames=5)["id"])
            with open(copy, "wb") as f:
                f.write(server.get(f"/v1/videos/{other['id']}/content"))
            found = probe(copy)["video"]
            assert found["codec_name"] == codec and found["nb_read_frames"] == "5", found
        server.json("DELETE", "/v1/videos/" + video["id"])
        server.get(path, 404)
        assert server.stop() == 0


def idempotency(scratch):
    with serve(scratch) as server:
        key = {"Idempotency-Key": "one"}
        first = order_video(server, "pack", SPEECH, headers=key, frames=5)
        again = order_video(server, "pack", SPEECH, headers=key, frames=5)
        assert first["id"] == again["id"]
        order_video(server, "pack", SPEECH, status=409, headers=key, frames=6)
        assert order_video(server, "pack", SPEECH, frames=5)["id"] != first["id"]


def videos_refused(scratch):
    noise = os.path.join(scratch, "noise.wav")
    with open(noise, "wb") as f:
        f.write(os.urandom(5000))
    big = os.path.join(scratch, "big.wav")
    with open(big, "wb") as f:
        f.truncate(3 << 20)
    with serve(scratch, "--set", "limits.upload_mb=2", "--set", "limits.audio_s=1") as server:
        order_video(server, "nobody", SPEECH, status=404)
        order_video(server, "pack", big, status=413)
        body, kind = form({"avatar": "pack"}, {})
        assert server.request("POST", "/v1/videos", body, {"Content-Type": kind})[0] == 400
        for audio in (noise, SPEECH):  # no sound; longer than a second
            body, kind = form({"avatar": "pack"}, {"audio": audio})
            status, _, text = server.request("POST", "/v1/videos", body, {"Content-Type": kind})
            if status == 202:
                video = wait_for_video(server, json.loads(text)["id"], "failed")
                assert video["error"]["message"], video
            else:
                assert status == 400 and json.loads(text)["error"], (status, text)
        server.get("/v1/videos/video_nothing", 404)
        # They go with their requests, which end after their answers.
        eventually(lambda: not os.listdir(os.path.join(scratch, "state", "uploads")))


def videos_outlive_the_process(scratch):
    wav, _ = speech16(scratch, 20)
    with serve(scratch, "--set", "limits.renders=1") as server:
        numbers = [order_video(server, "pack", wav)["id"] for _ in range(3)]
        eventually(lambda: server.json("GET", "/v1/videos/" + numbers[0])["status"] == "in_progress")
        server.kill()
    with serve(scratch) as server:
        for number in numbers:
            wait_for_video(server, number)
            assert len(server.get(f"/v1/videos/{number}/content")) > 10000
        assert server.stop() == 0


def a_state_serves_one(scratch):
    """A second server on the same folder is refused, and takes nothing of the first one's away."""
    with serve(scratch) as server:
        state = os.path.join(scratch, "state")
        upload = os.path.join(state, "uploads", "upload-ABCDEF")
        open(upload, "w").close()
        fails("serve", "--avatars", os.path.join(scratch, "avatars"), "--state", state, "--http", "127.0.0.1:0", "--grpc", "off",
              says="another server uses it")
        assert os.path.exists(upload)
        assert server.stop() == 0
    with serve(scratch):
        assert not os.path.exists(upload)


def new_avatars(scratch):
    """Known as soon as they are asked for, whatever is asked."""
    avatars = avatars_folder(scratch)
    with serve(scratch) as server:
        for number, ask in enumerate(("/v1/avatars/{}", "/v2/models/{}/ready")):
            server.get(ask.format(f"new{number}"), 404)
            os.symlink(os.path.realpath(os.path.join(avatars, "pack")), os.path.join(avatars, f"new{number}"))
            server.get(ask.format(f"new{number}"))
        os.symlink(os.path.realpath(os.path.join(avatars, "pack")), os.path.join(avatars, "new"))
        wav, _ = speech16(scratch, 1)
        wait_for_video(server, order_video(server, "new", wav)["id"])
        assert server.stop() == 0


# ---- who may come in ----

def token(scratch):
    path = os.path.join(scratch, "token")
    with open(path, "w") as f:
        f.write("secret-word\n")
    with serve(scratch, "--token-file", path) as server:
        import grpc
        pb = protos().kserve
        server.get("/healthz")
        server.get("/v1/avatars", 401)
        server.get("/v1/avatars", 401, Authorization="Bearer wrong")
        server.get("/v1/avatars", Authorization="Bearer secret-word")
        stub = server.stub("GRPCInferenceService")
        call = stub.RepositoryIndex
        assert status_of(lambda: call(pb.RepositoryIndexRequest(), timeout=10))[0] == "UNAUTHENTICATED"
        wrong = [("authorization", "Bearer secret-wore")]
        assert status_of(lambda: call(pb.RepositoryIndexRequest(), timeout=10, metadata=wrong))[0] == "UNAUTHENTICATED"
        assert call(pb.RepositoryIndexRequest(), timeout=10, metadata=[("authorization", "Bearer secret-word")]).models
        health = find_stub(grpc.insecure_channel(server.grpc), "Health")
        assert health.Check(protos().health.HealthCheckRequest(), timeout=10).status == 1
        works("loadgen", "--url", server.grpc, "--token-file", path, "--seconds", 1, "--clients", 1)
        assert "secret-word" not in server.text()


def tls(scratch):
    import grpc
    cert, key = os.path.join(scratch, "cert.pem"), os.path.join(scratch, "key.pem")
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if made.returncode:
        raise Skip("no openssl")
    with serve(scratch, "--tls-cert", cert, "--tls-key", key) as server:
        with open(cert, "rb") as f:
            credentials = grpc.ssl_channel_credentials(f.read())
        health = find_stub(grpc.secure_channel(server.grpc, credentials), "Health")
        assert health.Check(protos().health.HealthCheckRequest(), timeout=10).status == 1
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen("https://%s:%d/healthz" % server.http, context=context, timeout=10) as answer:
            assert answer.status == 200
        works("loadgen", "--url", "grpcs://" + server.grpc, "--tls-ca", cert, "--seconds", 1, "--clients", 1)


def limits_of_memory(scratch):
    """One avatar at a time: each use of the other evicts."""
    with serve(scratch, "--max-models", 1) as server:
        stub = server.stub("GRPCInferenceService")
        for _ in range(2):
            for avatar in ("pack", "compiled"):
                stub.ModelInfer(tensor_request(avatar, [0], windows(1)), timeout=60)
        loaded = [a["id"] for a in server.json("GET", "/v1/avatars?loaded=true")["data"]]
        assert loaded == ["compiled"], loaded


# ---- its life ----

def settings_refused(scratch):
    avatars = os.path.join(scratch, "none")
    os.mkdir(avatars)
    config = os.path.join(scratch, "serve.yaml")
    state = os.path.join(scratch, "state")
    with open(config, "w") as f:
        f.write(f"avatars: {avatars}\nlimits:\n  jops: 1\n")
    fails("serve", "--config", config, says="serve.yaml:3: limits.jops")
    fails("serve", says="--avatars")
    fails("serve", "--avatars", "/nowhere", says="/nowhere")
    fails("serve", "--avatars", avatars, "--role", "compositing", says="--inference")
    fails("serve", "--avatars", avatars, "--inference", "a:1", says="role compositing")
    fails("serve", "--avatars", avatars, "--http", "8000", says="HOST:PORT")
    fails("serve", "--avatars", avatars, "--state", "/proc/none", says="/proc/none")
    fails("serve", "--avatars", avatars, "--state", state, "--token-file", "/dev/null", says="token")
    fails("serve", "--avatars", avatars, "--set", "memory_mb=x", says="memory_mb")
    fails("serve", "--role", "both", "--avatars", avatars, says="inference")
    fails("serve", "extra", status=2, says="extra")
    example = os.path.join(ROOT, "deploy", "serve.yaml")
    with Server("--config", example, "--avatars", avatars, "--state", state) as server:
        other = os.path.join(scratch, "other")
        done = fails("serve", "--avatars", avatars, "--state", other, "--http", "127.0.0.1:0", "--grpc", server.grpc,
                     says=server.grpc.split(":")[1])
        assert "use" in done.stderr, done.stderr
        fails("serve", "--avatars", avatars, "--state", other, "--http", "%s:%d" % server.http, "--grpc", "127.0.0.1:0",
              says=str(server.http[1]))
        assert server.json("GET", "/v1/avatars")["data"] == []


def reload(scratch):
    avatars_folder(scratch)
    config = os.path.join(scratch, "serve.yaml")

    def write(text):
        with open(config, "w") as f:
            f.write(text)
    write("memory_mb: 512\n")
    with serve(scratch, "--config", config) as server:
        assert server.metric("inlay_store_budget_bytes") == 512 << 20
        write("memory_mb: 256\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: server.metric("inlay_store_budget_bytes") == 256 << 20)
        write("memory_mb: 128\nmemroy: 1\n")
        server.process.send_signal(signal.SIGHUP)
        server.says("serve.yaml:2: memroy")
        assert server.metric("inlay_store_budget_bytes") == 256 << 20
        assert server.stop() == 0


def stops_when_idle(scratch):
    for number in (signal.SIGTERM, signal.SIGINT):
        with serve(scratch) as server:
            begun = time.time()
            assert server.stop(number) == 0, server.text()
            assert time.time() - begun < 10
            with socket.socket() as s:
                assert s.connect_ex(server.http) != 0


def drains(scratch):
    """A stream and a download that are under way end well; new calls are refused."""
    _, samples = speech16(scratch, 20)
    with serve(scratch) as server:
        stub, found = server.stub("Lipsync"), []
        first = threading.Event()

        def take():
            for frame in stub.Render(render_requests("compiled", samples), timeout=120):
                found.append(frame.index)
                first.set()
        taker = threading.Thread(target=take)
        taker.start()
        assert first.wait(60)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        late = server.channel().unary_unary("/grpc.health.v1.Health/Check")
        assert server.process.poll() is not None or status_of(lambda: late(b"", timeout=5))[0] != "OK"
        taker.join(60)
        assert found == list(range(500)), (len(found), found[-1:])
        assert server.wait() == 0, server.text()


def drain_has_an_end(scratch):
    """A client that neither speaks nor leaves holds the server up for drain_s and no longer; a second signal not at all."""
    for second in (False, True):
        with serve(scratch, "--drain", 60 if second else 2) as server:
            stub, hold = server.stub("Lipsync"), threading.Event()

            def silent():
                yield next(render_requests("pack", np.zeros(0, "<i2")))
                hold.wait(90)
            call = stub.Render(silent(), timeout=90)
            time.sleep(1)
            begun = time.time()
            server.process.send_signal(signal.SIGTERM)
            if second:
                server.says("stopping")
                server.process.send_signal(signal.SIGTERM)
            status = server.wait(30)
            hold.set()
            call.cancel()
            assert status == (130 if second else 0), (status, server.text())
            assert time.time() - begun < 15


def tells_its_manager(scratch):
    path = os.path.join(scratch, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(30)
        with serve(scratch, env={"NOTIFY_SOCKET": path}) as server:
            assert manager.recv(1000) == b"READY=1"
            server.process.send_signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(1000) == b"READY=1"
            assert server.stop() == 0
            assert manager.recv(1000) == b"STOPPING=1"


# ---- several processes, other clients ----

def two_processes(scratch):
    """Inference and compositing apart give the frames that one process gives."""
    _, samples = speech16(scratch)
    folder = avatars_folder(scratch)
    with serve(scratch) as whole:
        expected = {a: [f.data for f in whole.stub("Lipsync").Render(render_requests(a, samples), timeout=60)]
                    for a in ("pack", "compiled")}
    for options in ([], ["--shared-memory"]):
        with Server("--role", "inference", "--avatars", folder, "--http", "off", *options) as inference:
            assert inference.http is None
            with Server("--role", "compositing", "--avatars", folder, "--state", os.path.join(scratch, "state2"),
                        "--inference", inference.grpc, *options) as server:
                eventually(lambda: server.get("/readyz") is not None)
                stub = server.stub("Lipsync")
                for avatar, frames in expected.items():
                    found = [f.data for f in stub.Render(render_requests(avatar, samples), timeout=120)]
                    assert found == frames, (avatar, options)
                assert inference.stop() == 0
                eventually(lambda: server.request("GET", "/readyz")[0] == 503)
                assert server.stop() == 0


def loadgen(scratch):
    with serve(scratch, "--shared-memory") as server:
        for args in (["--mode", "infer"], ["--mode", "infer", "--shared-memory"], ["--mode", "composite"],
                     ["--mode", "render", "--sentence", 1], ["--mode", "composite", "--fps", 0, "--batch", 1]):
            out, picture = os.path.join(scratch, "load.json"), os.path.join(scratch, "load.svg")
            works("loadgen", "--url", server.grpc, "--clients", 2, "--seconds", 3, "--json", out, "--svg", picture, *args)
            with open(out) as f:
                figures = json.load(f)
            assert figures["errors"] == 0, (args, figures["error_kinds"])
            assert figures["frames"] > 20 and figures["avatars"] == 2, (args, figures)
            assert figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"] <= figures["latency_ms"]["max"] * 1.04
            with open(picture) as f:
                assert f.read().endswith("</svg>\n")
        job = subprocess.Popen([INLAY, "loadgen", "--url", server.grpc, "--seconds", "60"], stdout=subprocess.PIPE)
        time.sleep(2)
        job.send_signal(signal.SIGINT)
        assert b"frames" in job.stdout.read() and job.wait(20) == 130
    fails("loadgen", "--url", "127.0.0.1:1", says="127.0.0.1:1", timeout=60)


def every_route_is_described(scratch):
    """A GET of each route of /openapi.json that needs no id answers."""
    with serve(scratch, "--shared-memory") as server:
        paths = server.json("GET", "/openapi.json")["paths"]
        assert {"/v1/videos", "/v1/avatars", "/healthz", "/metrics"} <= set(paths)
        for path, methods in paths.items():
            if "get" in methods and "{" not in path:
                server.get(path)
        for path in ("/v1/avatars/pack", "/v1/avatars/pack/poster.jpg"):
            server.get(path)
        assert server.metric("inlay_http_answers_total") > 5


def node_client(scratch):
    modules = os.path.join(ROOT, "deps", "node", "node_modules")
    if not os.path.isdir(os.path.join(modules, "@grpc", "grpc-js")):
        raise Skip("no Node client: tools/setup check fetches it")
    with serve(scratch, env={}) as server:
        done = subprocess.run(["node", os.path.join(ROOT, "tests", "node", "serve_test.js"), server.grpc, PROTOS],
                              env={**os.environ, "NODE_PATH": modules}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=120)
        assert done.returncode == 0, done.stdout.decode()


if __name__ == "__main__":
    sys.exit(main([says_where_it_listens, health_and_reflection, unknown_methods_and_routes, kserve_every_method,
                   one_frame_and_many_are_the_same, kserve_shared_memory, kserve_over_http, origin_services,
                   render_equals_lipsync, render_formats, render_comes_as_the_speech_does, render_refused,
                   videos_equal_lipsync, idempotency, videos_refused, videos_outlive_the_process,
                   a_state_serves_one, new_avatars, token, tls, limits_of_memory, settings_refused, reload,
                   stops_when_idle, drains, drain_has_an_end, tells_its_manager, two_processes, loadgen, every_route_is_described, node_client]))
