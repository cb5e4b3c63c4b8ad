"""The room behind the presenter, out of focus. Picture space, see face.py."""
import functools
import math

import cairo
import numpy as np

from paint import WIDTH, HEIGHT, fill, gradient, mix, rgb, soft, spline, surface_pixels

ROOM_SCALE = 4        # the room is drawn at a quarter of the size: it is out of focus
ROOM_BLUR = 3.0       # px of the small room


def room_window(ctx):
    ctx.rectangle(70, -40, 300, 430)
    ctx.set_source(gradient(70, 0, 370, 400, (0, rgb("fffaf0")), (0.6, rgb("f3efe2")), (1, rgb("d9e2d6"))))
    ctx.fill()
    soft(ctx, 150, 370, 190, 130, rgb("8fae8c"), 0.55)
    soft(ctx, 330, 330, 130, 120, rgb("a9bf9a"), 0.6)
    for x, y, w, h in ((56, -40, 18, 446), (212, -40, 14, 440), (366, -40, 18, 446), (40, 392, 360, 22)):
        ctx.rectangle(x, y, w, h)
        fill(ctx, rgb("e9d5bd"))
    ctx.move_to(-20, -20)
    spline(ctx, [(-20, -20), (96, -20), (84, 180), (98, 380), (88, 560), (-20, 560)], closed=True)
    ctx.set_source(gradient(-20, 0, 110, 0, (0, rgb("dfb893")), (0.55, rgb("f0d3b4")), (1, rgb("d9b08a"))))
    ctx.fill()


def room_shelf(ctx):
    for y in (236, 404):
        ctx.rectangle(930, y, 400, 16)
        fill(ctx, rgb("9a6a48"))
        ctx.rectangle(930, y + 16, 400, 14)
        fill(ctx, rgb("a9764f"), 0.35)
    books = ((952, 30, 96, "3f6f73"), (984, 24, 110, "d8a25a"), (1010, 34, 88, "efe2cd"), (1046, 22, 104, "b4573f"),
             (1070, 28, 92, "567a62"))
    for x, w, h, code in books:
        ctx.rectangle(x, 236 - h, w, h)
        fill(ctx, rgb(code))
    for x, w, h, code in ((1150, 26, 84, "c9694a"), (1178, 32, 98, "2f5560"), (1212, 24, 78, "e9d4b0")):
        ctx.rectangle(x, 404 - h, w, h)
        fill(ctx, rgb(code))
    ctx.save()
    ctx.translate(1010, 366)
    ctx.scale(34, 38)
    ctx.arc(0, 0, 1, 0, 2 * math.pi)
    ctx.restore()
    fill(ctx, rgb("e4c9a6"))


def room_lamp(ctx):
    soft(ctx, 1180, 160, 330, 300, rgb("ffd89a"), 0.75)
    spline(ctx, [(1140, 110), (1220, 110), (1246, 200), (1114, 200)])
    ctx.close_path()
    ctx.set_source(gradient(0, 110, 0, 200, (0, rgb("ffe9c0")), (1, rgb("fff6de"))))
    ctx.fill()
    ctx.rectangle(1174, 200, 12, 36)
    fill(ctx, rgb("8a6242"))


def room_plant(ctx):
    ctx.move_to(150, 740)
    spline(ctx, [(150, 740), (140, 600), (300, 600), (290, 740)])
    fill(ctx, rgb("c77e58"))
    for i in range(9):
        angle = math.radians(-165 + 19 * i)
        length = 150 + 40 * math.sin(2.3 * i)
        ctx.save()
        ctx.translate(220, 610)
        ctx.rotate(angle)
        spline(ctx, [(0, 0), (length * 0.45, -30), (length, 8), (length * 0.5, 26)], closed=True)
        ctx.restore()
        fill(ctx, mix(rgb("3f6b4c"), rgb("8fb075"), 0.5 + 0.5 * math.sin(1.7 * i)))


def gaussian_rows(image, sigma):
    """The float image [h, w, c] blurred along its first axis, the edge rows repeated."""
    radius = int(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.pad(image, ((radius, radius), (0, 0), (0, 0)), "edge")
    return sum(w * padded[i:i + len(image)] for i, w in enumerate(weights))


@functools.lru_cache(maxsize=1)
def room():
    """The room behind the presenter as a surface of the picture's size."""
    small = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH // ROOM_SCALE, HEIGHT // ROOM_SCALE)
    ctx = cairo.Context(small)
    ctx.scale(1 / ROOM_SCALE, 1 / ROOM_SCALE)
    ctx.set_source(gradient(0, 0, WIDTH, 300, (0, rgb("f3dcc2")), (0.5, rgb("e3bd98")), (1, rgb("d4a47c"))))
    ctx.paint()
    ctx.set_source(gradient(0, 300, 0, HEIGHT, (0, rgb("a86a4c"), 0), (1, rgb("8d5540"), 0.5)))
    ctx.paint()
    room_window(ctx)
    room_shelf(ctx)
    room_lamp(ctx)
    room_plant(ctx)
    soft(ctx, 330, 180, 420, 420, rgb("fff6e4"), 0.45)
    pixels = surface_pixels(small)
    blurred = gaussian_rows(pixels.astype(np.float32), ROOM_BLUR).swapaxes(0, 1)
    pixels[:] = np.rint(gaussian_rows(blurred, ROOM_BLUR).swapaxes(0, 1))
    small.mark_dirty()
    full = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
    ctx = cairo.Context(full)
    ctx.scale(ROOM_SCALE, ROOM_SCALE)
    pattern = cairo.SurfacePattern(small)
    pattern.set_filter(cairo.FILTER_BILINEAR)
    pattern.set_extend(cairo.EXTEND_PAD)
    ctx.set_source(pattern)
    ctx.paint()
    return full
