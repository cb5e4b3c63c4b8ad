#!/usr/bin/python3
"""inlay lipsync, avatar and features, run as a user runs them, on a pack and networks that the tree makes itself."""
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import wave

import numpy as np

from program import (INLAY, MODELS, PACK, PRESENTER, SPEECH, data, digests, fails, folder_is_clean, lipsync, main, model,
                     probe, run, works)


def write_wav(path, samples, rate=16000):
    with wave.open(path, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def noise(seconds, rate=16000):
    """Something like speech: bursts of noise, three a second."""
    t = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.random.default_rng(1).standard_normal(len(t)) * (np.sin(2 * np.pi * 3 * t) > 0)


def copy_pack(scratch, **changes):
    """The test pack with keys of its avatar.json replaced (None removes one)."""
    folder = os.path.join(scratch, "pack")
    shutil.copytree(PACK, folder)
    path = os.path.join(folder, "avatar.json")
    with open(path) as f:
        manifest = json.load(f)
    for key in ("model", "audio_encoder"):
        manifest[key] = os.path.realpath(os.path.join(PACK, manifest[key]))
    manifest.update(changes)
    with open(path, "w") as f:
        json.dump({k: v for k, v in manifest.items() if v is not None}, f)
    return folder


# ---- what comes out ----

def containers(scratch):
    frames = len(digests(*lipsync()))
    audio = {"mp4": "aac", "mov": "pcm_s16le", "mkv": "pcm_s16le", "webm": "opus"}
    for extension, codec in audio.items():
        out = os.path.join(scratch, "talk." + extension)
        works(*lipsync("-o", out))
        found = probe(out)
        assert found["video"]["nb_read_frames"] == str(frames), (extension, found["video"]["nb_read_frames"], frames)
        assert (found["video"]["width"], found["video"]["height"]) == ("640", "480")
        assert found["video"]["r_frame_rate"] == "25/1", found["video"]["r_frame_rate"]
        assert found["audio"]["codec_name"] == codec, (extension, found["audio"]["codec_name"])
    folder_is_clean(scratch, *("talk." + e for e in audio))


def picture_sequences(scratch):
    for extension in ("jpg", "png"):
        works(*lipsync("-o", os.path.join(scratch, extension, f"%04d.{extension}"), "--frames", "7"))
        folder_is_clean(os.path.join(scratch, extension), *(f"{i:04d}.{extension}" for i in range(1, 8)))


def pipes(scratch):
    size = 640 * 480 * 3 // 2
    raw = works(*lipsync("-o", "-", "--format", "rawvideo", "--frames", "5")).stdout
    assert len(raw) == 5 * size
    y4m = works(*lipsync("-o", "-", "--format", "y4m", "--frames", "5")).stdout
    header, rest = y4m.split(b"\n", 1)
    assert header.startswith(b"YUV4MPEG2 W640 H480 F25:1"), header
    assert len(rest) == 5 * (size + len(b"FRAME\n"))
    assert rest[6:6 + size] == raw[:size]
    mjpeg = works(*lipsync("-o", "-", "--format", "mjpeg", "--frames", "5")).stdout
    assert mjpeg.count(b"\xff\xd8\xff") == 5 and mjpeg.endswith(b"\xff\xd9")
    assert works(*lipsync("--format", "null", "--frames", "5")).stdout == b""


def the_mouth_moves(scratch):
    """Against silence, speech changes pixels inside the rectangle and nowhere else."""
    with open(os.path.join(PACK, "avatar.json")) as f:
        rects = json.load(f)["rectangles"]
    zeros = os.path.join(scratch, "zeros.npy")
    np.save(zeros, np.zeros((10, 512), np.float32))

    def frames(*args):
        raw = works(*lipsync("-o", "-", "--format", "rawvideo", *args)).stdout
        return np.frombuffer(raw, np.uint8).reshape(-1, 720, 640)[:, :480].astype(int)

    still, talking = frames("--features", zeros), frames()
    assert len(still) == len(talking) > 50
    changed = np.abs(talking - still)
    for k, picture in enumerate(changed):
        x0, y0, x1, y1 = rects[k % len(rects)]
        picture[y0:y1, x0:x1] = 0
    assert changed.max() == 0, "pixels outside the rectangle changed"
    moved = np.abs(talking - still).max(axis=(1, 2)) > 40
    assert 0.3 < moved.mean(), f"the mouth moved in {moved.mean():.0%} of the frames"


# ---- the same bytes ----

def workers_and_batch_do_not_matter(scratch):
    reference = digests(*lipsync("--workers", "1", "--batch", "1"))
    assert len(set(reference)) > len(reference) // 2
    for workers, batch in ((4, 4), (2, 3), (1, 7), (8, 1)):
        assert digests(*lipsync("--workers", workers, "--batch", batch)) == reference, (workers, batch)


def instruction_sets_do_not_matter(scratch):
    assert digests(*lipsync("--cpu-mask", "none", "--frames", "20")) == digests(*lipsync("--frames", "20"))


def orders(scratch):
    """Silent features: each output frame depends on the avatar's frame alone."""
    n = 25
    np.save(os.path.join(scratch, "silence.npy"), np.zeros((80, 512), np.float32))
    pack = copy_pack(scratch, frames=n)
    with open(os.path.join(pack, "avatar.json")) as f:
        manifest = json.load(f)
    manifest["rectangles"] = manifest["rectangles"][:n]
    with open(os.path.join(pack, "avatar.json"), "w") as f:
        json.dump(manifest, f)

    def frames(*args):
        return digests("lipsync", "--avatar", pack, "--features", os.path.join(scratch, "silence.npy"), *args)

    loop = frames("--order", "loop")
    assert len(loop) == 80
    own = loop[:n]
    assert len(set(own)) == n
    assert loop == [own[k % n] for k in range(80)]
    assert frames("--order", "bounce") == [own[min(k % 48, 48 - k % 48)] for k in range(80)]
    assert frames("--order", "hold") == [own[min(k, n - 1)] for k in range(80)]
    assert frames("--order", "cut") == own
    assert frames("--order", "cut", "--fps", "37/2") == [own[k * 50 // 37] for k in range(19)]
    assert frames("--order", "cut", "--start-frame", "20") == own[20:]
    assert frames("--order", "loop", "--start-frame", "20", "--frames", "10") == [own[(20 + k) % n] for k in range(10)]
    assert frames("--order", "loop", "--fps", "50") == [own[k // 2 % n] for k in range(160)]
    assert frames("--order", "loop", "--fps", "12.5") == [own[2 * k % n] for k in range(40)]
    assert frames("--order", "loop", "--cache-mb", "1") == loop
    with open(os.path.join(pack, "avatar.json"), "w") as f:
        json.dump(dict(manifest, defaults={"order": "hold", "start_frame": 7}), f)
    assert frames("--frames", "20") == [own[min(7 + k, n - 1)] for k in range(20)]
    assert frames("--frames", "20", "--start-frame", "0", "--order", "loop") == own[:20]


def every_network_of_the_contract(scratch):
    zeros = os.path.join(scratch, "zeros.npy")
    np.save(zeros, np.zeros((10, 512), np.float32))
    untouched = digests("lipsync", "--avatar", PACK, "--features", zeros)[:6]  # the talker is quiet
    for name in ("lipsync_320", "lipsync_160", "lipsync_batch1", "lipsync_batch4"):
        drawn = digests(*lipsync("--model", model(name), "--frames", "6"))
        assert len(set(drawn)) == 6 and not set(drawn) & set(untouched), name
        assert digests(*lipsync("--model", model(name), "--frames", "6", "--workers", "3", "--batch", "4")) == drawn, name
    # A family with other features: rows of 2048 floats, 16 of them a window.
    features = os.path.join(scratch, "hubert.npy")
    np.save(features, np.random.default_rng(3).standard_normal((30, 2, 1024)).astype(np.float32))
    assert len(digests("lipsync", "--avatar", PACK, "--features", features, "--model", model("lipsync_hubert"))) == 30


def silence_is_drawn_once(scratch):
    speech, out = os.path.join(scratch, "pause.wav"), os.path.join(scratch, "stats.json")
    write_wav(speech, np.concatenate([noise(1), np.zeros(16000 * 4), noise(1)]))

    def drawn(*args):
        found = digests("lipsync", "--avatar", PACK, "--audio", speech, "--order", "hold", "--stats", out, *args)
        with open(out) as f:
            return found, json.load(f)["memo_hits"]

    remembered, hits = drawn()
    without, none = drawn("--no-memo")
    assert remembered == without
    assert hits > 30 and none == 0, (hits, none)
    assert drawn("--workers", "3", "--batch", "2")[0] == without


def demo_presenter(scratch):
    """--demo is the presenter of the data folder, and its own speech where there is none."""
    env = dict(os.environ, INLAY_DATA=os.path.dirname(PRESENTER))
    hello = os.path.join(PRESENTER, "hello.flac")

    def frames(*args):
        return works("lipsync", *args, "--format", "md5", "--frames", "4", env=env).stdout

    assert len(frames("--demo").splitlines()) == 4
    assert frames("--demo") == frames("--avatar", PRESENTER, "--audio", hello)
    assert frames("--demo", "--audio", SPEECH) == frames("--avatar", PRESENTER, "--audio", SPEECH)
    features = os.path.join(scratch, "f.npy")
    works("features", SPEECH, "--audio-encoder", os.path.join(PRESENTER, "presenter_audio_encoder.onnx"), "-o", features)
    assert frames("--demo", "--features", features) == frames("--demo", "--audio", SPEECH)
    assert PRESENTER in works("avatar", "info", "--demo", env=env).stdout.decode()
    assert "good" in works("avatar", "check", "--demo", env=env).stdout.decode()
    table = works("bench", "lipsync", "--demo", "--frames", "2", "--rounds", "1", "--sweep", "1x1", env=env).stdout
    assert b"best: 1 worker x batch 1" in table, table


def demo_refused(scratch):
    for command in (("lipsync", "-o", "x.mp4"), ("bench", "lipsync")):
        fails(*command, "--demo", "--avatar", PACK, says=["--demo", "--avatar"], status=2)
    fails("avatar", "info", "--demo", PACK, says=["--demo", PACK], status=2)
    fails("lipsync", "--demo", says="-o OUT", status=2)
    out = os.path.join(scratch, "talk.mp4")
    env = dict(os.environ, INLAY_DATA=os.path.join(scratch, "data"))
    for command in (("lipsync", "--demo", "-o", out), ("bench", "lipsync", "--demo"), ("avatar", "check", "--demo")):
        fails(*command, env=env, says=["presenter: not found in " + env["INLAY_DATA"], "INLAY_DATA"])
    os.makedirs(os.path.join(scratch, "data", "presenter"))
    fails("lipsync", "--demo", "-o", out, env=env, says="presenter/hello.flac: not found")
    fails("lipsync", "--demo", "--audio", SPEECH, "-o", out, env=env, says="not an avatar pack")
    folder_is_clean(scratch, "data")


# ---- figures ----

def statistics(scratch):
    path = os.path.join(scratch, "stats.json")
    works(*lipsync("--format", "null", "--frames", "30", "--stats", path))
    with open(path) as f:
        stats = json.load(f)
    assert stats["frames"] == 30
    for key in ("wall_s", "cpu_s", "fps", "peak_rss_bytes"):
        assert stats[key] > 0, key
    for stage in ("decode", "speech", "inference", "composite", "encode"):
        figures = stats["stages"][stage]
        assert figures["count"] == 30, (stage, figures)
        assert 0 <= figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"], (stage, figures)
        assert 0 < figures["mean_ms"] <= figures["max_ms"] * 1.001, (stage, figures)
    assert stats["versions"]["inlay"] and stats["versions"]["onnxruntime"] and stats["cpu"]


def long_speech_does_not_grow_memory(scratch):
    wav = os.path.join(scratch, "long.wav")
    write_wav(wav, noise(201))
    peak = {}
    for frames in (500, 5000):
        path = os.path.join(scratch, "stats.json")
        works("lipsync", "--avatar", PACK, "--audio", wav, "--format", "null", "--frames", frames, "--workers", 2,
              "--batch", 1, "--stats", path)
        with open(path) as f:
            stats = json.load(f)
        assert stats["frames"] == frames
        peak[frames] = stats["peak_rss_bytes"]
    assert peak[5000] <= 1.05 * peak[500], peak


def progress(scratch):
    assert "frames" not in run(*lipsync("--format", "null", "--frames", "9", "--progress", "never", "-q")).stderr
    wav = os.path.join(scratch, "long.wav")
    write_wav(wav, noise(40))
    args = ("lipsync", "--avatar", PACK, "--audio", wav, "--model", model("lipsync_320"), "--format", "null")
    live = works(*args, "--progress", "always").stderr
    assert "\r" in live and "fps" in live, live


def nothing_but_our_own_cache_is_left(scratch):
    """Libraries have been seen to leave device numbers and databases in the home folder, for reporting home."""
    home = dict(os.environ, HOME=scratch, XDG_CACHE_HOME=os.path.join(scratch, "cache"))
    works(*lipsync("--format", "null", "--frames", "5"), env=home)
    folder_is_clean(scratch)
    wav = os.path.join(scratch, "long.wav")
    write_wav(wav, noise(5))
    works("lipsync", "--avatar", PACK, "--audio", wav, "--format", "null", env=home)
    found = [os.path.relpath(os.path.join(folder, name), scratch) for folder, _, names in os.walk(scratch) for name in names]
    assert sorted(found) == ["cache/inlay/tuning.json", "long.wav"], found


# ---- looking into things ----

def avatar_commands(scratch):
    info = works("avatar", "info", PACK).stdout.decode()
    for text in ("640x480", "25 fps", "float32 [n,6,320,320]", "talker_encoder.onnx", "loop"):
        assert text in info, info
    assert "good" in works("avatar", "check", PACK).stdout.decode()
    pack = copy_pack(scratch)
    with open(os.path.join(pack, "avatar.json")) as f:
        manifest = json.load(f)
    manifest["rectangles"][3] = [600, 10, 700, 110]
    manifest["rectangles"][9] = [10, 10, 5, 110]
    with open(os.path.join(pack, "avatar.json"), "w") as f:
        json.dump(manifest, f)
    with open(os.path.join(pack, "frames", "000005.png"), "wb") as f:
        f.write(b"not a picture")
    check = run("avatar", "check", pack)
    text = check.stdout.decode()
    assert check.returncode == 1 and "3 faults" in text, text
    for part in ("frame 3", "frame 9", "000005.png", "640x480"):
        assert part in text, text


def features_command(scratch):
    mel, rows = os.path.join(scratch, "mel.npy"), os.path.join(scratch, "rows.npy")
    wav = os.path.join(scratch, "a.wav")
    write_wav(wav, noise(2))
    works("features", wav, "--mel", "-o", mel)
    array = np.load(mel)
    assert array.dtype == np.float32 and array.shape == (1 + 32000 // 200, 80), array.shape
    assert array.min() >= -4 and array.max() <= 4 and array.std() > 0.5
    works("features", wav, "--audio-encoder", model("talker_encoder"), "-o", rows)
    array = np.load(rows)
    assert array.dtype == np.float32 and array.shape == (int((161 - 16) * 25 / 80) + 4, 512), array.shape
    assert (array[0] == array[1]).all() and (array[-1] == array[-2]).all()
    args = ("lipsync", "--avatar", PACK, "--audio", wav)
    assert digests(*args, "--features", rows) == digests(*args)
    fails("features", wav, "--mel", "-o", mel, says=[mel, "-y"])


def help_texts(scratch):
    for command in ((), ("lipsync",), ("avatar",), ("features",), ("bench",)):
        text = works(*command, "--help").stdout.decode()
        assert "Usage: inlay" in text, text
    assert works("--version").stdout.startswith(b"inlay ")
    assert works("help", "lipsync").stdout == works("lipsync", "--help").stdout
    fails(says="Usage", status=2)
    fails("lipsink", says="lipsink", status=2)
    fails("lipsync", "--fps", "fast", says="--fps", status=2)
    fails("lipsync", "--avatar", PACK, "-o", "x.mp4", says="--audio", status=2)
    fails("lipsync", "--avatar", PACK, "--audio", SPEECH, says="-o OUT", status=2)
    fails(*lipsync("--order", "zigzag", "-o", "x.mp4"), says=["zigzag", "bounce, loop, hold, cut"], status=2)


# ---- what goes wrong ----

def bad_speech(scratch):
    out = os.path.join(scratch, "talk.mp4")

    def speech(path, says):
        fails("lipsync", "--avatar", PACK, "--audio", path, "-o", out, says=[os.path.basename(path), *says])

    path = os.path.join(scratch, "a.wav")
    speech(os.path.join(scratch, "absent.wav"), ["No such file"])
    write_wav(path, np.zeros(0))
    speech(path, [])
    write_wav(path, np.zeros(16000))
    speech(path, ["silent"])
    open(path, "wb").close()
    speech(path, [])
    with open(path, "wb") as f:
        f.write(b"These are words, but nobody said them.\n" * 40)
    speech(path, [])
    speech(scratch, [])
    speech(os.path.join(PACK, "frames", "000000.png"), ["audio"])
    folder_is_clean(scratch, "a.wav")


def bad_networks(scratch):
    out = os.path.join(scratch, "talk.mp4")
    garbage = os.path.join(scratch, "garbage.onnx")
    with open(garbage, "wb") as f:
        f.write(os.urandom(5000))
    truncated = os.path.join(scratch, "truncated.onnx")
    with open(model("talker"), "rb") as f, open(truncated, "wb") as g:
        g.write(f.read()[:-500])
    for path in (garbage, truncated, os.path.join(scratch, "absent.onnx"), scratch, SPEECH):
        fails(*lipsync("--model", path, "-o", out), says=os.path.basename(path))
    wrong = sorted(glob.glob(os.path.join(MODELS, "wrong_*.onnx")))
    assert len(wrong) >= 3, wrong
    for path in wrong:
        fails(*lipsync("--model", path, "-o", out), says=os.path.basename(path))
    for name in ("wrong_channels", "wrong_one_input", "wrong_float16", "wrong_output"):
        fails(*lipsync("--model", model(name), "-o", out), says=[name, "found", "expected"])
    fails(*lipsync("--model", model("talker_encoder"), "-o", out), says=["talker_encoder.onnx", "expected"])
    fails(*lipsync("--audio-encoder", model("talker"), "-o", out), says=["talker.onnx", "expected"])
    fails(*lipsync("--model", model("talker"), "--input-name", "nobody", "-o", out), says=["nobody", "input"])
    fails(*lipsync("--model", model("lipsync_hubert"), "-o", out), says=["lipsync_hubert.onnx", "rows of 512"])
    fails(*lipsync("--audio-encoder", model("talker_encoder"), "--features", "f.npy", "-o", out), says=["f.npy", "both"])
    folder_is_clean(scratch, "garbage.onnx", "truncated.onnx")


def bad_features(scratch):
    path = os.path.join(scratch, "f.npy")
    args = ("lipsync", "--avatar", PACK, "--features", path, "-o", os.path.join(scratch, "talk.mp4"))
    for array, says in ((np.zeros((20, 512), np.int16), "float32"), (np.zeros((20, 512), ">f4"), ">f4"),
                        (np.zeros((0, 512), np.float32), ""), (np.zeros(512, np.float32), ""),
                        (np.zeros((20, 500), np.float32), "500")):
        np.save(path, array)
        fails(*args, says=says)
    np.save(path, np.asfortranarray(np.random.default_rng(1).standard_normal((20, 512)).astype(np.float32)))
    fortran = digests(*args[:5])
    np.save(path, np.ascontiguousarray(np.load(path)))
    assert digests(*args[:5]) == fortran
    with open(path, "r+b") as f:
        f.truncate(3000)
    fails(*args, says="f.npy")
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY")
    fails(*args, says="f.npy")
    folder_is_clean(scratch, "f.npy")


def bad_packs(scratch):
    out = os.path.join(scratch, "talk.mp4")

    def pack(says, **changes):
        folder = copy_pack(scratch, **changes)
        fails("lipsync", "--avatar", folder, "--audio", SPEECH, "-o", out, says=says)
        return folder

    with open(os.path.join(PACK, "avatar.json")) as f:
        rects = json.load(f)["rectangles"]
    outside = [list(r) for r in rects]
    outside[17] = [532, 210, 1714, 392]
    for says, changes in ((["frame 17", "[532,210,1714,392]", "640x480"], dict(rectangles=outside)),
                          (["frame 10"], dict(rectangles=rects[:10])),
                          (["sauce"], dict(sauce="x.mp4", source=None)),
                          (["source"], dict(source="frames/%s.png")),
                          (["source"], dict(source="frames/%d%d.png")),
                          (["absent.mp4"], dict(source="absent.mp4")),
                          (["order"], dict(defaults={"order": "zigzag"})),
                          (["model"], dict(model=None))):
        shutil.rmtree(pack(says, **changes))
    folder = copy_pack(scratch)
    os.unlink(os.path.join(folder, "frames", "000013.png"))
    fails("lipsync", "--avatar", folder, "--audio", SPEECH, "-o", out, says="000013.png")
    with open(os.path.join(folder, "avatar.json"), "w") as f:
        f.write('{"inlay_avatar": 1, "source": ')
    fails("lipsync", "--avatar", folder, "--audio", SPEECH, "-o", out, says=["avatar.json", "line"])
    fails("lipsync", "--avatar", scratch, "--audio", SPEECH, "-o", out, says="avatar.json")
    fails("lipsync", "--avatar", "/nowhere", "--audio", SPEECH, "-o", out, says="/nowhere")
    folder_is_clean(scratch, "pack")


def bad_outputs(scratch):
    out = os.path.join(scratch, "talk.mp4")
    with open(out, "w") as f:
        f.write("mine")
    fails(*lipsync("-o", out), says=["talk.mp4", "-y"])
    with open(out) as f:
        assert f.read() == "mine"
    fails(*lipsync("-o", os.path.join(scratch, "absent", "talk.mp4")), says="absent")
    fails(*lipsync("-o", os.path.join(scratch, "talk.avi")), says=["avi", "mp4"])
    fails(*lipsync("-o", os.path.join(scratch, "talk")), says="--format")
    fails(*lipsync("-o", os.path.join(scratch, "%s.jpg")), says="%")
    fails(*lipsync("-o", os.path.join(scratch, "n.mp4"), "--codec", "h266"), says="h266")
    fails(*lipsync("-o", "/proc/talk.mp4"), says="/proc/talk.mp4")
    fails(*lipsync("--format", "null", "--stats", os.path.join(scratch, "absent", "s.json")), says="absent")
    fails(*lipsync("--format", "null", "--stats", "/dev/null"), says="device")
    speech = os.path.join(scratch, "speech.wav")
    shutil.copy(SPEECH, speech)
    fails("lipsync", "--avatar", PACK, "--audio", speech, "--format", "mp4", "-y", "-o", speech, says="is read by this job")
    fails("features", speech, "--mel", "-y", "-o", speech, says="cannot be the output too")
    with open(speech, "rb") as f, open(SPEECH, "rb") as g:
        assert f.read() == g.read()
    os.unlink(speech)
    folder_is_clean(scratch, "talk.mp4")
    works(*lipsync("-o", out, "-y", "--frames", "5"))
    assert os.path.getsize(out) > 1000


def full_disk(scratch):
    """A small file system where one may be mounted, else a limit on the size of files: the same failing writes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", scratch], stderr=subprocess.DEVNULL).returncode == 0
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    try:
        for name in ("talk.mp4", "talk.mkv", "talk.y4m", "%04d.png"):
            done = fails(*lipsync("-o", os.path.join(scratch, name)), says=os.path.basename(name).split(".")[-1], preexec_fn=limit)
            assert "No space left" in done.stderr or "File too large" in done.stderr, done.stderr
            folder_is_clean(scratch)
    finally:
        if mounted:
            subprocess.run(["umount", scratch], check=True)


def closed_pipe(scratch):
    job = subprocess.Popen([INLAY, *lipsync("-o", "-", "--format", "rawvideo")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    job.stdout.read(1000)
    job.stdout.close()
    text = job.stderr.read().decode()
    assert job.wait(60) == 1 and "Broken pipe" in text, text


def interrupt_reaches_a_stalled_pipe(scratch):
    job = subprocess.Popen([INLAY, *lipsync("-o", "-", "--format", "rawvideo")], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    time.sleep(1.5)
    job.send_signal(signal.SIGINT)
    assert job.wait(20) == 130, job.returncode
    job.stdout.close()


def interrupts(scratch):
    wav = os.path.join(scratch, "long.wav")
    write_wav(wav, noise(600))
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = os.path.join(scratch, "talk.mp4")
        job = subprocess.Popen([INLAY, "lipsync", "--avatar", PACK, "--audio", wav, "-o", out], stderr=subprocess.PIPE)
        deadline = time.time() + 60
        while not os.path.exists(out + ".part") and time.time() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        job.send_signal(number)
        text = job.stderr.read().decode()
        assert job.wait(60) == status, (job.returncode, text)
        folder_is_clean(scratch, "long.wav")


if __name__ == "__main__":
    tests = [containers, picture_sequences, pipes, the_mouth_moves, workers_and_batch_do_not_matter,
             instruction_sets_do_not_matter, orders, every_network_of_the_contract, silence_is_drawn_once,
             demo_presenter, demo_refused, statistics, nothing_but_our_own_cache_is_left, progress, avatar_commands, features_command,
             help_texts, bad_speech, bad_networks, bad_features, bad_packs, bad_outputs, full_disk, closed_pipe,
             interrupt_reaches_a_stalled_pipe, interrupts]
    # Sanitizers keep books of their own in memory, which grow.
    if os.environ["INLAY_TEST_SANITIZERS"] == "none":
        tests.append(long_speech_does_not_grow_memory)
    sys.exit(main(tests))
