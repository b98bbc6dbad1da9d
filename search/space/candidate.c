#include <vidur/space.h>

/* What a candidate occupies and costs. */

int vidur_candidate_devices(const struct vidur_candidate *candidate)
{
    return candidate->data_parallel_size * candidate->tensor_parallel_size *
           candidate->num_pipeline_stages;
}

int vidur_candidate_second_devices(const struct vidur_candidate *candidate)
{
    const struct vidur_candidate_pool *second = &candidate->second;
    return second->data_parallel_size * second->tensor_parallel_size *
           second->num_pipeline_stages;
}

struct vidur_pool_counts vidur_candidate_counts(const struct vidur_candidate *candidate)
{
    return (struct vidur_pool_counts){candidate->num_replicas,
                                      candidate->second.num_replicas};
}

int vidur_candidate_gpus(const struct vidur_candidate *c,
                         struct vidur_pool_counts counts)
{
    return counts.first * vidur_candidate_devices(c) +
           counts.second * vidur_candidate_second_devices(c);
}

double vidur_space_usd_per_hour(const struct vidur_space *space, int64_t index,
                                struct vidur_pool_counts counts)
{
    const struct vidur_search_cluster *clusters = space->config->clusters;
    const struct vidur_candidate *c = &space->candidates[index];
    const int second = counts.second * vidur_candidate_second_devices(c);
    const double usd = counts.first * vidur_candidate_devices(c) *
                       clusters[c->cluster].usd_per_gpu_hour;
    return second > 0 ? usd + second * clusters[c->second.cluster].usd_per_gpu_hour
                      : usd;
}
