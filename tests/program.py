"""What the tests of the program share: running it, TAP output, scratch folders."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

INLAY = os.environ["INLAY_PROGRAM"]
MODELS = os.environ["INLAY_TEST_MODELS"]
PACK = os.environ["INLAY_TEST_PACK"]
SPEECH = os.environ["INLAY_TEST_SPEECH"]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PRESENTER = os.path.join(ROOT, "models", "presenter")


class Skip(Exception):
    pass


def data(name=""):
    """A path in the test data; skips the test where there is none."""
    root = os.environ.get("INLAY_TEST_DATA")
    if not root:
        raise Skip("INLAY_TEST_DATA is not set")
    return os.path.join(root, name)


def model(name):
    return os.path.join(MODELS, name + ".onnx")


def run(*args, timeout=900, **options):
    """Runs inlay; returns the finished process with stdout as bytes and stderr as text."""
    done = subprocess.run([INLAY, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options)
    done.stderr = done.stderr.decode()
    return done


def works(*args, **options):
    done = run(*args, **options)
    assert done.returncode == 0, f"inlay {' '.join(map(str, args))}: exit {done.returncode}: {done.stderr}"
    return done


def fails(*args, says, status=1, **options):
    """The call must fail with `status` and one line that holds every text of `says`."""
    done = run(*args, **options)
    texts = [says] if isinstance(says, str) else says
    assert done.returncode == status, f"exit {done.returncode}, expected {status}: {done.stderr}"
    lines = [line for line in done.stderr.splitlines() if line.startswith("inlay: error: ") or status == 2]
    assert len(lines) == 1 or status == 2, f"expected one line of error: {done.stderr!r}"
    for text in texts:
        assert text in done.stderr, f"{text!r} is not in: {done.stderr!r}"
    return done


def lipsync(*args):
    """Arguments of a small complete job, to which output and options are added."""
    return ("lipsync", "--avatar", PACK, "--audio", SPEECH, *args)


def digests(*args):
    """One digest a frame."""
    lines = works(*args, "--format", "md5").stdout.decode().splitlines()
    return [line.split()[1] for line in lines]


def probe(path, *entries):
    """ffprobe's answers as {name: text} of each stream."""
    out = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_streams", path], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    streams = []
    for line in out.splitlines():
        if line == "[STREAM]":
            streams.append({})
        elif "=" in line:
            name, value = line.split("=", 1)
            streams[-1].setdefault(name, value)
    return {s["codec_type"]: s for s in streams}


def folder_is_clean(folder, *expected):
    found = sorted(os.listdir(folder))
    assert found == sorted(expected), f"{folder} holds {found}, expected {sorted(expected)}"


def main(tests):
    """Runs test functions, each with a scratch folder of its own; TAP on standard output."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        scratch = tempfile.mkdtemp(prefix="inlay-test-")
        try:
            test(scratch)
            print(f"ok {number} {test.__name__}")
        except Skip as reason:
            print(f"ok {number} {test.__name__} # SKIP {reason}")
        except Exception:
            failed = 1
            print(f"not ok {number} {test.__name__}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            sys.stdout.flush()
    return failed
