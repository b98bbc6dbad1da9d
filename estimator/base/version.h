#ifndef VIDUR_BASE_VERSION_H
#define VIDUR_BASE_VERSION_H

/* What this build is. Constant strings. */

const char *vidur_version(void);    /* "0.2.0" */
const char *vidur_git_commit(void); /* 12 hexadecimal digits, "-dirty" after them where
                                       the tree had changes, or "unknown" */
const char *vidur_compiler(void);   /* "gcc 12.2.0" */
/* Those that every program is linked with: "libyaml 0.2.5, jansson 2.14, ..." */
const char *vidur_libraries(void);

#endif
