#include <vidur/workload.h>

int64_t vidur_workload_num_cut(const struct vidur_workload *workload, int64_t count)
{
    int64_t cut = 0;
    if (count > workload->num_requests)
        count = workload->num_requests;
    for (int64_t i = 0; workload->is_cut && i < count; i++)
        cut += workload->is_cut[i];
    return cut;
}
