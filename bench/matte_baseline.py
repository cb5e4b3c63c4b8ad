#!/usr/bin/python3
"""The matte chain as people write it in Python, twice, for `inlay bench matte` to be measured against.

pil     The chain that inlay replaces, step by step in PIL and NumPy: mask -> nearest neighbour to the frame's size ->
        soft threshold -> MaxFilter or MinFilter -> GaussianBlur(5 * smooth) -> GaussianBlur(feather) -> alpha;
        out = frame * alpha + GaussianBlur(blur)(frame) * (1 - alpha), in float32.
opencv  The same look in OpenCV, as fast as its functions give it, one thread: the threshold before the mask is enlarged
        (which commutes), a separable dilation, the two blurs of the mask in one (their variances add up),
        cv2.GaussianBlur, blending in 8 bits plane by plane (half the time of blendLinear or of float), and memory that
        is allocated once.
opencv-boxes  The same with three boxes for every Gaussian from sigma 2 on, as PIL has them too: half the time.

Answers lines on standard input with a line on standard output: first, unasked, "ready ..." or "missing PACKAGE: ...";
then "pil", "opencv" and "opencv-boxes" with the milliseconds of processor time that one frame took, "dump ROW FILE" with "ok" once
alpha and picture (BGR) of that row are in the file.
"""
import argparse
import math
import os
import signal
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
signal.signal(signal.SIGINT, signal.SIG_IGN)   # who started this decides when it ends
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # and needs no traceback when that was sudden

package = "python3-numpy"
try:
    import numpy as np
    package = "python3-pil"
    import PIL
    from PIL import Image, ImageFilter
    package = "python3-opencv"
    import cv2
except ImportError as error:
    print(f"missing {package}: {error}", flush=True)
    sys.exit(1)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame", required=True, help="raw BGR bytes")
    parser.add_argument("--mask", required=True, help="raw float32, 0..1, square")
    for name, kind in (("width", int), ("height", int), ("threshold", float), ("soft", float), ("expand", int),
                       ("smooth", float), ("feather", float), ("blur", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    return parser.parse_args()


class Pil:
    def __init__(self, args, frame, mask):
        self.args, self.mask = args, mask
        self.image = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))

    def run(self):
        a, image, mask = self.args, self.image, self.mask
        width, height = image.size
        ys = np.linspace(0, mask.shape[0] - 1, height).astype(np.int64)
        xs = np.linspace(0, mask.shape[1] - 1, width).astype(np.int64)
        m = mask[ys[:, None], xs]
        low, high = max(0.0, a.threshold - a.soft / 2), min(1.0, a.threshold + a.soft / 2)
        m = np.clip((m - low) / (high - low), 0, 1)
        alpha = Image.fromarray((m * 255).astype(np.uint8), "L")
        if a.expand:
            size = 2 * abs(a.expand) + 1
            alpha = alpha.filter((ImageFilter.MaxFilter if a.expand > 0 else ImageFilter.MinFilter)(size))
        if a.smooth > 0:
            alpha = alpha.filter(ImageFilter.GaussianBlur(5 * a.smooth))
        if a.feather > 0:
            alpha = alpha.filter(ImageFilter.GaussianBlur(a.feather))
        share = np.asarray(alpha, np.float32)[..., None] / 255
        fg = np.asarray(image, np.float32)
        bg = np.asarray(image.filter(ImageFilter.GaussianBlur(a.blur)), np.float32) if a.blur else 0 * fg
        out = np.clip(fg * share + bg * (1 - share), 0, 255).astype(np.uint8)
        return alpha, out

    def result(self):
        alpha, out = self.run()
        return np.asarray(alpha), out[..., ::-1]


def box_sizes(sigma, count=3):
    """Odd widths of so many boxes that make a Gaussian (P. Kovesi, "Fast almost-Gaussian filtering", 2010)."""
    width = int(math.sqrt(12 * sigma * sigma / count + 1))
    width -= 1 - width % 2
    small = round((12 * sigma * sigma - count * (width * width + 4 * width + 3)) / (-4 * width - 4))
    return [width if i < small else width + 2 for i in range(count)]


