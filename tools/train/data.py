"""Speech with the mouth that goes with it: what the networks learn from, and what they are measured by.

A take is one voice saying many sentences: its samples, its mel rows as inlay makes them, and its mouth track.
"""
import os
import random
import subprocess
import sys
import tempfile
import wave
from typing import NamedTuple

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "presenter"))
from face import FPS  # noqa: E402
from speech import Phoneme, Speaker  # noqa: E402
from viseme import movement  # noqa: E402

INLAY = os.environ.get("INLAY_PROGRAM", os.path.join(ROOT, "build", "inlay"))
WINDOW_ROWS = 16   # mel rows of a window: 0.2 s
MEL_ROWS_A_SECOND = 80
WINDOWS_BEFORE, WINDOWS_AFTER = 8, 7  # windows of audio features around a frame's own


class Take(NamedTuple):
    voice: str
    samples: np.ndarray  # int16 mono
    sample_rate: int
    mouth: np.ndarray    # [frames,5] in the order of face.Mouth
    mel: np.ndarray      # [rows,80]


def write_wav(path, samples, sample_rate):
    with wave.open(path, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(sample_rate)
        f.writeframes(samples.astype("<i2").tobytes())


def mel_rows(samples, sample_rate):
    """Mel rows [rows,80] of samples, by `inlay features --mel`: training sees just what the program will."""
    with tempfile.TemporaryDirectory() as folder:
        wav, npy = os.path.join(folder, "a.wav"), os.path.join(folder, "a.npy")
        write_wav(wav, samples, sample_rate)
        subprocess.run([INLAY, "features", "--mel", "-q", wav, "-o", npy], check=True)
        return np.load(npy)


def say(speaker, rng, voice, texts, gaps=(0.2, 1.2)):
    """One take of `texts`, each at a rate and pitch of its own, with silence of gaps[0] to gaps[1] seconds before it."""
    hz = speaker.sample_rate
    parts, phonemes, at = [], [], 0
    for text in texts:
        gap = int(hz * rng.uniform(*gaps))
        phonemes.append(Phoneme(at / hz, "_"))
        at += gap
        samples, spoken = speaker.speak(text, voice, rng.randint(120, 200), rng.randint(25, 75), rng.randint(30, 70))
        phonemes += [Phoneme(at / hz + p.start, p.name) for p in spoken]
        parts += [np.zeros(gap, np.int16), samples]
        at += len(samples)
    phonemes.append(Phoneme(at / hz, "_"))
    parts.append(np.zeros(int(hz * 0.5), np.int16))
    samples = np.concatenate(parts)
    return Take(voice, samples, hz, movement(phonemes, len(samples) / hz), mel_rows(samples, hz))


def training_takes(sentences, voices, seconds_a_voice, seed):
    """A take a voice, each about `seconds_a_voice` long."""
    speaker, rng = Speaker(), random.Random(seed)
    for voice in voices:
        texts, heard = [], 0.0
        while heard < seconds_a_voice:
            texts.append(next(sentences))
            heard += 0.4 * len(texts[-1].split()) + 0.9
        yield say(speaker, rng, voice, texts)


def window_starts(mel_row_count):
    """First mel row of each window, one window a frame."""
    count = int((mel_row_count - WINDOW_ROWS) * FPS / MEL_ROWS_A_SECOND) + 2
    return np.minimum((np.arange(count) * MEL_ROWS_A_SECOND / FPS).astype(int), mel_row_count - WINDOW_ROWS)


def windows(mel):
    """[windows,80,16], as the program gives them to the audio encoder one by one."""
    starts = window_starts(len(mel))
    return np.stack([mel[s:s + WINDOW_ROWS].T for s in starts])


def feature_rows(frame, count):
    """Indices into the windows of the 16 rows that frame sees, and which of them exist (others are zeros).

    The matrix of features repeats its first and its last row, so row r is window r - 1.
    """
    rows = np.arange(frame - WINDOWS_BEFORE, frame + WINDOWS_AFTER + 1)
    there = (rows >= 0) & (rows < count + 2)
    return np.clip(rows - 1, 0, count - 1), there
