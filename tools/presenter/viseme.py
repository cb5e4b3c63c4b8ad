"""The mouth that goes with phonemes: a table of visemes, and how neighbours melt into each other.

Each phoneme asks for a mouth for as long as it sounds. Smoothing those steps gives coarticulation; then the sounds that
cannot be made otherwise (lips shut for p, b, m; lip at the teeth for f, v; a pause) pull the mouth to their own shape.
"""
from typing import NamedTuple

import numpy as np

from face import FPS

# Shapes in the order of face.Mouth: opening, width, rounding, teeth, tongue.
AH = (0.85, 0.50, 0.00, 0.30, 0.10)
AE = (0.72, 0.68, 0.00, 0.50, 0.10)
UH = (0.50, 0.50, 0.05, 0.30, 0.15)
EH = (0.50, 0.68, 0.00, 0.50, 0.15)
SCHWA = (0.36, 0.50, 0.10, 0.30, 0.20)
IH = (0.30, 0.80, 0.00, 0.55, 0.25)
EE = (0.24, 0.95, 0.00, 0.65, 0.25)
AW = (0.66, 0.35, 0.50, 0.10, 0.05)
OH = (0.50, 0.30, 0.70, 0.05, 0.05)
OO = (0.24, 0.15, 1.00, 0.00, 0.00)
SHUT = (0.00, 0.50, 0.00, 0.00, 0.00)
LIP_TEETH = (0.12, 0.52, 0.00, 1.00, 0.00)
TONGUE_TEETH = (0.24, 0.55, 0.00, 0.60, 1.00)
TONGUE_RIDGE = (0.24, 0.56, 0.00, 0.55, 0.70)
EL = (0.34, 0.55, 0.00, 0.35, 1.00)
HISS = (0.13, 0.68, 0.00, 1.00, 0.10)
HUSH = (0.20, 0.28, 0.65, 0.90, 0.05)
AR = (0.26, 0.35, 0.50, 0.25, 0.15)
BACK = (0.30, 0.52, 0.00, 0.30, 0.10)
YOD = (0.22, 0.82, 0.05, 0.50, 0.40)


class Viseme(NamedTuple):
    shapes: tuple      # one, or two for a diphthong
    pull: float = 0.0  # 0..1 how far it insists on its own shape against its neighbours


# espeak-ng's mnemonics, longest match first; the ones with a colon, digit or other mark behind fall back to these.
VISEMES = {
    "aI": Viseme((AH, IH)), "aU": Viseme((AH, OO)), "OI": Viseme((AW, IH)), "eI": Viseme((EH, EE)),
    "oU": Viseme((OH, OO)), "e@": Viseme((EH, SCHWA)), "i@": Viseme((IH, SCHWA)), "U@": Viseme((OO, SCHWA)),
    "o@": Viseme((AW, SCHWA)), "A@": Viseme((AH, SCHWA)), "O@": Viseme((AW, SCHWA)),
    "tS": Viseme((HUSH,), 0.5), "dZ": Viseme((HUSH,), 0.5),
    "A": Viseme((AH,)), "a": Viseme((AE,)), "V": Viseme((UH,)), "E": Viseme((EH,)), "e": Viseme((EH,)),
    "@": Viseme((SCHWA,)), "3": Viseme((SCHWA,)), "I": Viseme((IH,)), "i": Viseme((EE,)), "O": Viseme((AW,)),
    "0": Viseme((AW,)), "o": Viseme((OH,)), "U": Viseme((OO,)), "u": Viseme((OO,)), "y": Viseme((OO,)),
    "Y": Viseme((OO,)), "W": Viseme((OH,)),
    "p": Viseme((SHUT,), 1.0), "b": Viseme((SHUT,), 1.0), "m": Viseme((SHUT,), 1.0),
    "f": Viseme((LIP_TEETH,), 0.85), "v": Viseme((LIP_TEETH,), 0.85),
    "T": Viseme((TONGUE_TEETH,), 0.4), "D": Viseme((TONGUE_TEETH,), 0.3),
    "t": Viseme((TONGUE_RIDGE,)), "d": Viseme((TONGUE_RIDGE,)), "n": Viseme((TONGUE_RIDGE,)),
    "l": Viseme((EL,)), "s": Viseme((HISS,), 0.5), "z": Viseme((HISS,), 0.5),
    "S": Viseme((HUSH,), 0.5), "Z": Viseme((HUSH,), 0.5), "C": Viseme((HUSH,)),
    "r": Viseme((AR,), 0.2), "R": Viseme((AR,)), "w": Viseme((OO,), 0.7), "j": Viseme((YOD,), 0.2),
    ";": Viseme((SCHWA,)),  # a glide between vowels
    "k": Viseme((BACK,)), "g": Viseme((BACK,)), "N": Viseme((BACK,)), "x": Viseme((BACK,)), "h": Viseme((BACK,)),
}
PAUSE = Viseme((SHUT,), 1.0)
NEUTRAL = Viseme((SCHWA,))

