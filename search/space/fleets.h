#ifndef VIDUR_SEARCH_FLEETS_H
#define VIDUR_SEARCH_FLEETS_H

#include "base/yaml.h"
#include "space/rates.h"
#include "space/rules.h"

#include <vidur/space.h>

/*
 * Candidates of two pools, made of the candidates of one pool that a space has already:
 * `disaggregated:` here, `mixed:` in mixed.c.
 */

/* A vidur_yaml_reader of the mapping into a struct vidur_search_fleets. */
int fleets_read(const struct vidur_yaml_node *node, void *out, struct vidur_error *err);
/* Once the rest of the configuration is read. */
int fleets_check(const struct vidur_yaml_node *root,
                 const struct vidur_search_config *config, struct vidur_error *err);
void fleets_release(struct vidur_search_fleets *fleets);

/* Adds those of both behind the space's candidates, each a chain of its own from
 * `chain` on. Leaves those of one pool out where that is wanted. */
int fleets_add(struct vidur_space *space, int64_t chain, struct vidur_error *err);

/* ---- For mixed.c ---- */

/* A space that grows. */
struct fleet_builder {
    struct vidur_space *space;
    int64_t capacity;   /* of space->candidates */
    int64_t num_single; /* candidates of one pool */
    int64_t chain;
    struct rates_lengths *lengths; /* by trace */
};

/* What a candidate of one pool shows to rules. */
struct rule_subject fleets_subject(const struct vidur_space *space,
                                   const struct vidur_candidate *candidate,
                                   const struct vidur_deployment *deployment);

/* Whether two candidates of one pool serve the same in the same way, whatever they
 * stand on. */
bool fleets_serve_same(const struct vidur_candidate *first,
                       const struct vidur_candidate *second);

/* Two candidates of one pool as pools of one, of so many replicas. */
struct vidur_candidate fleets_pair(const struct vidur_candidate *first,
                                   const struct vidur_candidate *second,
                                   enum vidur_pool_role role,
                                   struct vidur_pool_counts counts);

/* Puts a pair behind the space's candidates. */
int fleets_append(struct fleet_builder *builder, const struct vidur_candidate *pair,
                  struct vidur_error *err);

#endif
