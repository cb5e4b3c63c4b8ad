#!/usr/bin/python3
"""inlay avatar compile, and drawing from what it made, on a small pack and networks that the tree makes itself."""
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from program import INLAY, PACK, PRESENTER, fails, folder_is_clean, main, model, run, works

WIDTH, HEIGHT = 640, 480
FRAME = WIDTH * HEIGHT * 3 // 2


def features(scratch, rows=60):
    path = os.path.join(scratch, "features.npy")
    np.save(path, np.random.default_rng(3).standard_normal((rows, 32)).astype(np.float32))
    return path


def compile_pack(scratch, *args, name="a.inlay", network="unet_align"):
    out = os.path.join(scratch, name)
    return out, works("avatar", "compile", PACK, "--model", model(network), "-o", out, *args).stderr


def draw(avatar, scratch, *args, frames=25):
    raw = works("lipsync", "--avatar", avatar, "--features", features(scratch), "--frames", frames, "-o", "-",
                "--format", "rawvideo", "--no-memo", *args).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, FRAME).astype(np.int16)


def pictures(avatar, scratch, folder, *args):
    out = os.path.join(scratch, folder)
    works("lipsync", "--avatar", avatar, "--features", features(scratch), "--frames", 12, "-o",
          os.path.join(out, "%d.jpg"), *args)
    found = []
    for i in range(1, 13):
        with open(os.path.join(out, f"{i}.jpg"), "rb") as f:
            found.append(f.read())
    return found


def decoded(jpegs):
    import cv2
    return np.stack([cv2.imdecode(np.frombuffer(j, np.uint8), cv2.IMREAD_COLOR) for j in jpegs]).astype(np.int16)


# ---- what comes out ----

def the_same_pictures_within_a_level(scratch):
    for network in ("unet_align", "unet_half"):
        expected = draw(PACK, scratch, "--model", model(network))
        for i, budget in enumerate((0, 1, 40)):
            out, text = compile_pack(scratch, "--budget-mb", budget, name=f"{network}{i}.inlay", network=network)
            found = draw(out, scratch)
            assert found.shape == expected.shape
            assert abs(found - expected).max() <= 1, (network, budget, abs(found - expected).max())
            assert ("3 tensors stored" in text) == (budget > 0), text


def jpegs_are_spliced(scratch):
    """JPEGs with restart markers that decode to what the pack gives; that they are what a full encode gives, byte for
    byte, is the business of jpeg_splice_test.c."""
    out, _ = compile_pack(scratch, "--budget-mb", 0, "--jpeg-quality", 80)
    whole = decoded(pictures(PACK, scratch, "pack", "--model", model("unet_align"), "--quality", 80))
    spliced = pictures(out, scratch, "spliced")
    assert abs(decoded(spliced) - whole).max() <= 8 and abs(decoded(spliced) - whole).mean() < 0.02
    for jpeg in spliced:
        assert b"\xff\xdd\x00\x04" in jpeg
    mjpeg = works("lipsync", "--avatar", out, "--features", features(scratch), "--frames", 12, "-o", "-", "--format",
                  "mjpeg").stdout
    assert mjpeg == b"".join(spliced)
    other = pictures(out, scratch, "other", "--quality", 60)
    assert b"\xff\xdd\x00\x04" not in other[0] and len(other[0]) < len(spliced[0])


def without_planes_there_are_jpegs_alone(scratch):
    full, _ = compile_pack(scratch)
    out, _ = compile_pack(scratch, "--no-planes", name="b.inlay")
    size = {name: os.path.getsize(os.path.join(name, "frames.safetensors")) for name in (full, out)}
    assert size[out] < 0.7 * size[full], size
    assert pictures(out, scratch, "a") == pictures(full, scratch, "b")
    fails("lipsync", "--avatar", out, "--features", features(scratch), "-o", os.path.join(scratch, "x.mp4"),
          says=["b.inlay", "--no-planes", "quality 90"])
    fails("lipsync", "--avatar", out, "--features", features(scratch), "-o", os.path.join(scratch, "q", "%d.jpg"),
          "--quality", 60, says=["b.inlay", "quality 90"])


def workers_do_not_matter(scratch):
    out, _ = compile_pack(scratch)
    one = pictures(out, scratch, "one", "--workers", 1)
    assert pictures(out, scratch, "three", "--workers", 3, "--threads", 3) == one


