#ifndef VIDUR_TEST_EXAMPLE_ROW_H
#define VIDUR_TEST_EXAMPLE_ROW_H

#include <vidur/ranking.h>

/* A Llama on two replicas of eight A100s, which serves 8 QPS. */
struct vidur_ranking_row example_row(void);

#endif
