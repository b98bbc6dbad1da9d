#ifndef VIDUR_TIMETABLE_INTERNAL_H
#define VIDUR_TIMETABLE_INTERNAL_H

#include <vidur/engine_table.h>
#include <vidur/forest.h>
#include <vidur/profile.h>
#include <vidur/timetable.h>

#include "tables/cache.h"

/*
 * The room estimator/tables. Times over all sizes a batch can have, from samples,
 * kernel timings or a roofline, cached by a hash of all that went in. What leaves the
 * room is frozen and shared. Public in timetable.h and engine_table.h.
 */

/*
 * The parts of timetable.c: what a timetable is made from, how large its tables are,
 * its key, and the two ways to fill it.
 */

/* Sizes of the tables. */
struct vidur_table_limits {
    int64_t tokens;    /* token operators: 1..tokens */
    int64_t batch;     /* attn_decode rows, CPU overheads: 1..batch */
    int64_t kv_points; /* 0, granularity, 2 * granularity, ... */
    int64_t max_chunk; /* attn_prefill columns: 1..max_chunk */
};

/* What the configuration and the request ask for together; `rounded`: up to coarse
 * steps, so that requests of similar size share one timetable. */
struct vidur_table_limits
vidur_table_limits(const struct vidur_estimator_config *config,
                   const struct vidur_timetable_request *request, bool rounded);

/*
 * `config` with what it leaves open decided for this request: source auto becomes
 * profiles where the folders have rows for the request's model, device and TP, else
 * roofline. For the engine auto is the roofline: its step model has its own constants.
 * Says the choice through the log. `out` may be `config`. All functions below take a
 * decided configuration.
 */
int vidur_timetable_decide(struct vidur_estimator_config *out,
                           const struct vidur_estimator_config *config,
                           const struct vidur_timetable_request *request,
                           const struct vidur_log *log, struct vidur_error *err);

/* One line on what the tables are made from, and what stands in for what is missing. */
int vidur_timetable_describe(char *text, size_t size,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err);

/* The engine's table of the same; stages and limits are left to the caller. It refers
 * to what both refer to. */
struct vidur_engine_request
vidur_timetable_engine_request(const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request);

/* What the configured profile folders hold for a request. */
int vidur_timetable_survey(struct vidur_profile_survey *out,
                           const struct vidur_estimator_config *config,
                           const struct vidur_timetable_request *request,
                           struct vidur_error *err);

/* The samples that a request's regressors learn from: roofline, or profiles with the
 * network's operators from the alpha-beta model where no file has them. */
int vidur_timetable_profile(struct vidur_profile **out,
                            const struct vidur_estimator_config *config,
                            const struct vidur_timetable_request *request,
                            const struct vidur_log *log, struct vidur_error *err);

/* The profile files that a request reads. */
int vidur_timetable_profile_paths(struct vidur_profile_paths *paths,
                                  const struct vidur_estimator_config *config,
                                  const struct vidur_timetable_request *request,
                                  struct vidur_error *err);

/*
 * The hyperparameters to search. Samples of a roofline (synthetic) have no noise to
 * guard against, so their grid is one point: the fewest trees (64 at most), the
 * greatest depth and the smallest split of the configured lists.
 */
void vidur_timetable_grid(struct vidur_regressor_grid *grid,
                          const struct vidur_estimator_config *config, bool synthetic);

/* Selects and fits one operator's regressor; `selection` may be NULL, and for samples
 * of a roofline the selection is then skipped: the result is the same. */
int vidur_timetable_regression(struct vidur_regression **out,
                               struct vidur_selection *selection,
                               const struct vidur_estimator_config *config,
                               const struct vidur_samples *samples,
                               struct vidur_error *err);

/* Fills entry's tables from regressors. The caller closes the entry, also on error. */
int vidur_timetable_build(struct vidur_cache_entry *entry,
                          const struct vidur_estimator_config *config,
                          const struct vidur_timetable_request *request,
                          const struct vidur_log *log, struct vidur_error *err);

/* Whether a decided configuration's operator tables are priced from the plan of a step
 * (timetable_price.c): from kernels, and from the roofline where layers are not dense
 * bf16 ones that are all alike, which samples of one layer can stand for. */
bool vidur_timetable_is_priced(const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request);

/* Fills entry's tables with prices. The caller closes the entry, also on error. */
int vidur_timetable_price(struct vidur_cache_entry *entry,
                          const struct vidur_estimator_config *config,
                          const struct vidur_timetable_request *request,
                          struct vidur_error *err);

/* "; NAME from WHERE" for each price that stands in for a timing that kernels lack. */
int vidur_timetable_borrowed(char *out, size_t size,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err);

/* Reads entry's tables from a folder of OPERATOR.csv files (CONTRACT.md). */
int vidur_timetable_read_csv(struct vidur_cache_entry *entry,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err);

/* Path of a table's file in such a folder, .csv or .csv.gz; false: there is none. */
bool vidur_timetable_csv_path(const char *folder, const char *name,
                              struct vidur_path *path);

/* The hash of all that goes into a whole timetable. */
int vidur_timetable_whole_key(char key[65], const struct vidur_estimator_config *config,
                              const struct vidur_timetable_request *request,
                              struct vidur_error *err);

/* Operator tables are asked for, or needed by the engine's. */
bool vidur_timetable_has_operators(const struct vidur_estimator_config *config,
                                   const struct vidur_timetable_request *request);

/* The hash of all that goes into the operator tables: the cache file's name. */
int vidur_timetable_key(char key[65], const struct vidur_estimator_config *config,
                        const struct vidur_timetable_request *request,
                        struct vidur_error *err);

#endif
