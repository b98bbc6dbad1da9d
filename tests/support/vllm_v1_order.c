#include "vllm_v1_order.h"

#include "vllm_v1_world.h"

static int priority_of(const struct vidur_workload *workload, int32_t id)
{
    return workload->class_of ? workload->classes[workload->class_of[id]].priority : 0;
}

bool v1_comes_first(const struct world *w, int32_t a, int32_t b)
{
    const int p = priority_of(w->input->workload, a);
    const int q = priority_of(w->input->workload, b);
    const double a_s = w->out[a].arrived_at_s, b_s = w->out[b].arrived_at_s;
    if (p != q)
        return p < q;
    return a_s < b_s || (a_s == b_s && a < b);
}

int64_t v1_num_before(const struct world *w, int32_t request)
{
    int64_t before = 0;
    while (before < w->num_waiting && v1_comes_first(w, w->waiting[before], request))
        before++;
    return before;
}
