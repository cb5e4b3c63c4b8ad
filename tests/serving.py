"""What the tests of the server share: starting it, its gRPC messages, its HTTP, and sound to send."""
import atexit
import glob
import http.client
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.parse
import wave

import numpy as np

from program import INLAY, PACK, ROOT, SPEECH, Skip, works

PROTOS = os.path.join(ROOT, "server", "rpc")


# ---- messages ----

_protos = None


def protos():
    """Modules of all .proto files: protos().kserve.ModelInferRequest, protos().kserve_grpc.GRPCInferenceServiceStub."""
    global _protos
    if _protos:
        return _protos
    try:
        import grpc  # noqa: F401
        from grpc_tools import protoc
    except ImportError as e:
        raise Skip(str(e))
    folder = tempfile.mkdtemp(prefix="inlay-protos-")
    atexit.register(shutil.rmtree, folder, True)
    files = sorted(glob.glob(os.path.join(PROTOS, "*.proto")))
    assert protoc.main(["protoc", "-I" + PROTOS, "--python_out=" + folder, "--grpc_python_out=" + folder, *files]) == 0
    sys.path.insert(0, folder)
    _protos = types.SimpleNamespace()
    for path in files:
        name = os.path.basename(path)[:-len(".proto")]
        setattr(_protos, name, importlib.import_module(name + "_pb2"))
        setattr(_protos, name + "_grpc", importlib.import_module(name + "_pb2_grpc"))
    return _protos


def find_stub(channel, service):
    """The stub of a service by its name, whichever file it is in."""
    modules = protos()
    for name in dir(modules):
        stub = getattr(getattr(modules, name), service + "Stub", None)
        if stub:
            return stub(channel)
    raise AssertionError(f"no service {service} in {PROTOS}")


# ---- the server ----

