#include "steps/mfu.h"

#include <vidur/shard.h>

double vidur_stage_flops(const struct vidur_deployment *deployment, int64_t tokens,
                         int64_t attention)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    const struct vidur_relative_peaks peaks = vidur_device_peaks(&deployment->device);
    struct vidur_shard shard;
    vidur_shard_of(&shard, &deployment->model, &cut);
    return vidur_shard_flops(&shard, &peaks, tokens, attention);
}

double vidur_mfu_percent(const struct vidur_deployment *deployment, double flops,
                         double time_s)
{
    /* The reference counts a TFLOP as 2^40. */
    const double peak = deployment->device.peak_fp16_tflops * 0x1p40;
    return time_s > 0 ? flops / time_s / peak * 100 : 0;
}
