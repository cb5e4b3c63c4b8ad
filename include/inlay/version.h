#ifndef INLAY_VERSION_H
#define INLAY_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
const char *inlay_version(void);

#ifdef __cplusplus
}
#endif
#endif
