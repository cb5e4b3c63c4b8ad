#!/usr/bin/python3
"""Checks the house rules that a compiler does not: TAP on standard output.

usage: layering_test.py SOURCE_ROOT
"""
import pathlib
import re
import sys

# A folder includes itself and folders before it. Tests that stand beside a source may also include tests/test.h.
ORDER = ["base", "frame", "kernel", "media", "speech", "infer", "catalogue", "avatar", "composite", "pipeline", "job"]

# The only users of each heavy dependency, by header.
OWNERS = {
    r"libav\w+/|libsw\w+/": {"src/media"},
    r"jpeglib\.h|turbojpeg\.h": {"src/media"},
    r"onnxruntime": {"src/infer"},
    r".*onnx\.pb-c": {"src/infer"},
    r"protobuf-c/": {"src/infer", "server/rpc"},
    r"grpc/": {"server/rpc"},
    r"microhttpd": {"server/http"},
    r"sqlite3": {"server/videos"},
    r"yaml\.h": {"server"},
    r"seccomp": {"server"},
    r"fftw3\.h": {"src/speech"},
    r"libyuv": {"src/media"},
    r"lz4": {"src/avatar"},
    r"xxhash": {"src/base"},
    r"curl/|nettle/": {"src/catalogue"},
    r"immintrin\.h|arm_neon\.h": {"src/kernel"},
    r"glib|gst/": set(),
}
FORBIDDEN_CALLS = r"(?<![\w.>])(abort|exit|_exit|quick_exit)\s*\("


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[">]', path.read_text(), re.M)


def sources(root, *folders):
    return [p for folder in folders for p in sorted((root / folder).rglob("*.[ch]"))]


def upward_includes(root):
    for path in sources(root, "src"):
        own = path.relative_to(root / "src").parts[0]
        for name in includes(path):
            other = name.split("/")[0]
            if other in ORDER and ORDER.index(other) > ORDER.index(own):
                yield f"{path.relative_to(root)} includes {name}, which lies below {own}"
            if (root / "cli" / name).exists() and "/" not in name and not (path.parent / name).exists():
                yield f"{path.relative_to(root)} includes {name} of cli/"


def unknown_folders(root):
    for path in (root / "src").iterdir():
        if path.is_dir() and path.name not in ORDER:
            yield f"src/{path.name} has no place in the order {' '.join(ORDER)}"


def foreign_dependencies(root):
    for path in sources(root, "src", "server", "cli", "bench"):
        if path.name.endswith("_test.c"):
            continue
        folder = "/".join(path.relative_to(root).parent.parts[:2])
        for name in includes(path):
            for pattern, owners in OWNERS.items():
                if re.match(pattern, name) and folder not in owners:
                    yield f"{path.relative_to(root)} includes {name}, which belongs to {' '.join(sorted(owners)) or 'nobody'}"


def rooted_includes(root):
    for path in sources(root, "src", "server"):
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.M):
            if "/" not in name:
                yield f'{path.relative_to(root)} includes "{name}" without its folder'


def private_headers_in_public(root):
    for path in sources(root, "include"):
        for name in includes(path):
            if "/" in name and not name.startswith("inlay/"):
                yield f"{path.relative_to(root)} includes {name}"


def deadly_calls(root):
    for path in sources(root, "src", "server"):
        if path.name.endswith("_test.c"):
            continue
        text = re.sub(r"/\*.*?\*/|//[^\n]*|\"(\\.|[^\"\\])*\"", "", path.read_text(), flags=re.S)
        for call in re.findall(FORBIDDEN_CALLS, text):
            yield f"{path.relative_to(root)} calls {call}()"


def long_files(root):
    for path in sources(root, "src", "server", "cli", "bench", "include"):
        lines = len(path.read_text().splitlines())
        if lines > 800:
            yield f"{path.relative_to(root)} has {lines} lines: two ideas?"


def main():
    root = pathlib.Path(sys.argv[1])
    checks = [unknown_folders, upward_includes, rooted_includes, private_headers_in_public, foreign_dependencies,
              deadly_calls, long_files]
    print(f"1..{len(checks)}")
    for number, check in enumerate(checks, 1):
        faults = list(check(root))
        for fault in faults:
            print(f"# {fault}")
        print(f"{'not ok' if faults else 'ok'} {number} {check.__name__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
