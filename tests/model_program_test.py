#!/usr/bin/python3
"""inlay model, run as a user runs it, on small networks that the tree makes itself."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np

from program import data, fails, folder_is_clean, main, model, run, works

WIDTH, HEIGHT = 20, 16  # of the networks' pictures


def write_picture(path, pixels):
    """An RGB picture [h,w,3] as PPM, or what else the name says."""
    height, width = pixels.shape[:2]
    raw = b"P6 %d %d 255\n" % (width, height) + pixels.astype(np.uint8).tobytes()
    if path.endswith(".ppm"):
        with open(path, "wb") as f:
            f.write(raw)
    else:
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "ppm_pipe", "-i", "-", path], input=raw, check=True)
    return path


def read_gray(path, width=WIDTH, height=HEIGHT):
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"], check=True,
                         stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width)


def picture(scratch, width=WIDTH, height=HEIGHT):
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3))
    return pixels, write_picture(os.path.join(scratch, "in.png"), pixels)


def logit(rgb):
    """What tools/make_test_models.py's person() computes."""
    return (2.0 * rgb[..., 0] - rgb[..., 1] + 0.5 * rgb[..., 2]) / 255 - 0.5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def write_manifest(scratch, **keys):
    path = os.path.join(scratch, "m.json")
    with open(path, "w") as f:
        json.dump({"inlay_model": 1, **keys}, f)
    return path


# ---- what comes out ----

def outputs_are_what_the_network_gives(scratch):
    rgb, png = picture(scratch)
    out, gray = os.path.join(scratch, "out.npy"), os.path.join(scratch, "matte.png")
    x = logit(rgb)
    for name, expected, matte in (
            ("matte_sigmoid", sigmoid(x)[None, None], sigmoid(x)),
            ("matte_logit", x[None, None], sigmoid(x)),
            ("matte_two_logits", np.stack([-x, x], -1)[None], sigmoid(2 * x)),
            ("matte_bytes", 255 * sigmoid(x)[None], sigmoid(x)),
            ("matte_uint8", sigmoid(x)[None, ..., None], sigmoid(x)),
            ("matte_uint8_planar", sigmoid(x)[None, None], sigmoid(x)),
            ("matte_recurrent", rgb.mean(2)[None, None] / 510, rgb.mean(2) / 510)):
        works("model", "run", model(name), "--image", png, "-o", out, "--matte", gray, "-y")
        found = np.load(out)
        assert found.dtype == np.float32 and found.shape == expected.shape, (name, found.shape, expected.shape)
        assert np.abs(found - expected).max() < 1e-4, name
        assert np.abs(read_gray(gray) - 255 * matte).max() < 0.51, name
    works("model", "run", model("matte_logit"), "--image", png, "--matte", gray, "--kind", "depth", "-y")
    shown = read_gray(gray)
    assert np.abs(shown - 255 * (x - x.min()) / (x.max() - x.min())).max() < 0.51
    folder_is_clean(scratch, "in.png", "out.npy", "matte.png")


def manifests_decide(scratch):
    rgb, png = picture(scratch)
    out, gray = os.path.join(scratch, "out.npy"), os.path.join(scratch, "matte.png")
    manifest = write_manifest(scratch, color="bgr", mean=[0.1, 0.2, 0.3], std=0.5, channel=3, activation="sigmoid",
                              invert=True)
    works("model", "run", model("matte_six_logits"), "--image", png, "-o", out, "--matte", gray, "--manifest", manifest)
    seen = 255 * (rgb[..., ::-1] / 255 - [0.1, 0.2, 0.3]) / 0.5
    found = np.load(out)
    assert found.shape == (1, 6, HEIGHT, WIDTH)
    assert np.abs(found[0, 3] - 2 * logit(seen)).max() < 1e-4
    assert np.abs(read_gray(gray) - 255 * (1 - sigmoid(2 * logit(seen)))).max() < 0.51


def a_written_manifest_says_the_same(scratch):
    rgb, png = picture(scratch)
    written, again = os.path.join(scratch, "w.json"), os.path.join(scratch, "w2.json")
    one, two = os.path.join(scratch, "1.png"), os.path.join(scratch, "2.png")
    for name in ("matte_two_logits", "matte_bytes", "matte_recurrent_free", "matte_uint8", "matte_logit"):
        said = works("model", "run", model(name), "--image", png, "--matte", one, "--write-manifest", written,
                     "--size", "20x16", "-y").stderr
        with open(written) as f:
            keys = json.load(f)
        assert keys["inlay_model"] == 1 and keys["size"] == [20, 16] and keys["activation"], keys
        said += works("model", "run", model(name), "--image", png, "--matte", two, "--manifest", written,
                      "--write-manifest", again, "-y").stderr
        assert f"stated in {written}: kind matte" in said, said
        with open(one, "rb") as f, open(two, "rb") as g:
            assert f.read() == g.read(), name
        with open(written) as f, open(again) as g:
            assert f.read() == g.read(), name


