#include "vllm_v1_order.h"

static int priority_of(const struct vidur_workload *workload, int32_t id)
{
    return workload->class_of ? workload->classes[workload->class_of[id]].priority : 0;
}

bool v1_comes_first(const struct vidur_workload *workload, int32_t a, int32_t b)
{
    const int p = priority_of(workload, a), q = priority_of(workload, b);
    return p < q || (p == q && a < b);
}

int64_t v1_num_before(const struct vidur_workload *workload, const int32_t *waiting,
                      int64_t count, int32_t request)
{
    int64_t before = 0;
    while (before < count && v1_comes_first(workload, waiting[before], request))
        before++;
    return before;
}
