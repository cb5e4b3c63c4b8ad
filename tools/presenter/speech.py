"""Speech with its phonemes: espeak-ng through its library, which tells when each phoneme begins.

Needs libespeak-ng1 (Debian). One process speaks one text at a time: the library keeps its state in globals.
"""
import ctypes
from typing import NamedTuple

import numpy as np

SYNCHRONOUS, PHONEME_EVENTS = 2, 1
RATE, PITCH, RANGE = 1, 3, 4
UTF8 = 1
END_OF_EVENTS, PHONEME_EVENT = 0, 7


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
                ("length", ctypes.c_int), ("audio_ms", ctypes.c_int), ("sample", ctypes.c_int),
                ("user_data", ctypes.c_void_p), ("id", _Id)]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Phoneme(NamedTuple):
    start: float  # seconds
    name: str     # espeak-ng's mnemonic; "_" and its kin are pauses


class Speaker:
    """espeak-ng. speak() gives 16-bit mono samples at `sample_rate` and the phonemes in order."""

    def __init__(self):
        self._lib = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate = self._lib.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS)
        if self.sample_rate <= 0:
            raise RuntimeError("espeak-ng does not start: is the package espeak-ng-data installed?")
        self._samples, self._phonemes = [], []
        self._callback = _Callback(self._take)  # kept: the library holds its address
        self._lib.espeak_SetSynthCallback(self._callback)

    def _take(self, samples, count, events):
        if samples and count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != END_OF_EVENTS:
            if events[i].type == PHONEME_EVENT:
                name = ctypes.string_at(ctypes.addressof(events[i].id), 8).split(b"\0")[0]
                self._phonemes.append(Phoneme(events[i].audio_ms / 1000, name.decode()))
            i += 1
        return 0

    def speak(self, text, voice="en-us", rate=160, pitch=50, pitch_range=50):
        """rate in words a minute (80..450), pitch and pitch_range 0..100, voice as in `espeak-ng --voices`."""
        if self._lib.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self._lib.espeak_SetParameter(parameter, int(value), 0)
        self._samples, self._phonemes = [], []
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        samples = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
        return samples, self._phonemes