def a_manifest_beside_the_model_is_found(scratch):
    shutil.copy(model("matte_six_logits"), os.path.join(scratch, "six.onnx"))
    fails("model", "info", os.path.join(scratch, "six.onnx"), "--kind", "depth",
          says=["six.onnx", "no output is a matte", "channel"])
    os.rename(write_manifest(scratch, channel=2, activation="sigmoid"), os.path.join(scratch, "six.json"))
    text = works("model", "info", os.path.join(scratch, "six.onnx")).stdout.decode()
    assert "six.json: activation sigmoid, channel 2; from the tensors: layout nchw" in text, text


def pictures_are_scaled(scratch):
    """A picture of one colour is the same at any size."""
    out, png = os.path.join(scratch, "out.npy"), os.path.join(scratch, "in.png")
    for width, height in ((1, 1), (7, 3), (333, 1), (640, 481)):
        write_picture(png, np.full((height, width, 3), (200, 100, 50)))
        works("model", "run", model("matte_logit"), "--image", png, "-o", out, "-y")
        assert np.abs(np.load(out) - logit(np.array([200, 100, 50]))).max() < 1e-5
    works("model", "run", model("matte_free_size"), "--image", png, "-o", out, "-y", "--size", "33x5")
    assert np.load(out).shape == (1, 1, 5, 33)


def instruction_sets_and_threads_do_not_matter(scratch):
    _, png = picture(scratch, 64, 48)
    results = []
    for options in ((), ("--cpu-mask", "none"), ("--threads", "2")):
        path = os.path.join(scratch, "m.png")
        works("model", "run", model("matte_two_logits"), "--image", png, "--matte", path, "-y", *options)
        with open(path, "rb") as f:
            results.append(f.read())
    assert results[0] == results[1] == results[2]


def golden_outputs(scratch):
    """The real networks: what an independent interpreter computed, through the program."""
    out = os.path.join(scratch, "out.npy")
    with open(data("golden/golden.json")) as f:
        cases = json.load(f)["cases"]
    checked = 0
    for case in cases:
        if not case["model"].startswith("models/matting/") or not isinstance(case["stored"], str):
            continue
        works("model", "run", data(case["model"]), "--image", data(case["input"]), "-o", out, "-y")
        found, want = np.load(out), np.load(data(case["stored"]))
        assert list(found.shape) == case["output_shape"], case["model"]
        while found.ndim > want.ndim:
            found = found[-1 if found.ndim == 3 and found.shape[0] == 2 else 0] if found.shape[-1] != 1 else found[..., 0]
        assert np.abs(found - want).max() < 1e-3, (case["model"], np.abs(found - want).max())
        checked += 1
    assert checked == 7, checked
    works("model", "run", data("models/matting/rvm_mobilenetv3_192x320_dq.onnx"), "--image",
          data("golden/astronaut_320x192.png"), "-o", out, "-y")
    assert np.abs(np.load(out)[0, 0] - np.load(data("golden/rvm_192x320.step0_pha.npy"))).max() < 1e-3


def info_says_what_is_known(scratch):
    text = works("model", "info", model("matte_two_logits")).stdout.decode()
    for part in ("image float32 [1,16,20,3]", "mask float32 [1,16,20,2]", "picture   20x16", "no manifest",
                 "from the tensors: layout nhwc", "assumed: kind matte, color rgb", "the first picture will tell"):
        assert part in text, (part, text)
    manifest = json.loads(text[text.index("{\n"):])
    assert manifest["layout"] == "nhwc" and "activation" not in manifest, manifest
    _, png = picture(scratch)
    text = works("model", "info", model("matte_two_logits"), "--image", png).stdout.decode()
    assert "from the first picture: activation softmax" in text, text
    assert json.loads(text[text.index("{\n"):])["activation"] == "softmax"
    text = works("model", "info", model("matte_recurrent")).stdout.decode()
    assert "recurrent, with foreground" in text and "built in (Robust Video Matting)" in text, text


# ---- what goes wrong ----