STEP = 0.005  # seconds: grid on which the movement is made
SMOOTHING = np.array([0.038, 0.045, 0.055, 0.038, 0.032])  # seconds, sigma for each field of Mouth
RAMP = 0.07  # seconds in which a pull sets in and lets go
SHORTEST_HOLD = 0.05  # seconds: a pull holds that long, or one frame could miss it


def viseme(name):
    """Of one of espeak-ng's phonemes. Unknown vowels and consonants of other languages get the neutral mouth."""
    if not name or name.startswith("_"):
        return PAUSE
    for length in (2, 1):
        if name[:length] in VISEMES:
            return VISEMES[name[:length]]
    return NEUTRAL


def _smooth(track, sigma):
    reach = int(np.ceil(3 * sigma / STEP))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / sigma) ** 2)
    return np.convolve(np.pad(track, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _hold(times, start, end, ramp_in, ramp_out):
    """1 from start to end, smoothly from 0 before and to 0 after."""
    up = np.clip((times - (start - ramp_in)) / ramp_in, 0, 1)
    down = np.clip(((end + ramp_out) - times) / ramp_out, 0, 1)
    x = np.minimum(up, down)
    return x * x * (3 - 2 * x)


def _segments(phonemes, duration):
    """(start, end, viseme) without overlaps; neighbouring pauses as one."""
    segments = []
    if not phonemes or phonemes[0].start > 0:
        segments.append([0.0, phonemes[0].start if phonemes else duration, PAUSE])
    for i, phoneme in enumerate(phonemes):
        end = phonemes[i + 1].start if i + 1 < len(phonemes) else duration
        this = viseme(phoneme.name)
        if end <= phoneme.start:
            continue
        if segments and this is PAUSE and segments[-1][2] is PAUSE:
            segments[-1][1] = end
        else:
            segments.append([phoneme.start, end, this])
    return segments


def movement(phonemes, duration):
    """Mouth track [frames,5] float32 in the order of face.Mouth, one row a frame at FPS, taken in the frame's middle."""
    segments = _segments(phonemes, duration)
    times = np.arange(0, duration + 1 / FPS, STEP)
    wanted = np.tile(np.array(SHUT), (len(times), 1))
    for start, end, this in segments:
        parts = len(this.shapes)
        for k, shape in enumerate(this.shapes):
            at = start + (end - start) * k / parts
            wanted[(times >= at) & (times < end)] = shape
    track = np.stack([_smooth(wanted[:, k], SMOOTHING[k]) for k in range(wanted.shape[1])], 1)
    for start, end, this in segments:
        if this is PAUSE:
            pull = _hold(times, start - 0.01, end - 0.02, RAMP, RAMP)
        elif this.pull:
            middle, half = (start + end) / 2, max(SHORTEST_HOLD, (end - start) - 0.04) / 2
            pull = this.pull * _hold(times, middle - half, middle + half, RAMP, RAMP)
        else:
            continue
        track += pull[:, None] * (np.array(this.shapes[0]) - track)
    frames = np.arange(int(np.ceil(duration * FPS)))
    at = np.minimum(((frames + 0.5) / FPS / STEP).astype(int), len(times) - 1)
    return np.clip(track[at], 0, 1).astype(np.float32)
