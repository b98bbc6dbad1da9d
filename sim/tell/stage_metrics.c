#include "tell/stage_metrics.h"

#include "base/quantile.h"

#include <math.h>
#include <stdlib.h>

/* Latencies of completed requests, side by side in one array. */
struct samples {
    double *e2e_s, *ttft_s, *tpot_s;
    int64_t count, num_tpot;
};

static void take(struct samples *samples, const struct vidur_request_records *records,
                 int64_t id)
{
    const double arrived = records->arrived_at_s[id];
    const double first = records->prefill_completed_at_s[id];
    const double completed = records->completed_at_s[id];
    const int32_t gaps = records->arrived_decode_tokens[id] - 1;
    if (isnan(completed))
        return;
    samples->e2e_s[samples->count] = completed - arrived;
    samples->ttft_s[samples->count++] = first - arrived;
    if (gaps > 0)
        samples->tpot_s[samples->num_tpot++] = (completed - first) / gaps;
}

int vidur_stage_metrics_of(struct vidur_stage_metrics *out,
                           const struct vidur_request_records *records,
                           const struct vidur_load_stages *stages, int stage,
                           struct vidur_error *err)
{
    const int64_t first = stages->first_request[stage];
    const int64_t end = stages->first_request[stage + 1];
    const size_t n = (size_t)(end - first);
    double *memory = malloc((3 * n + 1) * sizeof *memory);
    if (!memory)
        return vidur_fail(err, VIDUR_ENOMEM, "stages: out of memory");
    struct samples samples = {memory, memory + n, memory + 2 * n, 0, 0};
    for (int64_t i = first; i < end; i++)
        take(&samples, records, i);
    out->num_requests = end - first;
    vidur_distribution_of(&out->e2e, samples.e2e_s, samples.count);
    vidur_distribution_of(&out->ttft, samples.ttft_s, samples.count);
    vidur_distribution_of(&out->tpot, samples.tpot_s, samples.num_tpot);
    free(memory);
    return 0;
}