class Server:
    """`inlay serve` on ports of its own; stopped by stop(), or killed at the end of a `with`."""

    def __init__(self, *args, env=None, ready_s=60, http="127.0.0.1:0", grpc="127.0.0.1:0", **options):
        self.args = [INLAY, "serve", "--http", http, "--grpc", grpc, *map(str, args)]
        self.lines = []
        self.process = subprocess.Popen(self.args, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})}, text=True, **options)
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.listening.wait(ready_s) or self.process.poll() is not None:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"inlay serve did not start: {self.text()}")
        said = self.text()
        found = re.search(r"https?://(\S+?):(\d+)", said)
        self.http = (found.group(1), int(found.group(2))) if found else None
        found = re.search(r"grpcs?://(\S+?):(\d+)", said)
        self.grpc = f"{found.group(1)}:{found.group(2)}" if found else None

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith(("inlay: open ", "inlay: try")):  # the second of its two lines
                self.listening.set()
        self.listening.set()

    def text(self):
        return "".join(self.lines)

    def says(self, text, seconds=10):
        until = time.time() + seconds
        while text not in self.text():
            assert time.time() < until, f"{text!r} is not in: {self.text()}"
            time.sleep(0.05)

    def channel(self, **options):
        import grpc
        size = [("grpc.max_receive_message_length", 200 << 20), ("grpc.max_send_message_length", 200 << 20),
                ("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(self.grpc, options=size, **options)

    def stub(self, service):
        return find_stub(self.channel(), service)

    def request(self, method, path, body=None, headers=None, timeout=60):
        """Status, headers (lower-case) and body."""
        connection = http.client.HTTPConnection(*self.http, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path, status=200, **headers):
        found, _, body = self.request("GET", path, None, headers)
        assert found == status, (path, found, body[:500])
        return body

    def json(self, method, path, body=None, status=200, headers=None):
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        found, _, text = self.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        assert found == status, (method, path, found, text[:500])
        return json.loads(text) if text else None

    def metric(self, name):
        """Sum over the labels."""
        lines = self.get("/metrics").decode().splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(re.escape(name) + r"(\{| )", line)]
        assert values, f"no metric {name}"
        return sum(values)

    def memory(self, whole=False):
        """Its own memory in bytes; whole: with mapped files, which the system drops as it likes."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(rf"{'VmRSS' if whole else 'RssAnon'}:\s+(\d+)", f.read()).group(1)) << 10

    def wait(self, seconds=60):
        status = self.process.wait(seconds)
        self.reader.join(5)
        return status

    def stop(self, number=signal.SIGTERM, seconds=60):
        self.process.send_signal(number)
        return self.wait(seconds)

    def kill(self):
        self.process.kill()
        self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def avatars_folder(scratch, links=0):
    """A folder of avatars: `pack`, a link; `compiled.inlay`; and as many more links to either as asked for."""
    folder = os.path.join(scratch, "avatars")
    os.makedirs(folder, exist_ok=True)
    os.symlink(PACK, os.path.join(folder, "pack"))
    works("avatar", "compile", PACK, "-o", os.path.join(folder, "compiled.inlay"))
    for i in range(links):
        target, name = (PACK, f"a{i:05}") if i % 2 else ("compiled.inlay", f"a{i:05}.inlay")
        os.symlink(target, os.path.join(folder, name))
    return folder


def serve(scratch, *args, **options):
    """A server of both roles with its folders in scratch."""
    folder = os.path.join(scratch, "avatars")
    if not os.path.isdir(folder):
        avatars_folder(scratch)
    return Server("--avatars", folder, "--state", os.path.join(scratch, "state"), *args, **options)


# ---- sound and pictures ----

def speech16(scratch, seconds=None):
    """The spoken sentence at 16 kHz, over and over up to `seconds`: path of a WAV file and its samples."""
    path = os.path.join(scratch, f"speech16-{seconds}.wav")
    if not os.path.exists(path):
        loop = ["-stream_loop", "-1"] if seconds else []
        length = ["-t", str(seconds)] if seconds else []
        subprocess.run(["ffmpeg", "-v", "error", *loop, "-i", SPEECH, *length, "-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le",
                        path], check=True, stdin=subprocess.DEVNULL)
    with wave.open(path) as f:
        return path, np.frombuffer(f.readframes(f.getnframes()), "<i2")


def split_jpegs(data):
    """A stream of JPEG files, cut where one ends and the next begins."""
    parts = data.split(b"\xff\xd9\xff\xd8")
    return [(b"\xff\xd8" if i else b"") + p + (b"\xff\xd9" if i + 1 < len(parts) else b"") for i, p in enumerate(parts)]


def lipsync_jpegs(avatar, wav, *args):
    return split_jpegs(works("lipsync", "--avatar", avatar, "--audio", wav, "--format", "mjpeg", "-o", "-", *args).stdout)


def frame_digests(path):
    """A digest of each decoded frame of a video."""
    out = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-f", "framemd5", "-"], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    return [line.split(",")[-1].strip() for line in out.splitlines() if not line.startswith("#")]


def render_requests(avatar, samples, piece=1600, f32=False, **options):
    """Requests of inlay.v1.Lipsync.Render."""
    pb = protos().lipsync
    sample_format = pb.RenderOptions.F32 if f32 else pb.RenderOptions.S16
    yield pb.RenderRequest(options=pb.RenderOptions(avatar=avatar, sample_format=sample_format, sample_rate=16000, **options))
    data = (samples / 32768).astype("<f4") if f32 else samples.astype("<i2")
    for i in range(0, len(data), piece):
        yield pb.RenderRequest(audio=data[i:i + piece].tobytes())


def tensor_request(avatar, frames, audio, **fields):
    """A ModelInferRequest of frame_index and audio as raw bytes."""
    pb = protos().kserve
    request = pb.ModelInferRequest(model_name=avatar, **fields)
    frames = np.asarray(frames, "<i4")
    request.inputs.add(name="frame_index", datatype="INT32", shape=frames.shape)
    request.inputs.add(name="audio", datatype="FP32", shape=audio.shape)
    request.raw_input_contents.append(frames.tobytes())
    request.raw_input_contents.append(audio.astype("<f4").tobytes())
    return request


def windows(n, seed=1):
    """Audio windows of the test pack's network."""
    return np.random.default_rng(seed).standard_normal((n, 32, 16, 16)).astype("<f4")


# ---- videos over HTTP ----

def form(fields, files):
    """A multipart form: body and its content type."""
    edge = "----inlay-test-edge"
    body = b""
    for name, value in fields.items():
        body += f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, path in files.items():
        with open(path, "rb") as f:
            body += (f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{os.path.basename(path)}"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n").encode() + f.read() + b"\r\n"
    return body + f"--{edge}--\r\n".encode(), "multipart/form-data; boundary=" + edge


def order_video(server, avatar, audio, status=None, headers=None, **fields):
    body, kind = form({"avatar": avatar, **fields}, {"audio": audio})
    found, _, text = server.request("POST", "/v1/videos", body, {"Content-Type": kind, **(headers or {})})
    assert found in ((status,) if status else (200, 201, 202)), (found, text[:500])
    return json.loads(text)


def wait_for_video(server, number, status="completed", seconds=120):
    until = time.time() + seconds
    while True:
        video = server.json("GET", "/v1/videos/" + urllib.parse.quote(number))
        if video["status"] in ("completed", "failed"):
            assert video["status"] == status, video
            return video
        assert time.time() < until, video
        time.sleep(0.1)


def eventually(check, seconds=20, what=""):
    """Waits until check() is true; an exception counts as false."""
    until = time.time() + seconds
    while True:
        try:
            if check():
                return
            fault = "not true"
        except Exception as e:
            fault = repr(e)
        assert time.time() < until, f"{what or check}: {fault}"
        time.sleep(0.1)
