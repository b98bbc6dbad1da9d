#include "steps/mfu.h"

double vidur_stage_flops(const struct vidur_deployment *deployment, int64_t tokens,
                         int64_t attention)
{
    const struct vidur_model_spec *model = &deployment->model;
    const int degree = deployment->tensor_parallel_size;
    const int stage_layers = model->num_layers / deployment->num_pipeline_stages;
    const int device_heads = model->num_q_heads / degree;
    const double layers = stage_layers, heads = device_heads;
    const double params = layers * (double)vidur_model_layer_params(model, degree);
    return 2 * (double)tokens * params +
           4 * layers * heads * model->head_dim * (double)attention;
}

double vidur_mfu_percent(const struct vidur_deployment *deployment, double flops,
                         double time_s)
{
    /* The reference counts a TFLOP as 2^40. */
    const double peak = deployment->device.peak_fp16_tflops * 0x1p40;
    return time_s > 0 ? flops / time_s / peak * 100 : 0;
}
