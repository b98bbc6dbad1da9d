#ifndef VIDUR_SEARCH_CONFIG_PARTS_H
#define VIDUR_SEARCH_CONFIG_PARTS_H

#include "base/yaml.h"

#include <vidur/space.h>

/* Parts of the configuration's reading that are more than a table; for config.c, and
 * for what is found out later. */

/* `schedulers:`: fills schedulers and num_schedulers. */
int config_read_schedulers(const struct vidur_yaml_node *node,
                           struct vidur_search_config *config, struct vidur_error *err);

/* `traces:`: fills traces and num_traces, but for what other sections decide. */
int config_read_traces(const struct vidur_yaml_node *node,
                       struct vidur_search_config *config, struct vidur_error *err);
/* Seeds, semantics, files: once all sections are read. */
int config_complete_traces(const struct vidur_yaml_node *node,
                           struct vidur_search_config *config, struct vidur_error *err);

/* The classes of a trace's `mix:`, once all traces are read: lengths of other traces by
 * their names. */
int config_complete_mix(const struct vidur_yaml_node *trace_node,
                        const struct vidur_search_config *config,
                        struct vidur_search_trace *trace, struct vidur_error *err);
/* Whether a class of some mix has SLOs; `traces` is the list. */
bool config_has_class_slos(const struct vidur_yaml_node *traces);
/* Every trace's SLOs: the configuration's and those of its classes. */
int config_complete_slos(const struct vidur_yaml_node *root,
                         struct vidur_search_config *config, struct vidur_error *err);

/* `prices:`, and `price:` of a cluster. */
extern const struct vidur_yaml_field config_price_element, config_selector_fields[];
/* Gives each cluster its price, where there is one: once devices and files are known.
 */
int config_price_clusters(const struct vidur_yaml_node *clusters,
                          struct vidur_search_config *config, struct vidur_error *err);
/* Takes what only prices depend on out of the document. */
int config_forget_prices(const struct vidur_search_config *config,
                         struct vidur_error *err);

/* Fills `served` from the models, which are loaded, and the lists. */
int config_serve_models(struct vidur_search_config *config, struct vidur_error *err);

/* `search:` and `target:`. */
extern const struct vidur_yaml_field config_search_fields[], config_target_fields[];
void config_search_defaults(struct vidur_search_config *config);
/* Whether the definition of capacity, SLOs and target go together; all sections are
 * read. */
int config_check_definition(const struct vidur_yaml_node *root,
                            const struct vidur_search_config *config,
                            struct vidur_error *err);

/* A number of requests, or `auto` (0): a vidur_yaml_reader of an int64_t. */
int config_read_requests(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err);

/* Puts the place of the trace's key in front of why its workload cannot be drawn, where
 * the text names one. Returns -1. */
int config_fail_workload(const struct vidur_search_config *config, int trace,
                         struct vidur_error *err);

#endif
