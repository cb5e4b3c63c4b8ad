#!/usr/bin/python3
"""inlay matte, run as a user runs it: on clips of a red disc before a textured background, cut out by a network that the
tree makes itself (red is the subject)."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

from program import INLAY, data, digests, fails, folder_is_clean, main, model, probe, run, works

WIDTH, HEIGHT, FRAMES = 320, 192, 12
RED = (230, 30, 30)


def ffmpeg(*args, feed=None):
    return subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, args)], input=feed, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def picture(k=0, width=WIDTH, height=HEIGHT):
    """Frame k: the disc moves to the right; what lies behind is green, blue and grey stripes."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([40 + 0 * x, 90 + 60 * np.sin(x / 9), 130 + 60 * np.cos(y / 11)], axis=-1)
    rgb[inside(k, width, height)] = RED
    return rgb.astype(np.uint8)


def inside(k=0, width=WIDTH, height=HEIGHT, grow=0):
    y, x = np.mgrid[0:height, 0:width]
    return np.hypot(x - width * (0.4 + 0.02 * k), y - height * 0.5) < height * 0.3 + grow


def clip(path, *options, frames=FRAMES, width=WIDTH, height=HEIGHT, sound=True, before=()):
    """A video of `frames` pictures, nearly lossless, with a tone."""
    raw = b"".join(picture(k, width, height).tobytes() for k in range(frames))
    tone = ["-f", "lavfi", "-i", f"sine=440:duration={frames / 25}"] if sound else []
    ffmpeg(*before, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", 25, "-i", "-", *tone,
           "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-crf", 4, "-preset", "ultrafast",
           "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_range", "tv", *options, path, feed=raw)
    return path


def frames_of(path, width=WIDTH, height=HEIGHT, pixels="rgb24", decoder=()):
    raw = ffmpeg(*decoder, "-i", path, "-f", "rawvideo", "-pix_fmt", pixels, "-fps_mode", "passthrough", "-")
    channels = {"rgb24": 3, "rgba": 4, "gray": 1}[pixels]
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, channels).astype(int)


def times_of(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of",
                          "csv=p=0", path], check=True, stdout=subprocess.PIPE).stdout.decode()
    return [float(line.strip(",")) for line in out.split()]


def matte(source, *args, network="cutout"):
    return ("matte", source, "--model", model(network), *args)


def close(found, expected, level=6):
    """The mean of pixels against a colour."""
    assert np.abs(np.mean(found.reshape(-1, found.shape[-1]), axis=0) - expected).max() < level, \
        f"{np.mean(found.reshape(-1, found.shape[-1]), axis=0)}, expected {expected}"


def check_subject(picture_found, k=0):
    close(picture_found[inside(k, grow=-6)], RED, 10)


# ---- what comes out ----

def containers_keep_sound_and_times(scratch):
    source = clip(os.path.join(scratch, "in.mp4"))
    for extension in ("mp4", "mov", "mkv", "webm"):
        out = os.path.join(scratch, "out." + extension)
        works(*matte(source, "-o", out, "--background", "#0000ff"))
        found = probe(out)
        assert found["video"]["nb_read_frames"] == str(FRAMES), (extension, found["video"]["nb_read_frames"])
        assert found["audio"]["codec_name"] in ("aac", "opus"), found["audio"]["codec_name"]
        times = np.array(times_of(out))  # sound may begin before the first picture
        assert np.allclose(times - times[0], np.arange(FRAMES) / 25, atol=0.002), times
        for k, shown in enumerate(frames_of(out)):
            check_subject(shown, k)
            close(shown[~inside(k, grow=8)], (0, 0, 255), 8)


