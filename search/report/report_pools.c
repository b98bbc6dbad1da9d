#include "report/report_pools.h"

#include "report/report_format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool vidur_row_has_pools(const struct vidur_ranking_row *row)
{
    return row->pools[0] != 0;
}

bool vidur_row_is_mixed(const struct vidur_ranking_row *row)
{
    return vidur_row_has_pools(row) && row->second_replicas > 0;
}

struct vidur_row_pool vidur_row_second(const struct vidur_ranking_row *row)
{
#define SECOND(first, prefix, ranks)                                                   \
    (struct vidur_row_pool)                                                            \
    {                                                                                  \
        .of_first = (first), .num_replicas = row->prefix##_replicas,                   \
        .device = row->prefix##_device,                                                \
        .network_device = row->prefix##_network_device,                                \
        .scheduler_label = row->prefix##_scheduler_label,                              \
        .tensor_parallel_size = row->prefix##_tensor_parallel_size,                    \
        .data_parallel_size = (ranks),                                                 \
        .num_pipeline_stages = row->prefix##_num_pipeline_stages,                      \
        .expert_parallel = row->prefix##_expert_parallel != 0,                         \
        .batch_size = row->prefix##_batch_size,                                        \
        .max_num_batched_tokens = row->prefix##_max_num_batched_tokens                 \
    }
    return vidur_row_is_mixed(row)
               ? SECOND(row->first_replicas, second, row->second_data_parallel_size)
               : SECOND(row->prefill_replicas, decode, 1);
#undef SECOND
}

/* ---- GPUs that are there ---- */

bool vidur_row_has_added(const struct vidur_ranking_row *row)
{
    return !isnan(row->added_gpus);
}

/* "16 x h100, 8 x l40s" */
static void list_have(const struct vidur_results *results, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; used < size; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        const char *gpus = vidur_results_fact(results, "have", name, "num_gpus");
        const char *device = vidur_results_fact(results, "have", name, "device");
        const char *node = vidur_results_fact(results, "have", name, "network_device");
        if (!gpus)
            return;
        used += (size_t)snprintf(text + used, size - used, "%s%.16s x %.48s",
                                 used ? ", " : "", gpus,
                                 node     ? node
                                 : device ? device
                                          : "GPU");
    }
}

/* The row that serves most of what is there; NULL: none is ok. */
static const struct vidur_ranking_row *base_of(const struct vidur_report_group *group)
{
    const struct vidur_ranking_row *base = NULL;
    for (int64_t i = 0; i < group->num_rows; i++) {
        const struct vidur_ranking_row *row = &group->rows[i];
        if (vidur_status_of(row) == VIDUR_STATUS_INDEX_OK && row->added_gpus == 0 &&
            (!base || row->max_qps > base->max_qps))
            base = row;
    }
    return base;
}

/* " for $3.20 an hour", ", which has no price" */
static void format_price(const struct vidur_ranking_row *row, char *text, size_t size)
{
    if (isfinite(row->added_usd_per_hour))
        snprintf(text, size, " for $%.32s an hour",
                 vidur_number_usd(row->added_usd_per_hour).text);
    else
        snprintf(text, size, ", which has no price");
}

static void format_for_target(const struct vidur_ranking_row *best, const char *have,
                              char *text, size_t size)
{
    char price[80];
    format_price(best, price, sizeof price);
    if (best->added_gpus > 0)
        snprintf(text, size,
                 "You have %s. Add %s%s: the cheapest addition that "
                 "carries %s QPS",
                 have, best->added, price, vidur_number3(best->target_qps).text);
    else
        snprintf(text, size, "You have %s, which carries %s QPS: add nothing", have,
                 vidur_number3(best->target_qps).text);
}

void vidur_format_added(const struct vidur_report_model *model,
                        const struct vidur_report_group *group, char *text, size_t size)
{
    const struct vidur_ranking_row *best = group->best;
    char have[256], now[96] = ", which serves this at no load within the SLOs";
    char price[80], per_dollar[96] = "";
    text[0] = 0;
    if (!best || !vidur_row_has_added(best))
        return;
    list_have(model->results, have, sizeof have);
    if (vidur_row_has_target(best)) {
        format_for_target(best, have, text, size);
        return;
    }
    const struct vidur_ranking_row *base = base_of(group);
    if (base)
        snprintf(now, sizeof now, ": %.40s QPS at most",
                 vidur_number3(base->max_qps).text);
    format_price(best, price, sizeof price);
    if (isfinite(best->added_qps_per_dollar))
        snprintf(per_dollar, sizeof per_dollar, " (%.40s QPS per added dollar)",
                 vidur_number3(best->added_qps_per_dollar).text);
    if (best->added_gpus > 0)
        snprintf(text, size, "You have %s%s. Add %s: +%s QPS%s%s", have, now,
                 best->added, vidur_number3(best->added_qps).text, price, per_dollar);
    else
        snprintf(text, size, "You have %s%s. No addition that was tried serves more",
                 have, now);
}