def standard_operators_draw_the_same(scratch):
    out, _ = compile_pack(scratch, "--standard")
    import onnx
    network = onnx.load(os.path.join(out, "network.onnx"))
    assert all(node.domain == "" for node in network.graph.node)
    onnx.checker.check_model(network)
    assert abs(draw(out, scratch) - draw(PACK, scratch, "--model", model("unet_align"))).max() <= 1


def the_presenter_speaks(scratch):
    out = os.path.join(scratch, "p.inlay")
    text = works("avatar", "compile", "--demo", "-o", out, "--frames", 30).stderr
    assert "fused blocks" in text, text
    a = works("lipsync", "--demo", "-o", "-", "--format", "rawvideo", "--frames", 30).stdout
    hello = os.path.join(PRESENTER, "hello.flac")
    b = works("lipsync", "--avatar", out, "--audio", hello, "-o", "-", "--format", "rawvideo", "--frames", 30).stdout
    difference = np.frombuffer(a, np.uint8).astype(np.int16) - np.frombuffer(b, np.uint8)
    assert len(a) == len(b) and abs(difference).max() <= 2, abs(difference).max()


def parsing_masks_come_along(scratch):
    import cv2
    masks = os.path.join(scratch, "masks")
    os.makedirs(masks)
    for i in range(75):
        mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        mask[::2, :, 2] = 255
        cv2.imwrite(os.path.join(masks, f"{i}.png"), mask)
    out, _ = compile_pack(scratch, "--parsing", masks)
    expected = draw(PACK, scratch, "--model", model("unet_align"), "--parsing", masks, frames=20)
    assert abs(draw(out, scratch, frames=20) - expected).max() <= 1


def info_and_check(scratch):
    out, _ = compile_pack(scratch, name="b.inlay")
    text = works("avatar", "info", os.path.join(out, "avatar.json")).stdout.decode()
    for part in ("compiled avatar", "stored", "JPEG           quality 90", "3 tensors computed beforehand"):
        assert part in text, (part, text)
    done = run("avatar", "check", out)  # that network takes other features than the pack's encoder gives
    assert done.returncode == 1 and b"belong to another network" in done.stdout, done.stdout
    out, _ = compile_pack(scratch, network="talker")
    assert works("avatar", "check", out).stdout.decode() == f"{out}: good\n"
    path = os.path.join(out, "frames.safetensors")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    done = run("avatar", "check", out)
    assert done.returncode == 1 and b"1 fault" in done.stdout and b"frames.safetensors" in done.stdout, done.stdout


# ---- stopping and going on ----

def a_stopped_run_goes_on(scratch):
    """Killed somewhere, and then with either journal cut back further, as a crash of the machine leaves them."""
    whole = os.path.join(scratch, "whole.inlay")
    works("avatar", "compile", "--demo", "-o", whole, "--frames", 60)
    out, part = os.path.join(scratch, "b.inlay"), os.path.join(scratch, "b.inlay.part")
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        job = subprocess.Popen([INLAY, "avatar", "compile", "--demo", "-o", out, "--frames", "60"], stderr=subprocess.PIPE)
        journal = os.path.join(part, "hoisted.safetensors.journal")
        seen = os.path.getsize(journal) if os.path.exists(journal) else 0
        while job.poll() is None and (not os.path.exists(journal) or os.path.getsize(journal) < seen + 3000):
            time.sleep(0.001)
        job.send_signal(number)
        text = job.stderr.read().decode()
        assert job.wait(60) in (-signal.SIGKILL, 130, 143), (job.returncode, text)
        assert not os.path.exists(out) and os.path.exists(part)
        fails("avatar", "info", part, says="compiling has not ended")
        assert number == signal.SIGKILL or "going on from frame" in text, text
    for store, lines in (("frames", 1), ("frames", 2), ("hoisted", 1), ("hoisted", 4), ("hoisted", 0)):
        again = os.path.join(scratch, f"{store}{lines}.inlay")
        shutil.copytree(part, again + ".part")
        journal = os.path.join(again + ".part", store + ".safetensors.journal")
        with open(journal, "rb") as f:
            kept = f.read().splitlines(keepends=True)
        with open(journal, "wb") as f:
            f.writelines(kept[:len(kept) - lines])
        text = works("avatar", "compile", "--demo", "-o", again, "--frames", 60).stderr
        assert "going on from frame" in text, text
        for name in ("frames.safetensors", "hoisted.safetensors", "network.onnx"):
            with open(os.path.join(whole, name), "rb") as a, open(os.path.join(again, name), "rb") as b:
                assert a.read() == b.read(), (store, lines, name)
        shutil.rmtree(again)


