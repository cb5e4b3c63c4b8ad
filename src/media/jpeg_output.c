#include "media/jpeg_output.h"

#include <stdlib.h>

static bool grow(struct il_jpeg_output *output)
{
	size_t capacity = output->capacity ? output->capacity * 2 : 1 << 16;
	uint8_t *bytes = realloc(output->bytes, capacity);
	if (!bytes)
		return false;
	size_t used = output->capacity;
	output->bytes = bytes;
	output->capacity = capacity;
	output->manager.next_output_byte = bytes + used;
	output->manager.free_in_buffer = capacity - used;
	return true;
}

static void start(j_compress_ptr jpeg)
{
	struct il_jpeg_output *output = (struct il_jpeg_output *)jpeg->dest;
	output->manager.next_output_byte = output->bytes;
	output->manager.free_in_buffer = output->capacity;
}

static boolean extend(j_compress_ptr jpeg)
{
	struct il_jpeg_errors *errors = (struct il_jpeg_errors *)jpeg->err;
	if (!grow((struct il_jpeg_output *)jpeg->dest)) {
		snprintf(errors->text, sizeof errors->text, "out of memory");
		longjmp(errors->jump, 1);
	}
	return TRUE;
}

static void end(j_compress_ptr jpeg)
{
	(void)jpeg;
}

bool il_jpeg_output_init(struct il_jpeg_output *output, struct jpeg_compress_struct *jpeg)
{
	output->manager = (struct jpeg_destination_mgr){ .init_destination = start,
		                                         .empty_output_buffer = extend,
		                                         .term_destination = end };
	jpeg->dest = &output->manager;
	return grow(output);
}

void il_jpeg_output_free(struct il_jpeg_output *output)
{
	free(output->bytes);
	*output = (struct il_jpeg_output){ 0 };
}

size_t il_jpeg_output_size(const struct il_jpeg_output *output)
{
	return output->capacity - output->manager.free_in_buffer;
}