def the_background_is_what_was_asked_for(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    original = frames_of(source)

    def first(*args):
        out = os.path.join(scratch, "out.mkv")
        works(*matte(source, "-y", "-o", out, "--frames", 1, "--crf", 4, *args))
        return frames_of(out)[0]

    far, core = ~inside(0, grow=10), inside(0, grow=-6)
    close(first()[far], (0, 0, 0))
    close(first("--background", "green")[far], (0, 128, 0))
    assert np.abs(first("--invert", "--background", "white")[far] - original[0][far]).mean() < 4
    close(first("--invert", "--background", "white")[core], (255, 255, 255))
    mask = first("--mask-only")
    close(mask[core], (255, 255, 255)), close(mask[far], (0, 0, 0))
    blurred = first("--blur", 20)
    check_subject(blurred)
    close(blurred[far], original[0][far].mean(axis=0), 8)  # the texture is gone, its mean is not
    assert blurred[far].std(axis=0).max() < 0.5 * original[0][far].std(axis=0).max()
    # None of the subject's red beside it, as a plain blur has it.
    ring = inside(0, grow=14) & ~inside(0, grow=6)
    plain = first("--blur", 20, "--halo")
    assert blurred[ring][:, 0].mean() < 60 < 75 < plain[ring][:, 0].mean(), (blurred[ring][:, 0].mean(),
                                                                            plain[ring][:, 0].mean())


def pictures_and_videos_lie_behind(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    wall = os.path.join(scratch, "wall.png")
    half = np.zeros((100, 100, 3), np.uint8)  # left white, right yellow
    half[:, :50], half[:, 50:] = (255, 255, 255), (250, 240, 0)
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "100x100", "-i", "-", wall, feed=half.tobytes())

    def shown(*args):
        out = os.path.join(scratch, "out.mkv")
        works(*matte(source, "-y", "-o", out, "--crf", 4, *args))
        return frames_of(out)

    filled = shown("--background", wall)[0]
    close(filled[:20, 2:40], (255, 255, 255)), close(filled[:20, -40:-2], (250, 240, 0))
    fitted = shown("--background", wall, "--fit", "fit")[0]  # 192 of 320 columns, bars beside them
    close(fitted[4:-4, 2:60], (0, 0, 0)), close(fitted[4:20, 70:100], (255, 255, 255))
    tiled = shown("--background", wall, "--fit", "tile")[0]
    close(tiled[2:20, 2:40], (255, 255, 255)), close(tiled[2:20, 210:240], (255, 255, 255))
    # A video of five frames, each a grey of its own, begins anew when it ends.
    film = os.path.join(scratch, "film.mkv")
    greys = [40, 80, 120, 160, 200]
    ffmpeg("-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x64", "-r", 25, "-i", "-", "-c:v", "ffv1", film,
           feed=b"".join(bytes([g]) * 4096 for g in greys))
    corner = shown("--background", film)[:, :16, :16].mean(axis=(1, 2, 3))
    assert np.abs(corner - [greys[k % 5] for k in range(FRAMES)]).max() < 6, corner
    fails(*matte(source, "-y", "-o", os.path.join(scratch, "x.mp4"), "--background", os.path.join(scratch, "no.png")),
          says=["no.png", "no such file", "no colour"])
    broken = os.path.join(scratch, "broken.png")
    with open(broken, "wb") as f:
        f.write(b"no picture")
    fails(*matte(source, "-y", "-o", os.path.join(scratch, "x.mp4"), "--background", broken), says="broken.png")


def alpha_is_written_and_read_back(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    vp9 = ("-c:v", "libvpx-vp9")
    for name, options, decoder, level in (("out.webm", [], vp9, 6), ("out.mov", [], (), 3),
                                          ("rle.mov", ["--codec", "qtrle"], (), 1)):
        out = os.path.join(scratch, name)
        works(*matte(source, "-o", out, "--alpha", *options))
        shown = frames_of(out, pixels="rgba", decoder=decoder)
        assert len(shown) == FRAMES, (name, len(shown))
        for k in (0, FRAMES - 1):
            check_subject(shown[k][..., :3], k)
            close(shown[k][inside(k, grow=-6)][:, 3:], [255], level), close(shown[k][~inside(k, grow=10)][:, 3:], [0], level)
    works(*matte(source, "-o", os.path.join(scratch, "png", "%03d.png"), "--alpha", "--frames", 2))
    shown = frames_of(os.path.join(scratch, "png", "002.png"), pixels="rgba")[0]
    assert shown[inside(1, grow=-6)][:, 3].min() == 255 and shown[~inside(1, grow=10)][:, 3].max() == 0
    fails(*matte(source, "-o", os.path.join(scratch, "x.mp4"), "--alpha"), says=["mp4", "webm", "mov"])
    fails(*matte(source, "-o", os.path.join(scratch, "x.webm"), "--alpha", "--blur", 3), says=["alpha", "blur"])


def rotation_is_applied(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    turned = os.path.join(scratch, "turned.mp4")
    ffmpeg("-i", source, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned)
    out = os.path.join(scratch, "out.mp4")
    works(*matte(turned, "-o", out, "--background", "blue", "--crf", 4))
    found = probe(out)["video"]
    assert (found["width"], found["height"]) == (str(HEIGHT), str(WIDTH)) and "rotation" not in found, found
    # ffmpeg turns it the same way.
    upright = frames_of(turned, HEIGHT, WIDTH)[0]
    red = (upright[..., 0] > 150) & (upright[..., 1] < 90)
    shown = frames_of(out, HEIGHT, WIDTH)[0]
    assert np.abs(shown[red] - upright[red]).mean() < 6
    close(shown[:20, :20], (0, 0, 255), 10)


def variable_rates_and_offsets_are_kept(scratch):
    source, irregular = os.path.join(scratch, "in.mkv"), os.path.join(scratch, "vfr.mkv")
    clip(source)
    ffmpeg("-i", source, "-vf", "setpts='(N*N*0.01+N*0.02+0.5)/TB'", "-fps_mode", "passthrough", "-c:v", "libx264", "-c:a",
           "copy", irregular)
    before = np.array(times_of(irregular))
    for extension in ("mkv", "mp4"):
        out = os.path.join(scratch, "out." + extension)
        works(*matte(irregular, "-o", out))
        after = np.array(times_of(out))
        assert np.abs((after - after[0]) - (before - before[0])).max() < 0.0015, (before, after)

        def lead(path):  # of the sound before the first picture
            start = {s: float(probe(path)[s]["start_time"]) for s in ("video", "audio")}
            return start["video"] - start["audio"]
        assert abs(lead(out) - lead(irregular)) < 0.03, (extension, lead(out), lead(irregular))


def subtitles_and_tags_go_along(scratch):
    source, full = clip(os.path.join(scratch, "in.mkv")), os.path.join(scratch, "full.mkv")
    words = os.path.join(scratch, "words.srt")
    with open(words, "w") as f:
        f.write("1\n00:00:00,100 --> 00:00:00,300\nhello\n")
    ffmpeg("-i", source, "-i", words, "-map", 0, "-map", 1, "-c", "copy", "-metadata", "title=A disc",
           "-metadata:s:s:0", "language=ger", full)
    out = os.path.join(scratch, "out.mkv")
    works(*matte(full, "-o", out, "--blur", 3))
    shown = json.loads(subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", out],
                                      check=True, stdout=subprocess.PIPE).stdout)
    kinds = [s["codec_type"] for s in shown["streams"]]
    assert sorted(kinds) == ["audio", "subtitle", "video"], kinds
    assert [s for s in shown["streams"] if s["codec_type"] == "subtitle"][0]["tags"]["language"] == "ger"
    tags = {k.lower(): v for k, v in shown["format"]["tags"].items()}
    assert tags["title"] == "A disc"
    # What was done stands in the file, and can be done again with it.
    note = tags["comment"]
    assert note.startswith("inlay ") and " matte {" in note, note
    settings = os.path.join(scratch, "settings.json")
    with open(settings, "w") as f:
        f.write(note[note.index("{"):])
    again = digests(*matte(full, "--settings", settings))
    assert again == digests(*matte(full, "--blur", 3))
    assert "hello" in ffmpeg("-i", out, "-f", "srt", "-").decode()


def pictures_in_pictures_out(scratch):
    source = os.path.join(scratch, "in.png")
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-i", "-", source, feed=picture().tobytes())
    out = os.path.join(scratch, "out.png")
    works(*matte(source, "-o", out, "--background", "blue"))
    shown = frames_of(out)[0]
    core = inside(0, grow=-8)
    assert np.array_equal(shown[core], picture()[core]), "the subject's pixels are not what they were"
    assert (shown[~inside(0, grow=10)] == (0, 0, 255)).all()
    works(*matte(source, "-y", "-o", out, "--alpha", "--foreground", "raw"))
    shown = frames_of(out, pixels="rgba")[0]
    assert np.array_equal(shown[..., :3], picture()) and shown[core][:, 3].min() == 255 and shown[0, 0, 3] == 0
    works(*matte(source, "-o", os.path.join(scratch, "out.jpg"), "--blur", 5))
    check_subject(frames_of(os.path.join(scratch, "out.jpg"))[0])
    fails(*matte(source, "-o", os.path.join(scratch, "x.mp4")), says="x.mp4")
    folder_is_clean(scratch, "in.png", "out.png", "out.jpg")


def pipes(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    y4m = ffmpeg("-i", source, "-f", "yuv4mpegpipe", "-")
    done = subprocess.run([INLAY, *matte("-", "-o", "-", "--format", "y4m", "--background", "blue")], input=y4m,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1".encode()), done.stdout[:60]
    path = os.path.join(scratch, "x.y4m")

    def read(content):
        with open(path, "wb") as f:
            f.write(content)
        return frames_of(path)
    shown, original = read(done.stdout), read(y4m)
    assert len(shown) == FRAMES
    assert np.array_equal(shown[-1][inside(FRAMES - 1, grow=-6)], original[-1][inside(FRAMES - 1, grow=-6)])
    cut = subprocess.run([INLAY, *matte("-", "--format", "null")], input=y4m[:len(y4m) // 2], stderr=subprocess.PIPE,
                         timeout=120)
    assert cut.returncode == 3 and b"breaks off" in cut.stderr, (cut.returncode, cut.stderr)
    nothing = subprocess.run([INLAY, *matte("-", "--format", "null")], input=b"", stderr=subprocess.PIPE, timeout=120)
    assert nothing.returncode == 1 and b"standard input" in nothing.stderr, nothing.stderr


def a_preview_shows_four_panels(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    out = os.path.join(scratch, "look.png")
    works(*matte(source, "-o", out, "--preview", 7, "--background", "blue"))
    panels = np.split(frames_of(out, 4 * WIDTH)[0], 4, axis=1)
    core, far = inside(7, grow=-6), ~inside(7, grow=12)
    close(panels[0][core], RED, 10), close(panels[3][core], RED, 10)
    for mask in panels[1:3]:
        close(mask[core], (255, 255, 255)), close(mask[far], (0, 0, 0))
    close(panels[3][far], (0, 0, 255), 8)
    works(*matte(source, "-y", "-o", out, "--preview", 0, "--alpha"))
    board = np.split(frames_of(out, 4 * WIDTH)[0], 4, axis=1)[3][~inside(0, grow=12)]
    assert set(np.unique(board)) == {102, 153}, np.unique(board)
    fails(*matte(source, "-y", "-o", out, "--preview", 500), says=["500", str(FRAMES - 1)])
    folder_is_clean(scratch, "in.mp4", "look.png")


# ---- the same bytes, and fewer masks ----

def workers_do_not_matter(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), frames=40, sound=False)
    one = digests(*matte(source, "--blur", 6, "--temporal", 0.5, "--workers", 1))
    assert len(one) == 40 and len(set(one)) == 40
    assert one == digests(*matte(source, "--blur", 6, "--temporal", 0.5, "--workers", 4))
    assert one == digests(*matte(source, "--blur", 6, "--temporal", 0.5, "--workers", 3, "--threads", 7))
    # What came before decides: out of order, a mask would be another.
    first = digests(*matte(source, "--threshold", 0, network="cutout_memory"))
    done = run(*matte(source, "--threshold", 0, "--workers", 4, "--format", "md5", network="cutout_memory"))
    assert [line.split()[1] for line in done.stdout.decode().splitlines()] == first
    assert "1 works" in done.stderr, done.stderr


def memory_begins_at_nothing_and_lasts(scratch):
    """Half of the matte is what it was: 1/2, 3/4, 7/8, ... in the middle of the disc."""
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)
    works(*matte(source, "-o", os.path.join(scratch, "out.mkv"), "--mask-only", "--threshold", 0, "--contour", 0,
                 "--crf", 4, network="cutout_memory"))
    middle = frames_of(os.path.join(scratch, "out.mkv"))[:4, HEIGHT // 2, int(WIDTH * 0.42)].mean(axis=1)
    assert np.abs(middle - 255 * (1 - 0.5 ** np.arange(1, 5))).max() < 5, middle


def masks_can_be_spared(scratch):
    def figures(source, *args):
        path = os.path.join(scratch, "stats.json")
        works(*matte(source, "--format", "null", "--stats", path, *args))
        with open(path) as f:
            return json.load(f)

    moving = clip(os.path.join(scratch, "moving.mp4"), sound=False)
    still = os.path.join(scratch, "still.mp4")
    ffmpeg("-i", moving, "-vf", "loop=11:1,trim=end_frame=12", "-c:v", "libx264", "-crf", 4, still)
    all_of_them = figures(moving)
    assert all_of_them["frames"] == all_of_them["masks"] == FRAMES
    assert figures(moving, "--every", 5)["masks"] == 3
    assert figures(still, "--similar", 35)["masks"] == 1
    assert figures(moving, "--similar", 60)["masks"] == FRAMES
    for key in ("setup_s", "wall_s", "cpu_s", "fps", "peak_rss_bytes", "workers", "stages", "versions", "truncated"):
        assert key in all_of_them, key
    assert list(all_of_them["stages"]) == ["decode", "inference", "mask", "composite", "encode"]


# ---- the network's own colours, the plate, depth ----

def the_subjects_own_colours(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), sound=False)

    def edge(*args, network="cutout"):
        """How blue the pixels are that the subject shares with what was behind it: over black, all colour is its own."""
        out = os.path.join(scratch, "out.mkv")
        works(*matte(source, "-y", "-o", out, "--frames", 1, "--crf", 4, "--threshold", 0, *args, network=network))
        ring = inside(0, grow=3) & ~inside(0, grow=-1)
        return frames_of(out)[0][ring][:, 2].mean()

    plate = os.path.join(scratch, "plate.png")
    empty = picture()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    empty = np.stack([40 + 0 * x, 90 + 60 * np.sin(x / 9), 130 + 60 * np.cos(y / 11)], axis=-1).astype(np.uint8)
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-i", "-", plate, feed=empty.tobytes())
    raw = edge("--feather", 3, "--foreground", "raw")
    assert edge("--feather", 3, "--plate", plate) < raw - 3, (edge("--feather", 3, "--plate", plate), raw)
    raw = edge("--feather", 3, "--foreground", "raw", network="cutout_memory")
    clean = edge("--feather", 3, "--foreground", "clean", network="cutout_memory")
    assert clean < raw - 3, (clean, raw)
    fails(*matte(source, "-o", os.path.join(scratch, "x.mkv"), "--plate", plate, "--size", "64x64", "--blur", 3), says="plate")
    small = os.path.join(scratch, "small.png")
    ffmpeg("-i", plate, "-vf", "scale=100:60", small)
    fails(*matte(source, "-o", os.path.join(scratch, "x.mkv"), "--plate", small), says=["100x60", f"{WIDTH}x{HEIGHT}"])
    # Without anyone's help: of the blue behind it, next to nothing is left at the edge.
    assert edge("--feather", 3, "--foreground", "clean") < 0.5 * edge("--feather", 3, "--foreground", "raw")


def depth_keeps_what_is_near_sharp(scratch):
    """The stripes' blue is depth: they are blurred where it is far from the disc's."""
    source = os.path.join(scratch, "in.mp4")
    pictures = []
    for k in range(6):
        rgb = picture(k).astype(float)
        behind = ~inside(k)
        x = np.broadcast_to(np.arange(WIDTH), (HEIGHT, WIDTH))
        texture = 60 + 50 * ((x // 4) % 2)
        rgb[behind, 1] = texture[behind]
        rgb[behind, 2] = np.where(x < WIDTH // 2, 30, 220)[behind]  # left as near as the disc
        pictures.append(rgb.astype(np.uint8).tobytes())
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", 25, "-i", "-", "-c:v", "libx264", "-crf", 4,
           "-pix_fmt", "yuv420p", source, feed=b"".join(pictures))
    out = os.path.join(scratch, "out.mkv")
    works(*matte(source, "-o", out, "--blur", 12, "--focal", model("nearness"), "--crf", 4))
    shown = frames_of(out)[-1][:, :, 1]
    near, far = shown[:, 5:35], shown[:, -35:-5]
    assert near.std(axis=1).mean() > 4 * far.std(axis=1).mean(), (near.std(axis=1).mean(), far.std(axis=1).mean())
    fails(*matte(source, "-o", os.path.join(scratch, "x.mp4"), "--focal", model("nearness")), says="blur")
    fails(*matte(source, "-o", os.path.join(scratch, "x.mp4"), "--blur", 3, "--focal", model("cutout")),
          says=["cutout.onnx", "depth"])


# ---- folders ----

def a_folder_goes_on_after_a_failure(scratch):
    source, out = os.path.join(scratch, "in"), os.path.join(scratch, "out")
    os.mkdir(source)
    clip(os.path.join(source, "a.mp4"))
    clip(os.path.join(source, "b.mkv"))
    clip(os.path.join(source, "a.mov"))
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-i", "-", os.path.join(source, "c.jpg"),
           feed=picture().tobytes())
    with open(os.path.join(source, "bad.mp4"), "wb") as f:
        f.write(b"no video at all")
    with open(os.path.join(source, "notes.txt"), "w") as f:
        f.write("not a video, and nobody says it is")
    done = run("matte", source, "-o", out, "--model", model("cutout"), "--blur", 3)
    assert done.returncode == 1 and "bad.mp4" in done.stderr and "1 of 5 files failed" in done.stderr, done.stderr
    folder_is_clean(out, "a.mp4.mp4", "a.mov.mp4", "b.mp4", "c.jpg")
    again = run("matte", source, "-o", out, "--model", model("cutout"), "--blur", 3)
    assert again.returncode == 1 and "5 of 5 files failed" in again.stderr and "-y replaces" in again.stderr, again.stderr
    os.unlink(os.path.join(out, "b.mp4"))
    rest = run("matte", source, "-o", out, "--model", model("cutout"), "--blur", 3, "--skip-existing")
    assert "1 of 5 files done, 3 were there" in rest.stderr and os.path.exists(os.path.join(out, "b.mp4")), rest.stderr
    fails("matte", source, "--format", "null", "--model", model("cutout"), says=["folder"])
    fails("matte", source, "-o", out, "--format", "png", "--model", model("cutout"), says=["png", "mp4, mov, mkv or webm"])
    empty = os.path.join(scratch, "empty")
    os.mkdir(empty)
    fails("matte", empty, "-o", out, says="holds no video")


# ---- bad input ----

def what_breaks_off_is_finished_as_far_as_it_goes(scratch):
    whole = clip(os.path.join(scratch, "whole.mp4"), "-movflags", "+faststart", "-g", 10, frames=60)
    with open(whole, "rb") as f:
        content = f.read()
    part = os.path.join(scratch, "part.mp4")
    with open(part, "wb") as f:
        f.write(content[:len(content) * 6 // 10])
    out = os.path.join(scratch, "out.mp4")
    done = run(*matte(part, "-o", out))
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert "part.mp4" in done.stderr and "breaks off" in done.stderr, done.stderr
    assert 10 < len(frames_of(out)) < 60
    with open(part, "wb") as f:
        f.write(b"")
    fails(*matte(part, "-y", "-o", out), says="part.mp4")


def inputs_that_are_no_video(scratch):
    sound = os.path.join(scratch, "sound.m4a")
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", sound)
    out = os.path.join(scratch, "x.mp4")
    fails(*matte(sound, "-o", out), says=["sound.m4a", "no video"])
    fails(*matte(os.path.join(scratch, "none.mp4"), "-o", out), says="none.mp4")
    fails(*matte("/dev/video99", "-o", out), says="/dev/video99")
    source = clip(os.path.join(scratch, "in.mp4"))
    fails(*matte(source, "-o", source, "-y"), says=["in.mp4", "read by this job"])
    fails(*matte(source, "-o", out, network="wrong_matte_output"), says="wrong_matte_output.onnx")
    fails("matte", source, "-o", out, "--model", "no_such_model", says="no_such_model")
    fails(*matte(source, "-o", os.path.join(scratch, "no", "folder.mp4")), says="folder")
    settings = os.path.join(scratch, "s.json")
    with open(settings, "w") as f:
        f.write('{"blur": 3, "feahter": 1}')
    fails(*matte(source, "-o", out, "--settings", settings), says=["s.json", "feahter", "known are"])
    fails(*matte(source, "-o", out, "--threshold", "2"), says=["threshold", "from 0 to 1"], status=2)
    fails(*matte(source, "-o", os.path.join(scratch, "x.png")), says=["x.png", "--preview"])
    fails(*matte(source, "-o", os.path.join(scratch, "x.mp4"), "--preview", 1), says=["x.mp4", ".png"])
    depth = os.path.join(scratch, "depth.json")
    with open(depth, "w") as f:
        f.write('{"inlay_model": 1, "kind": "depth"}')
    fails(*matte(source, "-o", out, "--manifest", depth, network="nearness"),
          says=["nearness.onnx", "depth network", "--focal"])
    fails("matte", source, says="no output", status=2)
    fails("matte", "-o", out, says="no input", status=2)
    before = open(source, "rb").read()  # figures do not replace what is read or written
    fails(*matte(source, "--format", "null", "--stats", source), says=["in.mp4", "--stats"])
    fails(*matte(source, "-o", out, "--stats", out), says=["x.mp4", "--stats"])
    assert open(source, "rb").read() == before
    folder_is_clean(scratch, "sound.m4a", "in.mp4", "s.json", "depth.json")


def settings_files_presets_and_options(scratch):
    """The preset, then the file, then the options, in whatever order they stand."""
    source = clip(os.path.join(scratch, "in.mp4"), frames=3, sound=False)
    settings = os.path.join(scratch, "s.json")
    with open(settings, "w") as f:
        json.dump({"preset": "fast", "background": "blue", "feather": 5}, f)
    plain = digests(*matte(source, "--preset", "fast", "--background", "blue", "--feather", 5))
    assert digests(*matte(source, "--settings", settings)) == plain
    assert digests(*matte(source, "--background", "red", "--settings", settings)) == \
        digests(*matte(source, "--preset", "fast", "--feather", 5, "--background", "red"))
    assert digests(*matte(source, "--settings", settings, "--blur", 4)) == \
        digests(*matte(source, "--preset", "fast", "--feather", 5, "--blur", 4))
    assert digests(*matte(source, "--settings", settings, "--preset", "obs")) == \
        digests(*matte(source, "--preset", "obs", "--background", "blue", "--feather", 5))


def odd_and_extreme_sizes(scratch):
    for width, height in ((1, 1), (2, 2), (3, 5), (33, 17), (641, 7), (7680, 4320)):
        raw = np.full((height, width, 3), RED, np.uint8).tobytes()
        png = os.path.join(scratch, "in.png")
        ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-", png, feed=raw)
        works(*matte(png, "-y", "-o", os.path.join(scratch, "out.png"), "--blur", 9))
        avi = os.path.join(scratch, "in.avi")
        ffmpeg("-i", png, "-c:v", "ffv1", "-pix_fmt", "yuv420p", avi)
        assert len(digests(*matte(avi, "--blur", 9))) == 1


def a_part_ends_with_its_last_frame(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), frames=50)
    out = os.path.join(scratch, "out.mp4")
    works(*matte(source, "-o", out, "--frames", 10))
    assert float(probe(out)["audio"]["duration"]) < 0.5, probe(out)["audio"]["duration"]
    works(*matte(source, "-y", "-o", out))
    assert float(probe(out)["audio"]["duration"]) > 1.9


def ten_bits_are_brought_down(scratch):
    source = os.path.join(scratch, "in.mkv")
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-i", "-", "-c:v", "ffv1", "-pix_fmt",
           "yuv420p10le", source, feed=picture().tobytes())
    out = os.path.join(scratch, "out.mkv")
    works(*matte(source, "-o", out, "--background", "blue", "--crf", 4))
    check_subject(frames_of(out)[0])


def hardware_that_is_not_there_is_done_without(scratch):
    if os.path.exists("/dev/nvidia0"):
        return
    source = clip(os.path.join(scratch, "in.mp4"), frames=4, sound=False)
    out = os.path.join(scratch, "out.mp4")
    done = works(*matte(source, "-o", out, "--hwaccel", "cuda", "--codec", "h264_nvenc", "-v"))
    assert "cuda" in done.stderr.lower() and "libx264" in done.stderr, done.stderr
    assert probe(out)["video"]["codec_name"] == "h264"


def an_interrupt_leaves_nothing(scratch):
    source = clip(os.path.join(scratch, "in.mp4"), frames=250, width=1280, height=720, sound=False)
    out = os.path.join(scratch, "out.mp4")
    process = subprocess.Popen([INLAY, *matte(source, "-o", out, "--crf", "0", "--encoder-preset", "slower")],
                               stderr=subprocess.PIPE)
    until = time.time() + 60
    while not os.path.exists(out + ".part") and time.time() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 128 + signal.SIGINT and "nothing written" in text, (process.returncode, text)
    folder_is_clean(scratch, "in.mp4")


def real_models_work_by_name(scratch):
    """Every network of the test data on a portrait, found by its name."""
    portrait = data("portraits/p_09ba26b4.jpg")
    folder = data("models/matting")
    names = sorted(f[:-5] for f in os.listdir(folder) if f.endswith(".onnx") and not f.startswith("tcmono"))
    truth = frames_of(data("portraits/p_09ba26b4_alpha.png"), *size_of(portrait), pixels="gray")[0]
    assert len(names) == 8, names
    for name in names:
        out = os.path.join(scratch, name + ".png")
        works("matte", portrait, "--model", name, "-o", out, "--mask-only", env={**os.environ, "INLAY_MODELS": folder})
        error = np.abs(frames_of(out, *size_of(portrait), pixels="gray")[0] - truth).mean() / 255
        assert error < 0.2, (name, error)


def size_of(path):
    found = probe(path)["video"]
    return int(found["width"]), int(found["height"])


if __name__ == "__main__":
    sys.exit(main([
        containers_keep_sound_and_times, the_background_is_what_was_asked_for, pictures_and_videos_lie_behind,
        alpha_is_written_and_read_back, rotation_is_applied, variable_rates_and_offsets_are_kept,
        subtitles_and_tags_go_along, pictures_in_pictures_out, pipes, a_preview_shows_four_panels,
        workers_do_not_matter, memory_begins_at_nothing_and_lasts, masks_can_be_spared, the_subjects_own_colours,
        depth_keeps_what_is_near_sharp, a_folder_goes_on_after_a_failure, what_breaks_off_is_finished_as_far_as_it_goes,
        inputs_that_are_no_video, settings_files_presets_and_options, odd_and_extreme_sizes, a_part_ends_with_its_last_frame, ten_bits_are_brought_down,
        hardware_that_is_not_there_is_done_without, an_interrupt_leaves_nothing, real_models_work_by_name,
    ]))
