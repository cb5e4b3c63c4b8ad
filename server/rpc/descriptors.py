#!/usr/bin/env python3
"""Turns the FileDescriptorSet of protoc into C tables for reflection.c: each file's bytes and the names in it.

usage: descriptors.py SET OUTPUT.c
"""
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """Number and bytes of each length-delimited field of a message; the others are passed over."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, data[at:at + size]
            at += size
        elif key & 7 == 0:
            _, at = varint(data, at)
        else:
            at += {1: 8, 5: 4}[key & 7]


def of(data, number):
    return [value for n, value in fields(data) if n == number]


def name(data):
    return of(data, 1)[0].decode()


def messages(prefix, data):
    own = f"{prefix}.{name(data)}"
    yield own
    for nested in of(data, 3):
        yield from messages(own, nested)
    for enum in of(data, 4):
        yield f"{own}.{name(enum)}"


def symbols(file):
    """Names that a file defines (descriptor.proto: message_type = 4, enum_type = 5, service = 6; method = 2)."""
    package = of(file, 2)[0].decode()
    for message in of(file, 4):
        yield from messages(package, message)
    for enum in of(file, 5):
        yield f"{package}.{name(enum)}"
    for service in of(file, 6):
        own = f"{package}.{name(service)}"
        yield own
        for method in of(service, 2):
            yield f"{own}.{name(method)}"


def services(file):
    return [f"{of(file, 2)[0].decode()}.{name(service)}" for service in of(file, 6)]


def c_list(kind, i, names):
    yield f"static const char *const {kind}_{i}[] = {{ " + "".join(f'"{n}", ' for n in names) + "NULL };"


def c_source(files):
    yield "/* Made by descriptors.py. */"
    yield '#include "server/rpc/descriptors.h"'
    yield "#include <stddef.h>"
    for i, file in enumerate(files):
        yield f"static const uint8_t bytes_{i}[] = {{ {','.join(map(str, file))} }};"
        yield from c_list("symbols", i, symbols(file))
        yield from c_list("services", i, services(file))
    yield "const struct descriptor descriptors[] = {"
    for i, file in enumerate(files):
        yield f'\t{{ "{name(file)}", bytes_{i}, sizeof bytes_{i}, symbols_{i}, services_{i} }},'
    yield "\t{ NULL },\n};"


def main():
    with open(sys.argv[1], "rb") as source:
        files = of(source.read(), 1)
    with open(sys.argv[2], "w", encoding="ascii") as output:
        output.write("\n".join(c_source(files)) + "\n")


main()
