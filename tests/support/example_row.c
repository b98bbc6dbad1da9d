#include "example_row.h"

#include "results/columns.h"

#include <stdio.h>

struct vidur_ranking_row example_row(void)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, &row);
    snprintf(row.model, sizeof row.model, "llama");
    snprintf(row.trace, sizeof row.trace, "chat");
    snprintf(row.device, sizeof row.device, "a100");
    snprintf(row.network_device, sizeof row.network_device, "a100_dgx");
    snprintf(row.scheduler, sizeof row.scheduler, "sarathi");
    snprintf(row.scheduler_label, sizeof row.scheduler_label, "sarathi 512");
    snprintf(row.router, sizeof row.router, "round_robin");
    snprintf(row.status, sizeof row.status, "ok");
    row.chunk_size = 512;
    row.tensor_parallel_size = 4;
    row.num_pipeline_stages = 2;
    row.batch_size = 64;
    row.block_size = 16;
    row.num_blocks = 1234;
    row.num_replicas = 2;
    row.num_gpus = 16;
    row.max_qps = 8;
    row.usd_per_hour = 32;
    row.qps_per_dollar = 0.25;
    row.ttft_p90_s = 1.5;
    return row;
}
