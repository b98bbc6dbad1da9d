#ifndef VIDUR_TEST_SPACE_FIXTURE_H
#define VIDUR_TEST_SPACE_FIXTURE_H

#include <vidur/space.h>

/* A search's configuration given as text, and the space that is built from it. */

extern struct vidur_search_config config;
extern struct vidur_space space;

/* The folder that the configuration is written to; made when it is first asked for. */
const char *space_fixture_folder(void);
void space_fixture_remove(void);

/* Loads and builds; release() follows, whether it went well or not. */
int build(const char *text, struct vidur_error *err);
/* The same; ends the test where it fails, and prints why. */
void expect_builds(const char *text);
void release(void);

enum { SPACE_IDS = 64 };
/* Builds, and releases: the candidates' ids in rising order, and how many they are. */
int64_t collect_ids(const char *text, uint64_t ids[SPACE_IDS]);

#endif