class Blur:
    """A Gaussian of pictures of one shape."""

    def __init__(self, sigma, shape, boxes):
        self.sigma = sigma
        self.sizes = box_sizes(sigma) if boxes and sigma >= 2 else []
        self.buffers = [np.empty(shape, np.uint8) for _ in range(2)]

    def __call__(self, picture):
        if not self.sigma:
            return picture
        if not self.sizes:
            return cv2.GaussianBlur(picture, (0, 0), self.sigma, dst=self.buffers[0])
        for i, size in enumerate(self.sizes):
            picture = cv2.blur(picture, (size, size), dst=self.buffers[i % 2])
        return picture


class Opencv:
    def __init__(self, args, frame, mask, boxes=False):
        self.args, self.frame, self.mask = args, frame, mask
        size = frame.shape[:2]
        self.full, self.grown, self.rest, self.part = (np.empty(size, np.uint8) for _ in range(4))
        self.fg, self.bg = ([np.empty(size, np.uint8) for _ in range(3)] for _ in range(2))
        self.out = np.empty_like(frame)
        self.blur_mask = Blur(math.hypot(5 * args.smooth, args.feather), size, boxes)
        self.blur_frame = Blur(args.blur, frame.shape, boxes)
        self.kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * abs(args.expand) + 1,) * 2)

    def alpha(self):
        a = self.args
        low, high = max(0.0, a.threshold - a.soft / 2), min(1.0, a.threshold + a.soft / 2)
        scale = 255 / (high - low)
        small = np.clip((self.mask - low) * scale, 0, 255).astype(np.uint8)
        alpha = cv2.resize(small, self.full.shape[::-1], dst=self.full, interpolation=cv2.INTER_NEAREST)
        if a.expand:
            alpha = (cv2.dilate if a.expand > 0 else cv2.erode)(alpha, self.kernel, dst=self.grown)
        return self.blur_mask(alpha)

    def run(self):
        alpha = self.alpha()
        rest = cv2.bitwise_not(alpha, dst=self.rest)
        cv2.split(self.frame, self.fg)
        if self.args.blur:
            cv2.split(self.blur_frame(self.frame), self.bg)
        for fg, bg in zip(self.fg, self.bg):
            cv2.multiply(fg, alpha, dst=fg, scale=1 / 255)
            if self.args.blur:
                cv2.add(fg, cv2.multiply(bg, rest, dst=self.part, scale=1 / 255), dst=fg)
        return alpha, cv2.merge(self.fg, dst=self.out)

    result = run


def main():
    args = parse()
    cv2.setNumThreads(1)
    frame = np.fromfile(args.frame, np.uint8).reshape(args.height, args.width, 3)
    mask = np.fromfile(args.mask, np.float32)
    mask = mask.reshape(math.isqrt(mask.size), -1)
    rows = {"pil": Pil(args, frame, mask), "opencv": Opencv(args, frame, mask),
            "opencv-boxes": Opencv(args, frame, mask, boxes=True)}
    print(f"ready Python {sys.version.split()[0]}, NumPy {np.__version__}, Pillow {PIL.__version__}, "
          f"OpenCV {cv2.__version__}", flush=True)
    for line in sys.stdin:
        words = line.rstrip("\n").split(" ", 2)
        if words[0] == "dump":
            alpha, picture = rows[words[1]].result()
            with open(words[2], "wb") as file:
                file.write(np.ascontiguousarray(alpha).tobytes() + np.ascontiguousarray(picture).tobytes())
            print("ok", flush=True)
            continue
        begun = time.process_time()
        rows[words[0]].run()
        print(f"{(time.process_time() - begun) * 1e3:.4f}", flush=True)


if __name__ == "__main__":
    main()
