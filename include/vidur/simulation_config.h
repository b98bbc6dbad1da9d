#ifndef VIDUR_SIMULATION_CONFIG_H
#define VIDUR_SIMULATION_CONFIG_H

#include <vidur/deployment.h>
#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/slo.h>
#include <vidur/timetable.h>
#include <vidur/workload.h>

#include <stdbool.h>

/*
 * The configuration of one simulation: one fleet at one load, as vidur-simulate
 * and vidur-estimate read it; the parts are read by vidur-search too.
 * Source: CONTRACT.md, "vidur-simulate".
 */

/*
 * Keys of `output:`, which files to write. Declared once.
 * X(name, default, what)
 */
#define VIDUR_SIMULATION_OUTPUTS(X)                                                    \
    X(requests, true, "request_metrics.csv: a row per request")                        \
    X(batches, false, "batch_metrics.csv: a row per batch and stage")                  \
    X(operators, false, "operator_metrics.csv: time per operator, batch and stage")    \
    X(chrome_trace, false, "chrome_trace.json: for Perfetto and chrome://tracing")     \
    X(event_trace, false, "event_trace.json: every event of the simulation")           \
    X(statistics, true,                                                                \
      "time_series.csv and the per-batch, per-replica figures of summary.json")

struct vidur_output_config {
#define X(name, def, what) bool name;
    VIDUR_SIMULATION_OUTPUTS(X)
#undef X
};

/* Plain data except for the two texts, which it owns. */
struct vidur_simulation_config {
    struct vidur_fleet fleet; /* one pool of role `all` where none are listed */
    struct vidur_deployment deployment; /* the first pool's */
    bool default_node[VIDUR_MAX_POOLS]; /* by pool: nobody names its network_device */
    struct vidur_workload_config workload;
    struct vidur_estimator_config estimator;
    struct vidur_output_config output;
    struct vidur_slo_list slos; /* of all requests, then those of classes */
    double time_limit_s;        /* simulated; 0: none */
    enum vidur_tbt_definition tbt_definition;
    /* where it came from */
    char path[1024];
    char sha256[65]; /* of the configuration's content, overrides applied */
    char *text;      /* as read, one `# --set ...` line per override behind it */
};

/* Reads a file, applies `key.path=value` overrides in order, loads the model and the
 * SKUs that it names and checks that all fits together. Release after a failure, too.
 */
int vidur_simulation_config_load(struct vidur_simulation_config *config,
                                 const char *path, const char *const *sets,
                                 int num_sets, struct vidur_error *err);

/* Puts the place in the file in front of an error about a key, found once the file was
 * read: a text that starts with `KEY.PATH: `. `sets` as for loading. Returns -1. */
int vidur_simulation_config_locate(const struct vidur_simulation_config *config,
                                   const char *const *sets, int num_sets,
                                   struct vidur_error *err);
void vidur_simulation_config_release(struct vidur_simulation_config *config);

/* ---- Parts, for floors above ---- */

struct vidur_yaml_node;
struct vidur_yaml_field;

/* The schema of every scheduler knob (VIDUR_SCHEDULER_KNOBS) as offsets into struct
 * vidur_scheduler_config; ends with a NULL key. `type` is not in it. */
const struct vidur_yaml_field *vidur_scheduler_knob_fields(void);

/* The keys of `cluster:` that are struct vidur_deployment's own (VIDUR_YAML_PART):
 * replicas, VIDUR_PARALLELISM, memory. Those of its hardware: vidur_hardware_fields().
 */
const struct vidur_yaml_field *vidur_deployment_cluster_fields(void);

/* The key `kv_transfer:`, for a struct vidur_kv_transfer (VIDUR_YAML_PART). */
const struct vidur_yaml_field *vidur_kv_transfer_section(void);

/* The mapping of a `scheduler:` section: `type` and knobs. */
int vidur_scheduler_config_read(const struct vidur_yaml_node *section,
                                struct vidur_scheduler_config *scheduler,
                                struct vidur_error *err);

/* An objective, a vidur_yaml_reader of a struct vidur_slo: `metric`, `quantile` and
 * `limit_s`, or `all` with a limit by metric, and `quantile`. */
int vidur_slo_read(const struct vidur_yaml_node *node, void *slo,
                   struct vidur_error *err);

/* Adds the SLOs in `slos:` of each element of `classes`, a list with those of the
 * workload in their order, and checks that no two in the list are on the same. */
int vidur_class_slos_read(const struct vidur_yaml_node *classes,
                          const struct vidur_workload_config *workload,
                          struct vidur_slo_list *slos, struct vidur_error *err);

/* "by_semantics", "vidur", "exact": for enum vidur_memory_planner's values in order;
 * ends with NULL. */
extern const char *const vidur_memory_planner_names[];

#endif
