/* Sound from strangers: decoded by a child process that can do nothing else.
 *
 * The child is this program anew (/proc/self/exe decode-upload): a fork of many threads would take their locks along.
 * It has the upload as descriptor 3 and the output as 4, limits of memory, time and file size, and a seccomp filter
 * that leaves it reading and writing what is open. libav's open() of the upload is answered with descriptor 3, once,
 * whatever name it asks for: demuxers that would follow names get none.
 */
#ifndef SERVER_INTAKE_H
#define SERVER_INTAKE_H

#include <stdint.h>

#include "inlay/error.h"

#define INTAKE_COMMAND "decode-upload"

struct intake_limits {
	double seconds;     /* of sound */
	int64_t bytes;      /* of the upload */
	int64_t timeout_ms; /* of the child; 0: 120 s */
};

/* Decodes the file `path` to `wav_out` (media/wav.h), which appears whole or not at all and replaces what was there.
 * What the upload is to blame for, a child that takes too long among it, is INLAY_ERR_FORMAT with the text "the upload
 * could not be decoded: ..."; INLAY_ERR_IO is the disk's fault or that of a system without seccomp. Any thread. */
enum inlay_err intake_audio(const char *path, const char *wav_out, const struct intake_limits *limits,
                            struct inlay_error *err);

/* The child: argv[1] is the limit in seconds; descriptors as above, its words go to standard error. Ends the process
 * without returning, its status an enum inlay_err, once the sandbox is closed. */
int intake_child_main(int argc, char **argv);

/* Closes the sandbox around this process, which has one thread, for good. file_bytes: of files written at most. Opening
 * any file gives a duplicate of descriptor `upload` once, and EACCES after that. */
enum inlay_err intake_sandbox(int upload, int64_t file_bytes, struct inlay_error *err);

#endif
