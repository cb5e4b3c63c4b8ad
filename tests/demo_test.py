#!/usr/bin/python3
"""What a newcomer meets first: tools/demo, its contact sheet, and the installed program's --demo."""
import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import time

from program import INLAY, PACK, PRESENTER, ROOT, folder_is_clean, lipsync, main, probe, works

sys.path.insert(0, os.path.join(ROOT, "tools"))
import contact_sheet  # noqa: E402
import numpy as np  # noqa: E402


def command(*args, **env):
    environment = {k: v for k, v in os.environ.items() if k not in ("VOICE", "INLAY_DATA")}
    return subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                          env={**environment, **env}, encoding="utf-8", errors="replace")


def demo(*args, **env):
    return command(os.path.join(ROOT, "tools", "demo"), *args, **env)


def sheet(*args):
    return command("/usr/bin/python3", os.path.join(ROOT, "tools", "contact_sheet.py"), *args)


def picture(path):
    """uint8 [h,w,3] BGR, read by FFmpeg."""
    with open(path, "rb") as f:
        head = f.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n", head
    width, height = struct.unpack(">II", head[16:])
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"], check=True,
                         stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


def panels(image):
    """The twelve pictures of a sheet, by the place where the tool promises them."""
    for i in range(contact_sheet.MOMENTS):
        x = int(contact_sheet.MARGIN + i * contact_sheet.PITCH / 2 + contact_sheet.GAP / 2) + 4
        y = contact_sheet.UPPER_Y + i % 2 * contact_sheet.ROW + 4
        side = contact_sheet.SIDE - 8
        yield image[y:y + side, x:x + side].astype(int), image[y + side + 6:y + side + 34, x:x + side // 2]


# ---- the sentence ----

def five_seconds_of_speech_in_thirty(scratch):
    out = os.path.join(scratch, "talk.mp4")
    start = time.monotonic()
    done = demo("Hello! I am drawn by a neural network, and my mouth follows every word.", out)
    took = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    assert float(probe(out)["video"]["duration"]) >= 5 and took < 30, took
    print(f"# {took:.1f} s")


def a_sentence_becomes_a_video_and_a_sheet(scratch):
    out = os.path.join(scratch, "talk.mp4")
    sentence = "Grüße! She said \"it's $5 -- or `6`\", didn't she?"
    done = demo(sentence, out, LC_ALL="C")
    assert done.returncode == 0, done.stderr
    for part in (sentence, out, os.path.join(scratch, "talk.png"), "frames a second", "as fast as it plays", "make demo"):
        assert part in done.stdout, (part, done.stdout)
    folder_is_clean(scratch, "talk.mp4", "talk.png")
    found = probe(out)
    assert float(found["audio"]["duration"]) > 2 and (found["video"]["width"], found["video"]["height"]) == ("1280", "720")
    again = demo("-h", out, VOICE="de")
    assert again.returncode == 0, again.stderr
    assert 0.2 < float(probe(out)["audio"]["duration"]) < 2


def a_long_sentence(scratch):
    """It is said in full and shown in part, also where the locale knows no umlauts."""
    done = demo("Wörter " * 30, os.path.join(scratch, "talk.mp4"), LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "...\n" in done.stdout, done.stdout
    assert float(probe(os.path.join(scratch, "talk.mp4"))["audio"]["duration"]) > 8
    folder_is_clean(scratch, "talk.mp4", "talk.png")


def what_cannot_be_said_is_told(scratch):
    out = os.path.join(scratch, "talk.mp4")
    for args, env, says in ((("", out), {}, "sentence is empty"), ((" \t\n", out), {}, "sentence is empty"),
                            (("...", out), {}, "nothing to hear"), (("Hi.", out), {"VOICE": "xx"}, "VOICE=xx"),
                            (("Hi.", out + ".txt"), {}, "must end in .mp4"), ((), {}, "usage"),
                            (("Hi.", os.path.join(scratch, "absent", "talk.mp4")), {}, "absent")):
        done = demo(*args, **env)
        assert done.returncode == 1 and says in done.stderr, (args, done.returncode, done.stderr)
    folder_is_clean(scratch)


# ---- the sheet ----

def twelve_panels_with_labels(scratch):
    video, path = os.path.join(scratch, "talk.mp4"), os.path.join(scratch, "talk.png")
    works(*lipsync("-o", video))
    done = sheet(video, "-o", path, "--avatar", PACK)
    assert done.returncode == 0, done.stderr
    image = picture(path)
    assert image.shape == (contact_sheet.HEIGHT, contact_sheet.WIDTH, 3) and image.shape[1] == 1600, image.shape
    seen = list(panels(image))
    assert len(seen) == 12
    for shown, label in seen:
        assert shown.std() > 15, "a panel is empty"
        assert 40 < (label.max(axis=2) < 110).sum() < 2000, "a panel has no label"
    mouths = [shown[shown.shape[0] // 2:] for shown, _ in seen]
    moved = [np.abs(mouths[i] - mouths[j]).max() > 60 for i in range(12) for j in range(i)]
    assert sum(moved) > 30, "all the mouths are alike"
    # Without the pack the picture's whole height is shown: something else.
    whole = sheet(video, "-o", path)
    assert whole.returncode == 0, whole.stderr
    assert any(np.abs(a - b).mean() > 5 for (a, _), (b, _) in zip(seen, panels(picture(path))))


def moments_are_loud_and_quiet_ones(scratch):
    """Tones of one second and silences of one second: peaks and pauses are known."""
    t = np.arange(12 * contact_sheet.RATE) / contact_sheet.RATE
    voiced = t % 2 < 1
    level = contact_sheet.loudness(np.where(voiced, np.sin(2 * np.pi * 200 * t), 0), 25, 300)
    pause = contact_sheet.pauses(level)
    middle = (np.arange(300) + 0.5) / 25 % 2
    assert (level[(middle > 0.1) & (middle < 0.9)] > -1).all() and (level[(middle > 1.1) & (middle < 1.9)] < -50).all()
    assert pause[(middle > 1.2) & (middle < 1.8)].all()
    assert not pause[:290][(middle[:290] < 1.1) | (middle[:290] > 1.9)].any()
    chosen = contact_sheet.choose(level, pause)
    assert len(chosen) == 12 and (np.diff(chosen) >= 14).all() and chosen[-1] < 300, chosen
    assert 4 <= pause[chosen].sum() <= 8, pause[chosen]
    # One short pause is found wherever it is, and few frames are all taken.
    level = np.full(300, -3.0)
    level[131:141] = -60
    pause = contact_sheet.pauses(level)
    assert pause[contact_sheet.choose(level, pause)].any()
    assert contact_sheet.choose(level[:7], pause[:7]) == list(range(7))


def rectangles_of_every_layout(scratch):
    rects = [[10, 20, 110, 120], [12, 22, 112, 122]]
    points = {1: (10, 0), 52: (0, 20), 31: (110, 0)}

    def write(name, content):
        with open(os.path.join(scratch, name), "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))

    os.mkdir(os.path.join(scratch, "landmarks"))
    for i in range(2):
        write(f"landmarks/{i}.lms", "".join("%d %d\n" % tuple(v + 2 * i for v in points.get(k, (5, 5))) for k in range(110)))
    assert contact_sheet.rectangles(scratch) == rects
    write("crop_rects.json", [rects[1]])
    assert contact_sheet.rectangles(scratch) == [rects[1]]
    write("crop_rectangles.json", {"0": {"rect": rects[0]}, "1": {"rect": rects[1]}})
    assert contact_sheet.rectangles(scratch) == rects
    for named in (rects, "crop_rectangles.json", "landmarks/%d.lms"):
        write("avatar.json", {"rectangles": named})
        assert contact_sheet.rectangles(scratch) == rects, named
        assert contact_sheet.rectangles(os.path.join(scratch, "avatar.json")) == rects, named


def what_is_no_talking_video_is_told(scratch):
    path = os.path.join(scratch, "talk.png")
    silent = os.path.join(scratch, "silent.mp4")
    works(*lipsync("-o", silent, "--frames", "5"))
    subprocess.run(["ffmpeg", "-v", "error", "-i", silent, "-an", "-c", "copy", silent + ".mkv"], check=True)
    for args, says in (((silent + ".mkv",), "audio"), ((os.path.join(scratch, "absent.mp4"),), "absent.mp4"),
                       ((silent, "--avatar", scratch), "no face rectangles")):
        done = sheet(*args, "-o", path)
        assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not os.path.exists(path)


# ---- installed ----

def the_installed_program_brings_the_presenter(scratch):
    """Installed into a folder, then moved: program, network runtime and presenter find each other."""
    first, moved = os.path.join(scratch, "first"), os.path.join(scratch, "moved")
    done = command("meson", "install", "-C", os.path.dirname(INLAY), "--no-rebuild", "--destdir", first)
    assert done.returncode == 0, done.stdout + done.stderr
    os.rename(first, moved)
    programs = glob.glob(os.path.join(moved, "**", "bin", "inlay"), recursive=True)
    assert len(programs) == 1, programs
    prefix = os.path.dirname(os.path.dirname(programs[0]))
    assert sorted(os.listdir(os.path.join(prefix, "share/inlay/presenter"))) == sorted(os.listdir(PRESENTER))
    environment = {k: v for k, v in os.environ.items() if k != "INLAY_DATA"}
    args = ("lipsync", "--demo", "--frames", "3", "--format", "md5")
    installed = subprocess.run([programs[0], *args], stdout=subprocess.PIPE, check=True, env=environment).stdout
    assert len(installed.splitlines()) == 3 and installed == works(*args, env=environment).stdout
    # It is the moved folder that was read.
    shutil.rmtree(os.path.join(prefix, "share"))
    done = subprocess.run([programs[0], *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    if done.returncode == 0:  # another inlay is installed on this machine, under the configured prefix
        assert os.path.isdir(os.path.join(prefix[len(moved):], "share/inlay/presenter"))
    else:
        assert os.path.join(prefix, "share/inlay") in done.stderr.decode(), done.stderr


if __name__ == "__main__":
    sys.exit(main([five_seconds_of_speech_in_thirty, a_sentence_becomes_a_video_and_a_sheet, a_long_sentence,
                   what_cannot_be_said_is_told, twelve_panels_with_labels, moments_are_loud_and_quiet_ones, rectangles_of_every_layout,
                   what_is_no_talking_video_is_told, the_installed_program_brings_the_presenter]))
