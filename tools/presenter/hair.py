"""The presenter's hair: what hangs behind the head, the locks before it, and their shadow. Head space, see face.py."""
import math

import cairo
import numpy as np

from paint import fill, gradient, mirrored, mix, polygon, rgb, soft, spline, stroke

HAIR, HAIR_DARK, HAIR_DEEP, HAIR_LIGHT, HAIR_GLOSS = (
    rgb("5b3222"), rgb("3a1e16"), rgb("241210"), rgb("8a5233"), rgb("c98c5a"))

HAIR_LEFT_INNER = [(30, -150), (-18, -141), (-74, -110), (-109, -58), (-118, 16), (-111, 80), (-114, 140),
                   (-115, 195), (-100, 248), (-103, 302), (-120, 352)]
HAIR_LEFT_OUTER = [(30, -219), (-44, -230), (-118, -204), (-169, -136), (-186, -38), (-191, 36), (-207, 112),
                   (-203, 184), (-214, 250), (-203, 316), (-136, 372)]
HAIR_RIGHT_INNER = [(28, -150), (66, -140), (100, -106), (118, -54), (121, 16), (113, 80), (115, 140),
                    (116, 195), (103, 246), (108, 298), (128, 342)]
HAIR_RIGHT_OUTER = [(28, -219), (92, -210), (146, -178), (177, -114), (188, -30), (192, 36), (207, 112),
                    (202, 184), (213, 248), (204, 310), (146, 362)]
STRANDS = 72           # a side


def hair_back(ctx):
    right = [(0, -214), (110, -188), (172, -90), (184, 20), (186, 130), (178, 230), (150, 300), (80, 322), (0, 318)]
    spline(ctx, right + mirrored(right[-2:0:-1]), closed=True)
    ctx.set_source(gradient(0, -200, 0, 320, (0, HAIR), (0.5, HAIR_DARK), (1, HAIR_DEEP)))
    ctx.fill()


def strand(inner, outer, i):
    """The points of strand i between two guide curves and its tone, -1.7 dark .. 1.7 light."""
    s = i / (STRANDS - 1) + 0.02 * math.sin(5.1 * i)
    wave = 0.045 * math.sin(1.3 * i)
    points = [mix(a, b, s + wave * k / len(inner)) for k, (a, b) in enumerate(zip(inner, outer))]
    (ax, ay), (bx, by) = points[-2:]
    points.append((mix(ax, bx, 1.5), mix(ay, by, 1.5)))
    return points, math.sin(2.39996 * i) + 0.7 * math.sin(9 * s + 1)


def hair_lock(ctx, inner, outer, lit):
    """The hair of one side between two guide curves, with strands between them; lit 0..1 is the light it gets."""
    (ax, ay), (bx, by) = inner[-1], outer[-1]
    spline(ctx, inner + [(mix(ax, bx, 0.5), max(ay, by))] + outer[::-1])
    ctx.close_path()
    ctx.set_source(gradient(inner[4][0], 0, outer[4][0], 0, (0, HAIR_DARK), (0.45, mix(HAIR, HAIR_LIGHT, 0.35 * lit)),
                            (0.8, HAIR), (0.93, mix(HAIR, HAIR_LIGHT, 0.8 * lit)), (1, HAIR)))
    ctx.fill_preserve()
    ctx.save()
    ctx.clip()
    gloss = gradient(0, -230, 0, 385, (0, HAIR_LIGHT, 0.3), (0.12, HAIR_GLOSS, 0.2 + 0.5 * lit),
                     (0.24, HAIR_LIGHT, 0.25), (0.5, HAIR_LIGHT, 0.2), (0.68, HAIR_GLOSS, 0.1 + 0.4 * lit),
                     (0.82, HAIR_LIGHT, 0.2), (1, HAIR_DARK, 0.4))
    strands = [strand(inner, outer, i) for i in range(STRANDS)]
    for low in np.arange(-1.7, 1.7, 0.4):                       # strands of about the same tone are one path
        for points, tone in strands:
            if low <= tone < low + 0.4:
                spline(ctx, points)
        if low > 0:
            ctx.set_source(gloss)
            ctx.set_line_width(0.9 + 1.2 * low)
            ctx.stroke()
        else:
            stroke(ctx, 1.1 - 0.9 * low, HAIR_DEEP, 0.19)
    ctx.restore()


def hair_shadow(ctx, outline, colour):
    """The shadow the fringe and the side hair cast on the face within `outline`."""
    ctx.save()
    polygon(ctx, outline)
    ctx.clip()
    ctx.push_group_with_content(cairo.CONTENT_ALPHA)        # many faint strokes would lose their hue in a colour layer
    for width in range(4, 48, 4):
        spline(ctx, [(x, y + 4) for x, y in HAIR_LEFT_INNER[7:0:-1] + HAIR_RIGHT_INNER[1:8]])
        stroke(ctx, width, colour, 0.036)
    shape = ctx.pop_group()
    ctx.set_source_rgb(*colour)
    ctx.mask(shape)
    ctx.restore()


def hair_front(ctx):
    ctx.set_tolerance(0.25)
    for side in (-1, 1):
        soft(ctx, side * 138, 322, 62, 74, HAIR_DEEP, 0.5, side * 0.3)      # the locks' shadow on the blazer
    hair_lock(ctx, HAIR_RIGHT_INNER, HAIR_RIGHT_OUTER, 0.35)
    hair_lock(ctx, HAIR_LEFT_INNER, HAIR_LEFT_OUTER, 1.0)
    soft(ctx, 29, -187, 8, 32, HAIR_DEEP, 0.5)
