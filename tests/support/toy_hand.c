#include "toy_hand.h"

#include "test.h"
#include "toy_run.h"

void hand_engine(struct vidur_deployment *deployment)
{
    toy_engine_deployment(deployment);
    deployment->scheduler.async_scheduling = false;
    deployment->scheduler.max_num_seqs = HAND_BATCH;
    deployment->scheduler.max_num_batched_tokens = HAND_STEP;
    deployment->scheduler.num_blocks = 1000;
}

struct vidur_workload hand_workload(const struct hand_load *load)
{
    return toy_workload(load->count, HAND_TOKENS, load->arrived_at_s, load->prompt,
                        load->output);
}

static void keep(struct hand_outcome *out, const struct vidur_request_records *records)
{
    CU_ASSERT_FATAL(records->count <= HAND_REQUESTS);
    for (int64_t i = 0; i < records->count; i++) {
        out->arrived_s[i] = records->arrived_at_s[i];
        out->scheduled_s[i] = records->scheduled_at_s[i];
        out->first_token_s[i] = records->prefill_completed_at_s[i];
        out->completed_s[i] = records->completed_at_s[i];
        out->restarts[i] = records->num_restarts[i];
        out->prompt[i] = records->num_prefill_tokens[i];
        out->output[i] = records->num_decode_tokens[i];
        out->cached[i] = records->cached_tokens ? records->cached_tokens[i] : -1;
    }
}

void hand_run(struct hand_outcome *out, const struct vidur_deployment *deployment,
              const struct toy_step_times *times, const struct vidur_workload *workload,
              const struct vidur_run_options *options)
{
    struct vidur_timetable *table =
        toy_engine_new(times, HAND_STEP, HAND_BATCH, HAND_TOKENS);
    *out = (struct hand_outcome){0};
    struct vidur_simulator *simulator =
        toy_simulate(deployment, table, workload, options, &out->metrics);
    const struct vidur_request_records *records = vidur_simulator_requests(simulator);
    struct vidur_error err = {0};
    keep(out, records);
    if (workload->sessions.count > 0)
        CU_ASSERT_EQUAL(vidur_session_metrics_of(&out->sessions, records,
                                                 &workload->sessions, &err),
                        0);
    vidur_simulator_destroy(simulator);
    toy_engine_free(table);
}
