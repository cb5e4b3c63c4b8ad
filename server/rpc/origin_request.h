/* Batch requests of the services that inlay serve takes the place of (compositing.proto, monolithic.proto,
 * inference_origin.proto), read where they lie: their pictures may be 60 MB, and are mostly not looked at. */
#ifndef SERVER_RPC_ORIGIN_REQUEST_H
#define SERVER_RPC_ORIGIN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "avatar/store.h"

enum origin_kind { ORIGIN_COMPOSITING, ORIGIN_MONOLITHIC, ORIGIN_INFERENCE };

#define ORIGIN_MAX_BATCH 50 /* of any of them */

struct origin_bytes {
	const uint8_t *data; /* in the message; at any address */
	size_t size;
};

struct origin_request {
	struct origin_bytes id, visual_frames, raw_audio, audio_features;
	int32_t batch_size, start_frame, sample_rate;
};

/* Whether a store can have an avatar of that name: only such are echoed to clients. */
bool origin_id_valid(const char *id, size_t size);

/* Unknown fields are passed over. INLAY_ERR_FORMAT where the bytes are no message. */
enum inlay_err origin_request_parse(struct origin_request *request, enum origin_kind kind, const uint8_t *data,
                                    size_t size, struct inlay_error *err);

/* What can be said before the avatar is known; `avatar`: its id. */
enum inlay_err origin_request_check(const struct origin_request *request, enum origin_kind kind,
                                    char avatar[IL_STORE_ID_MAX + 1], struct inlay_error *err);

/* audio_features as one window of features for each frame, windows [batch_size]: floats [batch_size * window_floats] is
 * room for them. INLAY_ERR_INVALID for another size than one window or one for each frame, and for what is not finite.
 */
enum inlay_err origin_request_windows(const struct origin_request *request, size_t window_floats, float *floats,
                                      const float **windows, struct inlay_error *err);

/* raw_audio as samples in fresh memory (free()), NULL after an error. */
enum inlay_err origin_request_samples(const struct origin_request *request, float **samples, size_t *count,
                                      struct inlay_error *err);

/* visual_frames as crops for il_mouths_request, [batch_size, S + 8, S + 8, 3] in fresh memory (free()), NULL after an
 * error: the first three planes of each in the middle, the margin black. size: S. */
enum inlay_err origin_request_crops(const struct origin_request *request, int size, uint8_t **crops,
                                    struct inlay_error *err);

#endif
