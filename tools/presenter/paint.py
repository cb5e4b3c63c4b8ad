"""Drawing aids on cairo: colours, gradients, curves, soft patches."""
import math

import cairo
import numpy as np

WIDTH, HEIGHT = 1280, 720


def rgb(code):
    """'rrggbb' as three floats 0..1."""
    return tuple(int(code[i:i + 2], 16) / 255 for i in (0, 2, 4))


def mix(a, b, t):
    """a at t = 0, b at t = 1, for numbers, colours and points alike."""
    if isinstance(a, tuple):
        return tuple(mix(x, y, t) for x, y in zip(a, b))
    return a + (b - a) * t


def smoothstep(lo, hi, x):
    t = np.clip((x - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


def gradient(x0, y0, x1, y1, *stops):
    """A linear gradient; each stop is (offset, colour[, alpha])."""
    g = cairo.LinearGradient(x0, y0, x1, y1)
    for offset, colour, *alpha in stops:
        g.add_color_stop_rgba(offset, *colour, *(alpha or (1,)))
    return g


def soft(ctx, x, y, rx, ry, colour, alpha, angle=0.0):
    """An elliptic patch of colour that fades to nothing at radii rx, ry."""
    ctx.save()
    ctx.translate(x, y)
    ctx.rotate(angle)
    ctx.scale(rx, ry)
    g = cairo.RadialGradient(0, 0, 0, 0, 0, 1)
    for offset, part in ((0, 1), (0.25, 0.87), (0.5, 0.5), (0.75, 0.13), (1, 0)):
        g.add_color_stop_rgba(offset, *colour, alpha * part)
    ctx.set_source(g)
    ctx.arc(0, 0, 1, 0, 2 * math.pi)
    ctx.fill()
    ctx.restore()


def spline(ctx, points, closed=False, start=True):
    """Adds a Catmull-Rom curve through the points to the path."""
    n = len(points)
    at = (lambda i: points[i % n]) if closed else (lambda i: points[min(max(i, 0), n - 1)])
    if start:
        ctx.move_to(*points[0])
    else:
        ctx.line_to(*points[0])
    for i in range(n if closed else n - 1):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = at(i - 1), at(i), at(i + 1), at(i + 2)
        ctx.curve_to(bx + (cx - ax) / 6, by + (cy - ay) / 6, cx - (dx - bx) / 6, cy - (dy - by) / 6, cx, cy)
    if closed:
        ctx.close_path()


def polygon(ctx, *edges):
    """A closed path along arrays [n, 2] of points."""
    ctx.new_path()
    for edge in edges:
        for x, y in edge:
            ctx.line_to(x, y)
    ctx.close_path()


def fill(ctx, colour, alpha=1.0):
    ctx.set_source_rgba(*colour, alpha)
    ctx.fill()


def stroke(ctx, width, colour, alpha=1.0):
    ctx.set_line_width(width)
    ctx.set_source_rgba(*colour, alpha)
    ctx.stroke()


def mirrored(points):
    return [(-x, y) for x, y in points]


def surface_pixels(surface):
    """The surface's pixels as an array [h, w, 4] that shares its memory."""
    surface.flush()
    return np.ndarray((surface.get_height(), surface.get_width(), 4), np.uint8, surface.get_data(),
                      strides=(surface.get_stride(), 4, 1))
