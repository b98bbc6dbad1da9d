#ifndef VIDUR_TEST_WORKLOAD_FIXTURE_H
#define VIDUR_TEST_WORKLOAD_FIXTURE_H

#include <vidur/workload.h>

/* Workloads and files of requests given as text. What must succeed ends the test where
 * it fails, and prints why. */

struct vidur_workload *create(const struct vidur_workload_config *config);
/* It cannot be created, with an error that has the text in it. */
void assert_not_created(const struct vidur_workload_config *config, const char *text);

/* A file that holds the text: one a program, removed at its end. */
const char *file_of(const char *text);

#define REPLAY_HEADER "arrived_at,num_prefill_tokens,num_decode_tokens\n"
/* The replay of a file that holds the text. */
struct vidur_workload_config of_replay(const char *text);

void assert_same_requests(const struct vidur_workload *a,
                          const struct vidur_workload *b);

/* Reads the text of a `workload:` section; the error, if any, is in *err. */
int read_section(const char *yaml, struct vidur_workload_config *config,
                 struct vidur_error *err);
struct vidur_workload_config of_yaml(const char *yaml);
/* The workload of such a text, completed as corrected semantics have it. */
struct vidur_workload *create_of(const char *yaml);

#endif
