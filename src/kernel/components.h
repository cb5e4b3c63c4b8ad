/* Contour filter of an 8-bit mask: what is in it as a small blob of its own goes, and small holes close.
 *
 * A blob is a set of pixels >= 128 connected across sides and corners; a hole is a set of pixels < 128 connected across
 * sides that does not touch the border. Areas are pixel counts. The contour_filter of the OBS background-removal plugin
 * does this to the mask of the background: invert the mask, drop its share, fill 2 (every hole), invert. What is left
 * of difference is that it measures areas within the outline through the centres of a blob's outer pixels
 * (cv::contourArea), its holes included.
 */
#ifndef IL_KERNEL_COMPONENTS_H
#define IL_KERNEL_COMPONENTS_H

#include <stddef.h>
#include <stdint.h>

#define IL_CONTOUR_SHARE 0.05 /* the plugin's default */

struct il_components_params {
	double drop; /* blobs smaller than this share of the picture become 0; 0 keeps all */
	double fill; /* holes smaller than this share of the picture become 255; 0 keeps all */
};

/* Bytes of scratch for il_components_filter. */
size_t il_components_scratch(int width, int height);

/* In place. Blobs go first, holes are those of what is left; pixels of blobs and holes that stay keep their values, and
 * so do soft edges (1..127) round a blob that goes. scratch is aligned for int. Sizes up to 32767. Thread-safe. */
void il_components_filter(uint8_t *mask, ptrdiff_t stride, int width, int height,
                          const struct il_components_params *params, void *scratch);

#endif