# ---- what is refused ----

def stale_avatars_are_refused(scratch):
    pack = os.path.join(scratch, "pack")
    shutil.copytree(PACK, pack)
    shutil.copytree(os.path.dirname(model("talker")), os.path.join(scratch, "models"))
    network = os.path.join(scratch, "net.onnx")
    shutil.copy(model("unet_align"), network)
    out = os.path.join(scratch, "a.inlay")
    works("avatar", "compile", pack, "--model", network, "-o", out, "--frames", 5)
    os.utime(network)  # touched, not changed
    works("avatar", "info", out)
    shutil.copy(model("unet_half"), network)
    fails("avatar", "info", out, says=["a.inlay", "net.onnx", "compile"])
    os.remove(network)  # moved to another machine
    works("avatar", "info", out)


def bad_input(scratch):
    out = os.path.join(scratch, "x.inlay")
    fails("avatar", "compile", PACK, says="-o NAME.inlay", status=2)
    fails("avatar", "compile", "-o", out, says="which pack", status=2)
    fails("avatar", "compile", PACK, "-o", os.path.join(scratch, "x.mp4"), says="ends in .inlay")
    fails("avatar", "compile", os.path.join(scratch, "none"), "-o", out, says="no such file")
    fails("avatar", "compile", PACK, "--model", model("wrong_rank"), "-o", out, says="wrong_rank.onnx")
    fails("avatar", "compile", PACK, "--model", model("lipsync_batch4"), "-o", out, says="4 frames at once")
    fails("avatar", "compile", PACK, "-o", os.path.join(scratch, "none", "x.inlay"), says="none")
    fails("avatar", "compile", PACK, "-o", out, "--budget-mb", "x", says="--budget-mb", status=2)
    fails("avatar", "compile", PACK, "--audio-encoder", os.path.join(PACK, "avatar.json"), "-o", out, says="avatar.json")
    folder_is_clean(scratch)
    made, _ = compile_pack(scratch)
    fails("avatar", "compile", PACK, "--model", model("unet_align"), "-o", made, says=["exists", "-y"])
    fails("avatar", "compile", made, "-o", out, says="compiled already")
    works("avatar", "compile", PACK, "--model", model("unet_align"), "-o", made + "/", "-y")
    alone = ("--features", features(scratch), "--format", "null")
    fails("lipsync", "--avatar", PACK, "--model", os.path.join(made, "network.onnx"), *alone, says="weights of a fused")
    standard, _ = compile_pack(scratch, "--standard", name="s.inlay")
    fails("lipsync", "--avatar", PACK, "--model", os.path.join(standard, "network.onnx"), *alone,
          says="computed beforehand")
    fails("lipsync", "--avatar", made, "--interp", "cubic", "--features", features(scratch), "--format", "null",
          says="--interp")
    with open(os.path.join(made, "avatar.json"), "r+") as f:
        f.truncate(100)
    fails("avatar", "info", made, says="avatar.json")


def help_text(scratch):
    text = works("avatar", "compile", "--help").stdout.decode()
    for part in ("--budget-mb", "--jpeg-quality", "-o, --output", "NAME.inlay.part"):
        assert part in text, part


if __name__ == "__main__":
    tests = [the_same_pictures_within_a_level, jpegs_are_spliced, without_planes_there_are_jpegs_alone,
             workers_do_not_matter, standard_operators_draw_the_same, parsing_masks_come_along, info_and_check,
             stale_avatars_are_refused, bad_input, help_text]
    # Drawing by ONNX Runtime's own threads is misread as races; kernel/block and the jobs' tests look at ours.
    if "thread" in os.environ["INLAY_TEST_SANITIZERS"]:
        tests = [info_and_check, stale_avatars_are_refused, help_text]
    # Minutes under a sanitizer, where unit tests do the same in small.
    if os.environ["INLAY_TEST_SANITIZERS"] == "none":
        tests += [the_presenter_speaks, a_stopped_run_goes_on]
    sys.exit(main(tests))