def wrong_models(scratch):
    _, png = picture(scratch)
    out = os.path.join(scratch, "out.npy")
    truncated, garbage = os.path.join(scratch, "truncated.onnx"), os.path.join(scratch, "garbage.onnx")
    with open(model("matte_sigmoid"), "rb") as f, open(truncated, "wb") as g:
        g.write(f.read()[:-60])
    with open(garbage, "wb") as f:
        f.write(os.urandom(3000))
    for path in (truncated, garbage, png, scratch, os.path.join(scratch, "absent.onnx")):
        fails("model", "run", path, "--image", png, "-o", out, says=os.path.basename(path))
    for name in ("gray", "batch", "output", "float16", "classes", "axes"):
        fails("model", "run", model("wrong_matte_" + name), "--image", png, "-o", out,
              says=[f"wrong_matte_{name}.onnx", "expected", "found", "image"])
    fails("model", "info", model("talker"), "--image", png,
          says=["talker.onnx", "expected", "found inputs: input float32 [n,6,320,320]"])
    fails("model", "info", model("matte_recurrent_odd"), "--size", "20x16",
          says=["input past is not the picture", "states"])
    for path in (truncated, garbage, png, scratch, os.path.join(scratch, "absent.onnx")):
        fails("model", "info", path, says=os.path.basename(path))
    folder_is_clean(scratch, "in.png", "truncated.onnx", "garbage.onnx")


def wrong_manifests(scratch):
    _, png = picture(scratch)
    out = os.path.join(scratch, "out.npy")

    def manifest(says, **keys):
        path = write_manifest(scratch, **keys)
        fails("model", "run", model("matte_sigmoid"), "--image", png, "-o", out, "--manifest", path, says=says)

    manifest(["m.json", 'unknown key "colour"', "color"], colour="rgb")
    manifest(["m.json", "layout", "nchw, nhwc"], layout="chw")
    manifest(["m.json", "mean", "a number, or a list of three"], mean="0.5")
    manifest(["matte_sigmoid.onnx", "size", "20x16"], size=[16, 20])
    manifest(["matte_sigmoid.onnx", "output", "alpha", "mask"], output="alpha")
    manifest(["m.json", "inlay_model is 2"], inlay_model=2)
    path = os.path.join(scratch, "m.json")
    for text in ("", "{", "null", '{"inlay_model": 1} x', "\x00\xff" * 40):
        with open(path, "w") as f:
            f.write(text)
        fails("model", "run", model("matte_sigmoid"), "--image", png, "-o", out, "--manifest", path, says="m.json")
    for name in (scratch, os.path.join(scratch, "absent.json")):
        fails("model", "info", model("matte_sigmoid"), "--manifest", name, says=name)
    folder_is_clean(scratch, "in.png", "m.json")


def wrong_pictures_and_outputs(scratch):
    _, png = picture(scratch)
    out, text = os.path.join(scratch, "out.npy"), os.path.join(scratch, "text.png")
    with open(text, "w") as f:
        f.write("not a picture\n" * 20)
    cut = os.path.join(scratch, "cut.png")
    with open(png, "rb") as f, open(cut, "wb") as g:
        g.write(f.read()[:30])
    for path in (text, cut, scratch, os.path.join(scratch, "absent.png")):
        fails("model", "run", model("matte_sigmoid"), "--image", path, "-o", out, says=os.path.basename(path))
    args = ("model", "run", model("matte_sigmoid"), "--image", png)
    fails(*args, "-o", os.path.join(scratch, "absent", "o.npy"), says="absent")
    with open(out, "w") as f:
        f.write("mine")
    fails(*args, "-o", out, says=["out.npy", "-y"])
    fails(*args, "--matte", png, "-y", says=["in.png", "is read"])
    fails(*args, "-o", out, "--write-manifest", out, "-y", says=["out.npy", "two options"])
    with open(out) as f:
        assert f.read() == "mine"
    folder_is_clean(scratch, "in.png", "text.png", "cut.png", "out.npy")


def wrong_command_lines(scratch):
    path = model("matte_sigmoid")
    fails("model", says="run MODEL", status=2)
    fails("model", "look", path, says="run MODEL", status=2)
    fails("model", "run", says="which model?", status=2)
    fails("model", "run", path, says="--image", status=2)
    fails("model", "run", path, "--image", "a.png", says="-o FILE.npy", status=2)
    fails("model", "run", path, "--image", "a.png", "--matte", "a.jpg", says=[".png", "a.jpg"], status=2)
    fails("model", "info", path, "-o", "a.npy", says="run", status=2)
    fails("model", "info", path, "--size", "20", says=["--size", "WIDTHxHEIGHT"], status=2)
    fails("model", "info", path, "--kind", "mask", says="matte, depth", status=2)
    fails("model", "info", path, path, says="too many", status=2)
    text = works("model", "--help").stdout.decode()
    assert "Usage: inlay model" in text and "--write-manifest" in text, text
    assert "model" in run("--help").stdout.decode()


if __name__ == "__main__":
    sys.exit(main([outputs_are_what_the_network_gives, manifests_decide, a_written_manifest_says_the_same,
                   a_manifest_beside_the_model_is_found, pictures_are_scaled,
                   instruction_sets_and_threads_do_not_matter, golden_outputs, info_says_what_is_known, wrong_models,
                   wrong_manifests, wrong_pictures_and_outputs, wrong_command_lines]))
