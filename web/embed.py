#!/usr/bin/python3
"""Files as arrays of C: embed.py FILE... OUTPUT.c; NAME.EXT becomes web_NAME_EXT and web_NAME_EXT_size."""
import pathlib
import sys

*inputs, output = sys.argv[1:]
lines = ['#include "server/http/web_files.h"', ""]
for path in map(pathlib.Path, inputs):
    data = path.read_bytes()
    name = "web_" + path.name.replace(".", "_").replace("-", "_")
    lines.append(f"const unsigned char {name}[] = {{")
    lines += ["\t" + "".join(f"{byte}," for byte in data[i:i + 32]) for i in range(0, len(data), 32)]
    lines += ["};", f"const size_t {name}_size = sizeof {name};", ""]
pathlib.Path(output).write_text("\n".join(lines))
