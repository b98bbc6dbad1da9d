#include "tell/objectives_tell.h"

#include <math.h>

static bool is_met(const struct vidur_objectives *o, int slo)
{
    return !(o->metrics->slo_value[slo] > o->slos->slos[slo].limit_s);
}

static bool has_joint(const struct vidur_slo_list *slos)
{
    for (int i = 0; i < slos->count; i++)
        if (vidur_slo_is_joint(&slos->slos[i]))
            return true;
    return false;
}

static int num_classes(const struct vidur_objectives *o)
{
    return o->workload ? o->workload->num_classes : 0;
}

/* ---- summary.json ---- */

static void put_slo(struct vidur_json_writer *json, const struct vidur_objectives *o,
                    int i)
{
    const struct vidur_slo *slo = &o->slos->slos[i];
    const bool joint = vidur_slo_is_joint(slo);
    char name[96];
    vidur_slo_name(slo, name, sizeof name);
    vidur_json_begin_object(json, NULL);
    vidur_json_put_string(json, "name", name);
    if (slo->class_number > 0)
        vidur_json_put_string(json, "class", slo->class_name);
    if (joint) {
        vidur_json_begin_object(json, "all");
        for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
            if (slo->parts_s[m] > 0)
                vidur_json_put_double(json, vidur_latency_name((enum vidur_latency)m),
                                      slo->parts_s[m]);
        vidur_json_end(json);
    } else {
        vidur_json_put_string(json, "metric", vidur_latency_name(slo->metric));
    }
    vidur_json_put_double(json, "quantile", slo->quantile);
    if (!joint)
        vidur_json_put_double(json, "limit_s", slo->limit_s);
    vidur_json_put_double(json, joint ? "share_of_limits" : "value_s",
                          o->metrics->slo_value[i]);
    vidur_json_put_bool(json, "met", is_met(o, i));
    vidur_json_end(json);
}

static void put_latency(struct vidur_json_writer *json, const char *name,
                        const struct vidur_distribution *d)
{
    const double values[] = {d->mean, d->p50, d->p90, d->p95, d->p99, d->max};
    static const char *const names[] = {"mean", "p50", "p90", "p95", "p99", "max"};
    vidur_json_begin_object(json, name);
    vidur_json_put_int64(json, "count", d->count);
    for (int i = 0; i < 6; i++)
        vidur_json_put_double(json, names[i], d->count > 0 ? values[i] : NAN);
    vidur_json_end(json);
}

static void put_class(struct vidur_json_writer *json, const struct vidur_objectives *o,
                      int i)
{
    const struct vidur_class_metrics *class = &o->metrics->classes[i];
    vidur_json_begin_object(json, NULL);
    vidur_json_put_string(json, "name", o->workload->classes[i].name);
    vidur_json_put_int64(json, "priority", o->workload->classes[i].priority);
    vidur_json_put_int64(json, "requests", class->num_requests);
    vidur_json_put_int64(json, "completed", class->num_completed);
    put_latency(json, "ttft", &class->ttft);
    put_latency(json, "tpot", &class->tpot);
    vidur_json_put_double(json, "goodput_per_s", class->goodput_per_s);
    vidur_json_end(json);
}

void vidur_objectives_put(struct vidur_json_writer *json,
                          const struct vidur_objectives *o)
{
    if (o->slos->count > 0) {
        vidur_json_begin_array(json, "slos");
        for (int i = 0; i < o->slos->count; i++)
            put_slo(json, o, i);
        vidur_json_end(json);
    }
    if (has_joint(o->slos))
        vidur_json_put_double(json, "goodput_per_s", o->metrics->goodput_per_s);
    if (num_classes(o) == 0)
        return;
    vidur_json_begin_array(json, "classes");
    for (int i = 0; i < num_classes(o); i++)
        put_class(json, o, i);
    vidur_json_end(json);
}

/* ---- Text ---- */

static void print_ms(const struct vidur_distribution *d, FILE *out)
{
    if (d->count == 0)
        fprintf(out, " %9s %9s %9s", "-", "-", "-");
    else
        fprintf(out, " %9.1f %9.1f %9.1f", d->p50 * 1e3, d->p95 * 1e3, d->p99 * 1e3);
}

void vidur_objectives_print_classes(const struct vidur_objectives *o, FILE *out)
{
    if (num_classes(o) == 0)
        return;
    fprintf(out, "\n%-18s %9s %9s %9s %9s %9s %9s %9s %9s\n", "classes, ms", "requests",
            "ttft p50", "p95", "p99", "tpot p50", "p95", "p99", "goodput/s");
    for (int i = 0; i < num_classes(o); i++) {
        const struct vidur_class_metrics *class = &o->metrics->classes[i];
        fprintf(out, "%-18s %9lld", o->workload->classes[i].name,
                (long long)class->num_requests);
        print_ms(&class->ttft, out);
        print_ms(&class->tpot, out);
        if (isnan(class->goodput_per_s))
            fprintf(out, " %9s\n", "-");
        else
            fprintf(out, " %9.3f\n", class->goodput_per_s);
    }
}

void vidur_objectives_print(const struct vidur_objectives *o, FILE *out)
{
    for (int i = 0; i < o->slos->count; i++) {
        const struct vidur_slo *slo = &o->slos->slos[i];
        const double value = o->metrics->slo_value[i];
        char name[96], parts[128];
        vidur_slo_name(slo, name, sizeof name);
        vidur_slo_describe_parts(slo, parts, sizeof parts);
        fprintf(out, "%-12s %s ", i ? "" : "objectives", name);
        if (isnan(value))
            fprintf(out, "has nothing to measure\n");
        else if (vidur_slo_is_joint(slo))
            fprintf(out, "%.4g %% of the limits (%s): %s\n", 100 * value, parts,
                    is_met(o, i) ? "met" : "missed");
        else
            fprintf(out, "%.4g s (limit %.6g s): %s\n", value, slo->limit_s,
                    is_met(o, i) ? "met" : "missed");
    }
    if (has_joint(o->slos))
        fprintf(out, "goodput      %.3f requests/s meet all joint objectives\n",
                o->metrics->goodput_per_s);
}
