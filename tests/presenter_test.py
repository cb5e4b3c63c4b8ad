#!/usr/bin/python3
"""The presenter: its drawing, the mouth that goes with phonemes, and how well the networks in models/presenter speak."""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np

from program import PRESENTER, ROOT, main, works

sys.dont_write_bytecode = True
TOOLS = os.path.join(ROOT, "tools")
sys.path[:0] = [os.path.join(TOOLS, "presenter"), os.path.join(TOOLS, "train")]
import corpus  # noqa: E402
import data  # noqa: E402
import face  # noqa: E402
from speech import Phoneme, Speaker  # noqa: E402
from viseme import VISEMES, movement, viseme  # noqa: E402


def program(folder, name):
    """A program of ours without .py behind its name, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(TOOLS, folder, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def tool(*args):
    done = subprocess.run(("/usr/bin/python3",) + args, cwd=TOOLS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=500, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    return done.stdout


def drawing_keeps_its_promises(_):
    """What moves stays inside the rectangle, a box is the part of the whole, and a shut mouth shows nothing inside."""
    tool("presenter/face.py", "--check")


def loop_has_no_seam(_):
    frames = [face.draw(i).astype(int) for i in (0, 1, face.FRAMES - 1)]
    inside, across = np.abs(frames[0] - frames[1]).mean(), np.abs(frames[0] - frames[2]).mean()
    assert 0 < across < 1.5 * inside, (inside, across)


def the_mouth_follows_phonemes(_):
    """A lip sound shuts the lips between two vowels, a pause keeps them shut, 'oo' rounds them and 'ee' spreads them."""
    track = movement([Phoneme(0.0, "_"), Phoneme(0.4, "A:"), Phoneme(0.7, "m"), Phoneme(0.8, "A:"),
                      Phoneme(1.1, "_:")], 1.6)
    opening = track[:, 0]
    assert (opening[:9] < 0.02).all() and (opening[28:] < 0.02).all(), opening
    assert opening[11:16].max() > 0.7 and opening[22:26].max() > 0.7 and opening[18] < 0.1, opening
    spread, rounded = (movement([Phoneme(0, name)], 0.6)[7] for name in ("i:", "u:"))
    assert spread[1] > 0.8 and spread[2] < 0.1 and rounded[1] < 0.3 and rounded[2] > 0.9, (spread, rounded)
    assert ((track >= 0) & (track <= 1)).all()


def every_phoneme_has_a_mouth(_):
    """espeak-ng's English needs no fallback."""
    speaker = Speaker()
    for text in corpus.HELD_OUT:
        samples, phonemes = speaker.speak(text)
        assert len(samples) > speaker.sample_rate and len(phonemes) > 10
        for phoneme in phonemes:
            known = phoneme.name.startswith("_") or any(phoneme.name.startswith(k) for k in VISEMES)
            assert known, f"{phoneme.name!r} of {text!r} has no viseme"
            assert all(0 <= v <= 1 for shape in viseme(phoneme.name).shapes for v in shape)


def the_pack_is_of_this_drawing(_):
    with open(os.path.join(PRESENTER, "avatar.json")) as f:
        rectangles = json.load(f)["rectangles"]
    assert rectangles == [list(face.rectangle(face.pose(i))) for i in range(face.FRAMES)]
    size = sum(os.path.getsize(os.path.join(PRESENTER, name)) for name in os.listdir(PRESENTER))
    assert size <= 12e6, size
    works("avatar", "check", PRESENTER)
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", os.path.join(PRESENTER, "presenter.mp4"), "-frames:v", "3",
                          "-f", "rawvideo", "-pix_fmt", "bgr24", "-"], check=True, stdout=subprocess.PIPE).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(3, face.HEIGHT, face.WIDTH, 3).astype(float)
    for i, frame in enumerate(frames):
        error = ((frame - face.draw(i)) ** 2).mean()
        assert error < 10, f"frame {i} differs from its drawing by {error} squared levels"


def a_dataset_has_the_same_rectangles(_):
    pack = program("presenter", "pack")
    for i in range(face.FRAMES):
        pose = face.pose(i)
        points = pack.whole_landmarks(pose)
        x0, y0, x1 = points[1][0], points[52][1], points[31][0]
        assert len(points) == 110 and (x0, y0, x1, y0 + x1 - x0) == face.rectangle(pose), i


def training_cuts_windows_as_the_program_does(scratch):
    speech, rows = os.path.join(PRESENTER, "hello.flac"), os.path.join(scratch, "rows.npy")
    works("features", "--mel", speech, "-o", rows)
    mel = np.load(rows)
    encoder = os.path.join(PRESENTER, "presenter_audio_encoder.onnx")
    works("features", "-y", "--audio-encoder", encoder, speech, "-o", rows)
    features = np.load(rows)
    assert features.shape == (len(data.window_starts(len(mel))) + 2, 512), (features.shape, mel.shape)
    assert (features[0] == features[1]).all() and (features[-1] == features[-2]).all()


def the_measures_see_what_they_should(_):
    """A picture that the network would have made brighter shows a seam; a mouth drawn open is measured open."""
    evaluate = program("train", "evaluate")
    box = face.grown(face.rectangle(face.pose(0)), 1)
    picture = face.draw(0, face.Mouth(0.5, 0.5, 0, 0.3, 0), box).copy()
    assert abs(evaluate.opening(picture, box[:2], face.pose(0)) - 0.5) < 0.04
    before = evaluate.border_steps(picture)
    picture[5:-5, 5:-5] = np.minimum(picture[5:-5, 5:-5].astype(int) + 40, 255)
    assert (evaluate.border_steps(picture) - before).max() > 20


def it_speaks_with_voices_heard_and_unheard(scratch):
    """All held-out sentences; the bars are written here once more, so that none moves unseen."""
    assert corpus.HELD_OUT_VOICE not in corpus.VOICES
    figures = os.path.join(scratch, "figures.json")
    print("# " + tool("train/evaluate", "--json", figures).replace("\n", "\n# "))
    with open(figures) as f:
        rows = json.load(f)["rows"]
    assert [row["voice"] for row in rows] == ["en-us", corpus.HELD_OUT_VOICE]
    for row in rows:
        assert row["frames"] > 800 and row["silent_frames"] > 100, row
        assert row["correlation"] >= 0.90 and abs(row["lag"]) <= 1, row
        assert row["shut"] >= 0.95 and row["psnr"] >= 32 and row["seam"] <= 2, row


if __name__ == "__main__":
    sys.exit(main([drawing_keeps_its_promises, loop_has_no_seam, the_mouth_follows_phonemes, every_phoneme_has_a_mouth,
                   the_pack_is_of_this_drawing,
                   a_dataset_has_the_same_rectangles, training_cuts_windows_as_the_program_does,
                   the_measures_see_what_they_should, it_speaks_with_voices_heard_and_unheard]))
