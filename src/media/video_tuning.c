#include "media/video_tuning.h"

#include <libavutil/opt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* They print to standard error when the name is another one. */
static const char x26x_presets[] =
	"ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow or placebo";

/* Where an encoder's own defaults are not ours. */
static const struct tuning {
	const char *encoder, *preset, *presets; /* NULL: the encoder itself checks them */
	const char *quality;                    /* its name for crf */
	int crf, crf_max;
	const char *options[8]; /* name, value, ... */
} tunings[] = {
	{ "libx264", "veryfast", x26x_presets, "crf", 20, 51, { NULL } },
	{ "libx265", "veryfast", x26x_presets, "crf", 20, 51, { "x265-params", "log-level=error" } },
	{ "libvpx-vp9", NULL, NULL, "crf", 32, 63, { "deadline", "realtime", "cpu-used", "6", "row-mt", "1" } },
	{ "libvpx", NULL, NULL, "crf", 32, 63, { "deadline", "realtime", "cpu-used", "6" } },
	{ "h264_nvenc", "p4", NULL, "cq", 20, 51, { "rc", "vbr" } },
	{ "hevc_nvenc", "p4", NULL, "cq", 20, 51, { "rc", "vbr" } },
	{ "av1_nvenc", "p4", NULL, "cq", 30, 51, { "rc", "vbr" } },
	{ "prores_ks", NULL, NULL, "crf", -1, INT_MAX, { "profile", "4444", "vendor", "apl0" } },
};

static const struct tuning *find_tuning(const char *encoder)
{
	static const struct tuning none = { .quality = "crf", .crf = -1, .crf_max = INT_MAX };
	for (size_t i = 0; i < sizeof tunings / sizeof *tunings; i++)
		if (!strcmp(encoder, tunings[i].encoder))
			return &tunings[i];
	return &none;
}

static bool has_option(const AVCodecContext *e, const char *name)
{
	return e->priv_data && av_opt_find(e->priv_data, name, NULL, 0, 0);
}

/* An option of the encoder's own, where it has one of this name. */
static enum inlay_err set_option(AVCodecContext *e, const char *name, const char *value, bool asked,
                                 struct inlay_error *err)
{
	if (!has_option(e, name)) {
		if (asked)
			il_log_warn("codec %s has no %s: %s is ignored", e->codec->name, name, value);
		return INLAY_OK;
	}
	int ret = av_opt_set(e->priv_data, name, value, 0);
	return ret < 0 ? il_fail(err, INLAY_ERR_INVALID, "%s \"%s\": codec %s does not take it", name, value,
	                         e->codec->name)
	               : INLAY_OK;
}

static bool is_one_of(const char *word, const char *list)
{
	size_t n = strlen(word);
	const char *found = n ? strstr(list, word) : NULL;
	while (found && !((found == list || found[-1] == ' ') && (!found[n] || found[n] == ',' || found[n] == ' ')))
		found = strstr(found + 1, word);
	return found && strcmp(word, "or") != 0;
}

static enum inlay_err set_preset(AVCodecContext *e, const struct tuning *tuning, const struct il_sink_params *params,
                                 struct inlay_error *err)
{
	const char *preset = params->preset ? params->preset : tuning->preset;
	if (!preset)
		return INLAY_OK;
	if (tuning->presets && !is_one_of(preset, tuning->presets))
		return il_fail(err, INLAY_ERR_INVALID, "preset \"%s\": codec %s takes %s", preset, e->codec->name,
		               tuning->presets);
	return set_option(e, "preset", preset, params->preset, err);
}

static enum inlay_err set_quality(AVCodecContext *e, const struct tuning *tuning, int crf, bool asked,
                                  struct inlay_error *err)
{
	char number[16];
	if (crf > tuning->crf_max)
		return il_fail(err, INLAY_ERR_INVALID, "crf %d: codec %s takes 0 (best) to %d (smallest)", crf,
		               e->codec->name, tuning->crf_max);
	if (crf >= 0 && has_option(e, tuning->quality))
		e->bit_rate = 0; /* it caps the quality otherwise */
	snprintf(number, sizeof number, "%d", crf);
	return crf >= 0 ? set_option(e, tuning->quality, number, asked, err) : INLAY_OK;
}

static void describe(const AVCodecContext *e, const struct tuning *tuning, const struct il_sink_params *params, int crf,
                     char *text, size_t size)
{
	const char *preset = params->preset ? params->preset : tuning->preset;
	bool has_preset = preset && has_option(e, "preset");
	char quality[32] = "";
	if (crf >= 0 && has_option(e, tuning->quality))
		snprintf(quality, sizeof quality, " %s %d", tuning->quality, crf);
	snprintf(text, size, "%s%s%s%s", e->codec->name, has_preset ? " " : "", has_preset ? preset : "", quality);
}

enum inlay_err il_video_tune(AVCodecContext *e, const struct il_sink_params *params, char *text, size_t size,
                             struct inlay_error *err)
{
	const struct tuning *tuning = find_tuning(e->codec->name);
	int crf = params->crf >= 0 ? params->crf : tuning->crf;
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; !rc && i < 8 && tuning->options[i]; i += 2)
		rc = set_option(e, tuning->options[i], tuning->options[i + 1], false, err);
	if (!rc)
		rc = set_preset(e, tuning, params, err);
	if (!rc)
		rc = set_quality(e, tuning, crf, params->crf >= 0, err);
	if (!rc)
		describe(e, tuning, params, crf, text, size);
	return rc;
}
