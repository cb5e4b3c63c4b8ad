"""The presenter's neck, clothes and jewellery. Picture space, see face.py."""
import math

import cairo

from paint import fill, gradient, mix, rgb, soft, spline, stroke

NECK, NECK_LIGHT, NECK_SHADE, NECK_DEEP, NECK_SHADOW = (
    rgb("dfa27c"), rgb("fbdcc0"), rgb("c9855f"), rgb("8f4f38"), rgb("7e432f"))
BLAZER, BLAZER_LIGHT, BLAZER_DARK = rgb("23505a"), rgb("3b7480"), rgb("14323b")
BLOUSE, BLOUSE_SHADE = rgb("f5ead9"), rgb("cdb59c")
GOLD = rgb("e2b565")


def neck_path(ctx, pose_):
    """The visible neck, picture space: its top goes with the head, its foot with the shoulders."""
    foot = -pose_.breath
    right = [(64, 380), (61, 450), (60, 505), (70, 556), (112, 592), (190, 616)]
    follow = (1, 1, 0.75, 0.3, 0.05, 0)
    side = [(x, 640 + f * pose_.sway, y + (1 - f) * foot + f * pose_.nod) for (x, y), f in zip(right, follow)]
    spline(ctx, [(cx + x, y) for x, cx, y in side])
    ctx.line_to(830, 730)
    ctx.line_to(450, 730)
    spline(ctx, [(cx - x, y) for x, cx, y in reversed(side)], start=False)
    ctx.close_path()


def neck(ctx, pose_):
    ctx.save()
    neck_path(ctx, pose_)
    ctx.clip()
    ctx.set_source(gradient(560, 0, 730, 0, (0, mix(NECK, NECK_LIGHT, 0.25)), (0.45, NECK), (1, NECK_SHADE)))
    ctx.paint()
    cx, y = 640 + 0.3 * pose_.sway, 600 - pose_.breath
    for side in (-1, 1):
        ctx.move_to(cx + side * 56, y - 90)
        ctx.curve_to(cx + side * 48, y - 40, cx + side * 30, y, cx + side * 14, y + 18)
        stroke(ctx, 14, NECK_DEEP, 0.035)
        soft(ctx, cx + side * 66, y + 16, 70, 12, NECK_LIGHT, 0.25, side * 0.2)
        soft(ctx, cx + side * 62, y + 27, 70, 12, NECK_DEEP, 0.12, side * 0.2)
    soft(ctx, cx, y + 18, 17, 13, NECK_DEEP, 0.26)
    ctx.restore()


def blouse(ctx):
    for side in (-1, 1):
        spline(ctx, [(0, 664), (side * 44, 652), (side * 82, 615), (side * 96, 580)])
        ctx.line_to(side * 190, 740)
        ctx.line_to(0, 740)
        ctx.close_path()
    ctx.set_source(gradient(-90, 0, 110, 0, (0, BLOUSE), (0.55, BLOUSE), (1, BLOUSE_SHADE)))
    ctx.fill()
    spline(ctx, [(-96, 580), (-82, 615), (-44, 652), (0, 664), (44, 652), (82, 615), (96, 580)])
    stroke(ctx, 2.2, BLOUSE_SHADE, 0.9)
    for side, x in ((-1, 22), (1, 30), (-1, 46)):
        ctx.move_to(side * x, 672)
        ctx.curve_to(side * x, 690, side * (x - 8), 700, side * (x - 10), 730)
        stroke(ctx, 6, BLOUSE_SHADE, 0.16)


def necklace(ctx):
    spline(ctx, [(-84, 592), (-58, 624), (-20, 643), (0, 646), (20, 643), (58, 624), (84, 592)])
    stroke(ctx, 1.6, GOLD, 0.95)
    soft(ctx, 0, 650, 7, 7, GOLD, 1)
    ctx.arc(0, 650, 4.2, 0, 2 * math.pi)
    fill(ctx, GOLD)
    soft(ctx, -1.2, 648.6, 2.4, 2.4, (1, 1, 1), 0.9)


def blazer_side(ctx, side):
    """One half of the blazer, x from the middle outwards times `side`."""
    ctx.save()
    ctx.scale(side, 1)
    light = side < 0
    spline(ctx, [(84, 562), (130, 590), (205, 611), (280, 634), (336, 676), (368, 740)])
    ctx.line_to(52, 740)
    ctx.curve_to(74, 690, 94, 640, 84, 562)
    ctx.close_path()
    ctx.set_source(gradient(60, 560, 330, 740, (0, BLAZER), (0.5, BLAZER_LIGHT if light else BLAZER),
                            (1, BLAZER if light else BLAZER_DARK)))
    ctx.fill_preserve()
    ctx.save()
    ctx.clip()
    soft(ctx, 215, 612, 150, 26, rgb("78aab0"), 0.6 if light else 0.25, 0.3)
    soft(ctx, 250, 745, 60, 90, BLAZER_DARK, 0.55, -0.25)
    soft(ctx, 150, 700, 80, 60, BLAZER_DARK, 0.6)
    ctx.restore()
    ctx.new_path()
    spline(ctx, [(82, 574), (83, 560), (91, 554), (110, 572), (134, 606), (148, 640)])          # collar
    for point in ((128, 650), (158, 664)):
        ctx.line_to(*point)
    ctx.curve_to(146, 700, 118, 730, 96, 760)                             # lapel
    ctx.line_to(42, 760)
    ctx.curve_to(78, 690, 90, 630, 82, 574)
    ctx.close_path()
    ctx.set_source(gradient(70, 600, 165, 650, (0, BLAZER_DARK), (0.25, BLAZER),
                            (1, BLAZER_LIGHT if light else BLAZER)))
    ctx.fill_preserve()
    stroke(ctx, 1.4, rgb("7fb0b4"), 0.35 if light else 0.18)
    ctx.move_to(128, 650)
    ctx.line_to(91, 640)
    stroke(ctx, 1.6, BLAZER_DARK, 0.7)
    ctx.restore()


def microphone(ctx):
    ctx.move_to(101, 690)
    ctx.line_to(96, 730)
    stroke(ctx, 1.6, rgb("0c1a1f"), 0.8)
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    ctx.move_to(103, 676)
    ctx.line_to(101, 692)
    stroke(ctx, 9, rgb("10171b"))
    ctx.move_to(101, 677)
    ctx.line_to(100, 687)
    stroke(ctx, 2, rgb("5b6b72"), 0.9)


def clothes(ctx, pose_):
    ctx.save()
    ctx.translate(640, -pose_.breath)
    necklace(ctx)
    blouse(ctx)
    for side in (-1, 1):
        blazer_side(ctx, side)
    microphone(ctx)
    ctx.restore()
