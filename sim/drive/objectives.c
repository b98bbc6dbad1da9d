#include "drive/objectives.h"

#include "base/quantile.h"

#include <math.h>

static bool is_done(const struct vidur_run *run, int64_t request)
{
    return run->requests.flags[request] & VIDUR_REQUEST_DONE;
}

static double latency_of(const struct vidur_run *run, enum vidur_latency latency,
                         int64_t request)
{
    return vidur_request_latency(&run->requests, run->workload, latency, request);
}

bool vidur_request_is_late(const struct vidur_run *run, enum vidur_latency latency,
                           double limit_s, int64_t request)
{
    const bool cut = run->time_limited || run->stopped_early;
    const double waited_s = run->ended_at_s - run->requests.arrived_at_s[request];
    const double tokens = latency == VIDUR_LATENCY_e2e_normalized
                              ? run->workload->num_decode_tokens[request]
                              : 1;
    return !cut || (latency != VIDUR_LATENCY_tpot && waited_s / tokens > limit_s);
}

/* Whether the request is known to exceed the limit. */
static bool is_missed(const struct vidur_run *run, enum vidur_latency latency,
                      double limit_s, int64_t request)
{
    const double value = latency_of(run, latency, request);
    return isnan(value) ? !is_done(run, request) &&
                              vidur_request_is_late(run, latency, limit_s, request)
                        : value > limit_s;
}

/* The worst of a joint objective's latencies as a share of its limit; NaN while one is
 * not known. */
static double worst_share(const struct vidur_run *run, const struct vidur_slo *slo,
                          int64_t request)
{
    double worst = 0;
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
        if (!(slo->parts_s[m] > 0))
            continue;
        const double value = latency_of(run, (enum vidur_latency)m, request);
        if (!isnan(value))
            worst = fmax(worst, value / slo->parts_s[m]);
        else if (!is_done(run, request))
            return NAN;
    }
    return worst;
}

static double value_of(const struct vidur_run *run, const struct vidur_slo *slo,
                       int64_t request)
{
    return vidur_slo_is_joint(slo) ? worst_share(run, slo, request)
                                   : latency_of(run, slo->metric, request);
}

/* Of a request without a value. */
static bool is_late(const struct vidur_run *run, const struct vidur_slo *slo,
                    int64_t request)
{
    bool late = false;
    if (!vidur_slo_is_joint(slo))
        return vidur_request_is_late(run, slo->metric, slo->limit_s, request);
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
        late |= slo->parts_s[m] > 0 &&
                is_missed(run, (enum vidur_latency)m, slo->parts_s[m], request);
    return late;
}

double vidur_objective_value(const struct vidur_run *run, const struct vidur_slo *slo,
                             double *scratch)
{
    int64_t count = 0, late = 0;
    for (int64_t i = 0; i < run->requests.count; i++) {
        if (!vidur_slo_is_about(run->workload, slo->class_number, i))
            continue;
        const double value = value_of(run, slo, i);
        if (!isnan(value))
            scratch[count++] = value;
        else
            late += !is_done(run, i) && !run->stopped_early && is_late(run, slo, i);
    }
    if (count + late == 0)
        return NAN;
    for (int64_t i = 0; i < late; i++)
        scratch[count + i] = INFINITY;
    const double value = vidur_quantile(scratch, count + late, slo->quantile);
    /* an interpolation with a late one may be no number */
    return isnan(value) ? INFINITY : value;
}

/* ---- Goodput ---- */

/* Whether the request is complete and meets all joint objectives about it, of which
 * there is one at least. */
static bool is_good(const struct vidur_run *run, int64_t request)
{
    bool asked = false;
    if (!is_done(run, request))
        return false;
    for (int i = 0; i < run->options->num_slos; i++) {
        const struct vidur_slo *slo = &run->options->slos[i];
        if (!vidur_slo_is_joint(slo) ||
            !vidur_slo_is_about(run->workload, slo->class_number, request))
            continue;
        asked = true;
        if (!(worst_share(run, slo, request) <= 1))
            return false;
    }
    return asked;
}

/* `class_number` 0: whether there is one at all. */
static bool has_joint(const struct vidur_run *run, int class_number)
{
    for (int i = 0; i < run->options->num_slos; i++) {
        const struct vidur_slo *slo = &run->options->slos[i];
        if (vidur_slo_is_joint(slo) && (class_number == 0 || slo->class_number == 0 ||
                                        slo->class_number == class_number))
            return true;
    }
    return false;
}

/* Of the k-th class, or with 0 of all. */
static double goodput_per_s(const struct vidur_run *run, int class_number)
{
    int64_t good = 0;
    if (!has_joint(run, class_number))
        return NAN;
    for (int64_t i = 0; i < run->requests.count; i++)
        good += vidur_slo_is_about(run->workload, class_number, i) && is_good(run, i);
    return run->ended_at_s > 0 ? (double)good / run->ended_at_s : 0;
}

static enum vidur_latency most_missed(const struct vidur_run *run,
                                      const struct vidur_slo *slo)
{
    enum vidur_latency most = VIDUR_NUM_LATENCIES;
    int64_t most_requests = 0;
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
        int64_t requests = 0;
        for (int64_t i = 0; i < run->requests.count && slo->parts_s[m] > 0; i++)
            requests += vidur_slo_is_about(run->workload, slo->class_number, i) &&
                        is_missed(run, (enum vidur_latency)m, slo->parts_s[m], i);
        if (requests > most_requests) {
            most = (enum vidur_latency)m;
            most_requests = requests;
        }
    }
    return most;
}

/* ---- Classes ---- */

static void fill_latency(const struct vidur_run *run, int class_number,
                         enum vidur_latency latency, double *scratch,
                         struct vidur_distribution *out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < run->requests.count; i++) {
        const double value = latency_of(run, latency, i);
        if (vidur_slo_is_about(run->workload, class_number, i) && !isnan(value))
            scratch[count++] = value;
    }
    vidur_distribution_of(out, scratch, count);
}

static void fill_class(const struct vidur_run *run, int class_number, double *scratch,
                       struct vidur_class_metrics *out)
{
    for (int64_t i = 0; i < run->requests.count; i++)
        if (vidur_slo_is_about(run->workload, class_number, i)) {
            out->num_requests++;
            out->num_completed += is_done(run, i);
        }
    fill_latency(run, class_number, VIDUR_LATENCY_ttft, scratch, &out->ttft);
    fill_latency(run, class_number, VIDUR_LATENCY_tpot, scratch, &out->tpot);
    out->goodput_per_s = goodput_per_s(run, class_number);
}

void vidur_fill_objectives(const struct vidur_run *run, double *scratch,
                           struct vidur_metrics *metrics)
{
    metrics->goodput_per_s = goodput_per_s(run, 0);
    for (int i = 0; i < VIDUR_MAX_SLOS; i++) {
        const bool joint =
            i < run->options->num_slos && vidur_slo_is_joint(&run->options->slos[i]);
        metrics->slo_missed[i] =
            joint ? most_missed(run, &run->options->slos[i]) : VIDUR_NUM_LATENCIES;
    }
    metrics->num_classes = run->workload->num_classes;
    for (int k = 0; k < metrics->num_classes; k++)
        fill_class(run, k + 1, scratch, &metrics->classes[k]);
}
