#include "catalogue/catalogue.h"

#include <string.h>

#define OBS                                                                                                            \
	"https://raw.githubusercontent.com/royshil/obs-backgroundremoval/875ffda175fcb066380b31797c63630c8b4a3c71/"    \
	"data/models/"
#define LITE                                                                                                           \
	"https://raw.githubusercontent.com/kaito-tokyo/live-backgroundremoval-lite/"                                   \
	"3b0b5707dcf24ebace94878adb9ecc2606aebed8/data/models/"
#define PORTRAIT                                                                                                       \
	"https://raw.githubusercontent.com/anilsathyan7/Portrait-Segmentation/"                                        \
	"dbf69b043cf70d3362bc500ee620f20807e622d2/"

const struct il_catalogue_entry il_catalogue[] = {
	{ "selfie_segmentation_256", "selfie_segmentation_256.onnx", OBS "selfie_segmentation.onnx",
	  "1511ab5564cb0ae179cba9bcad6ad931003ccc71656f11fd270967023678c6a5", "GPL-3.0; MediaPipe Apache-2.0",
	  "MediaPipe selfie segmentation, 256x256", 447596 },
	{ "selfie_alphas_256_nchw", "selfie_alphas_256_nchw.onnx", LITE "model.onnx",
	  "3241ac4ad8aa35bdaf33946776db29f7c283a413aa0b0dacb9483594b4531aad",
	  "GPL-3.0/Apache-2.0; MediaPipe Apache-2.0", "the same, channels first", 462352 },
	{ "selfie_alphas_256_nchw_int8dyn", "selfie_alphas_256_nchw_int8dyn.onnx", LITE "model_int8.onnx",
	  "9bc3d56b0b1397acbdafb631ab5c7bf14a889c00fbe2018e36503c65a2b65983",
	  "GPL-3.0/Apache-2.0; MediaPipe Apache-2.0", "the same, in 8-bit integers", 223977 },
	{ "mediapipe_segm_144x256", "mediapipe_segm_144x256.onnx", OBS "mediapipe.onnx",
	  "7f785cf032261a07af7b845f891cab30da3f0757c7b362310e089e3aa8e8860a", "GPL-3.0; MediaPipe Apache-2.0",
	  "MediaPipe segmentation for video calls, 256x144", 781150 },
	{ "SINet_Softmax_simple", "SINet_Softmax_simple.onnx", OBS "SINet_Softmax_simple.onnx",
	  "17a75acc69747e443717dfaef152ee3c4615f2d81b0269f7c0224c47584af46a", "GPL-3.0; SINet MIT",
	  "SINet portrait segmentation, 320x320", 395434 },
	{ "SINet_logits", "SINet_logits.onnx", PORTRAIT "SINet/SINet.onnx",
	  "f35b9e40a455248ddb53fcae605b7cb3f0fcebaa6aa7c6e4d76e928cfb0ce995", "MIT",
	  "SINet portrait segmentation, 320x320, logits", 436866 },
	{ "tcmonodepth_192x320", "tcmonodepth_192x320.onnx", OBS "tcmonodepth_tcsmallnet_192x320.onnx",
	  "902b886beaebd3f68deb40bab2fd636a0c112c1ef1cbdd15fa26e5c55b389b4d", "GPL-3.0",
	  "TCMonoDepth, depth for focal blur, 320x192", 790459 },
	{ 0 },
};

const struct il_catalogue_entry *il_catalogue_find(const char *name)
{
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++)
		if (!strcmp(name, e->name) || !strcmp(name, e->file))
			return e;
	return NULL;
}
